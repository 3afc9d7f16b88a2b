//! The configurations of nginx and HAProxy in `examples/deploy/` in front of the samples. They need
//! the packages nginx-light and haproxy, so they are ignored, and `scripts/test` runs them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use straightline::testing::Client;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use crate::servers::Server;

/// How long a proxy may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A proxy with its files in a folder of its own.
struct Proxy {
    child: Child,
    folder: PathBuf,
}

impl Proxy {
    fn start(name: &str, folder: PathBuf, args: &[&str], address: &str) -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        let found = env::split_paths(&path).chain(["/usr/sbin".into()]).map(|path| path.join(name));
        let program = found.into_iter().find(|path| path.exists());
        let mut command = Command::new(program.unwrap_or_else(|| panic!("{name} is missing")));
        let child = command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let mut proxy = Self { child: child.expect("it starts"), folder };
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            let has_ended = proxy.child.try_wait().expect("it is a child");
            assert!(has_ended.is_none() && begin.elapsed() < PATIENCE, "{name} does not start");
            thread::sleep(Duration::from_millis(20));
        }
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The signal also ends the workers of nginx.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("straightline-proxies-{}-{number}", process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).expect("a path of our own");
    path
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

/// A configuration of the folder, with other addresses.
fn configuration(name: &str, addresses: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    let mut text = fs::read_to_string(path).expect("a file");
    for (from, to) in addresses {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, to);
    }
    text
}

/// nginx in front of a sample, and its address.
fn nginx(sample: &Server) -> (Proxy, String) {
    let (folder, address) = (folder(), free_address());
    let port = format!("listen {address}");
    let addresses = [("127.0.0.1:8080", sample.address()), ("listen 8000", &*port)];
    let text = configuration("nginx/app.conf", &addresses);
    let at = folder.display();
    let temps = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temps: String = temps.iter().map(|name| format!("{name}_temp_path {at}/temp; ")).collect();
    let text = format!(
        "daemon off; pid {at}/pid; error_log stderr crit; worker_processes 1;
        events {{ worker_connections 256; }}
        http {{ access_log off; {temps}
        {text} }}"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text).expect("a file");
    let (file, prefix) = (file.display().to_string(), at.to_string());
    let args = ["-p", &*prefix, "-e", "stderr", "-c", &*file];
    (Proxy::start("nginx", folder, &args, &address), address)
}

/// HAProxy in front of two samples with their admin listeners, and one with the PROXY protocol: its
/// addresses for HTTP and for TCP.
fn haproxy(samples: [(&str, &str); 2], third: &str) -> (Proxy, String, String) {
    let (folder, web, tcp) = (folder(), free_address(), free_address());
    let port = |address: &str| format!("port {}", address.rsplit(':').next().expect("a port"));
    let [(a, admin_a), (b, admin_b)] = samples;
    let text = configuration(
        "haproxy/haproxy.cfg",
        &[
            ("127.0.0.1:8000", &web),
            ("127.0.0.1:8443", &tcp),
            ("127.0.0.1:8080", a),
            ("127.0.0.1:8081", b),
            ("127.0.0.1:8082", third),
            ("port 9180", &port(admin_a)),
            ("port 9181", &port(admin_b)),
        ],
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, text).expect("a file");
    let file = file.display().to_string();
    (Proxy::start("haproxy", folder, &["-q", "-f", &file], &web), web, tcp)
}

/// The sample `service` with an admin listener, and the address of that.
fn service(flags: &[&str]) -> (Server, String) {
    let flags: Vec<_> = ["--admin", "127.0.0.1:0"].iter().chain(flags).copied().collect();
    let mut server = Server::start("service", &flags);
    let mut line = String::new();
    server.stdout.read_line(&mut line).expect("a line");
    let admin = line.trim_end().strip_prefix("admin on http://").expect("an address").to_owned();
    (server, admin)
}

/// What every proxy passes on: the name of the client, bodies of any length within the limit, and
/// requests on a kept connection.
fn passes_on(address: &str) {
    let client = Client::connect(address);
    let fields = [("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=203.0.113.7")];
    let request = client.get("/headers");
    let request =
        fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send();
    answer.assert_status(200);
    let head = answer.text().to_ascii_lowercase();
    assert!(head.contains("\"127.0.0.1\"") && !head.contains("203.0.113.7"), "{head}");
    for length in [0, 1, 70_000, 2 << 20] {
        let answer = client.post("/echo").body(vec![b'x'; length]).send();
        answer.assert_status(200);
        assert_eq!(answer.bytes().len(), length);
    }
}

fn open_websocket(address: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).expect("the proxy listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let url = format!("ws://{address}/ws/echo");
    tungstenite::client(url, stream).expect("a handshake").0
}

fn echoes_over_a_websocket(address: &str) {
    let mut socket = open_websocket(address);
    for text in ["x".to_owned(), "y".repeat(70_000)] {
        socket.send(Message::text(text.clone())).expect("the proxy reads");
        assert!(socket.read().expect("an echo") == Message::text(text));
    }
}

/// A sample behind a proxy that is stopped, and started again at the same address.
fn restart(sample: &str, mut server: Server, meanwhile: impl FnOnce()) -> Server {
    let at = server.address().to_owned();
    let stopping = thread::spawn(move || server.stop());
    meanwhile();
    assert!(stopping.join().expect("no panic").success(), "a drain in time");
    Server::start(sample, &["--workers", "2", "--listen", &at])
}

/// The client of a WebSocket hears through the proxy that the server goes away, and opens another.
fn a_websocket_outlives_a_restart(server: Server, address: &str) {
    let mut sockets = [open_websocket(address), open_websocket(address)];
    for socket in &mut sockets {
        socket.send(Message::text("before")).expect("the proxy reads");
        assert_eq!(socket.read().expect("an echo"), Message::text("before"));
    }
    let _server = restart("websocket", server, || {
        for socket in &mut sockets {
            let Message::Close(Some(frame)) = socket.read().expect("a Close frame") else {
                panic!("another message");
            };
            assert_eq!(frame.code, CloseCode::Away);
            // The answer goes to the server, which ends the stream behind it.
            assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
        }
    });
    echoes_over_a_websocket(address);
}

/// A client of events gets a whole body to its end, and none of the events in it is lost.
fn events_outlive_a_restart(server: Server, address: &str) {
    let mut events = open_events(address);
    let mut line = String::new();
    let publish = |text: &str| {
        Client::connect(address).post("/publish").body(text.to_owned()).send().assert_status(200);
    };
    let mut wait_for = |events: &mut BufReader<TcpStream>, expected: &str| {
        while line != expected {
            line.clear();
            assert!(events.read_line(&mut line).expect("a line") > 0, "no {expected}");
        }
    };
    publish("before");
    wait_for(&mut events, "data: before\n");
    publish("last");
    let _server = restart("sse", server, || {
        wait_for(&mut events, "data: last\n");
        wait_for(&mut events, "0\r\n"); // the last chunk
    });
    streams_events(address);
}

fn open_events(address: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).expect("the proxy listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").expect("the proxy reads");
    let mut events = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert!(events.read_line(&mut line).expect("a line") > 0, "an end in the head");
    }
    events
}

fn streams_events(address: &str) {
    let (mut events, mut line) = (open_events(address), String::new());
    // Each event arrives before the next one is published.
    for text in ["first", "second"] {
        Client::connect(address).post("/publish").body(text).send().assert_status(200);
        while line != format!("data: {text}\n") {
            line.clear();
            assert!(events.read_line(&mut line).expect("a line") > 0, "no {text}");
        }
    }
}

#[test]
#[ignore = "needs nginx-light"]
fn nginx_passes_on_requests_events_and_websockets() {
    let server = Server::start("playground", &["--workers", "2"]);
    let (_nginx, address) = nginx(&server);
    passes_on(&address);
    let too_long = Client::connect(&*address).post("/upload").body(vec![0; (2 << 20) + 1]).send();
    too_long.assert_status(413);
    let server = Server::start("websocket", &["--workers", "2"]);
    let (_nginx, address) = nginx(&server);
    echoes_over_a_websocket(&address);
    let server = Server::start("sse", &["--workers", "2"]);
    let (_nginx, address) = nginx(&server);
    streams_events(&address);
}

#[test]
#[ignore = "needs haproxy"]
fn haproxy_passes_on_requests_events_and_websockets() {
    for (sample, check) in [
        ("playground", passes_on as fn(&str)),
        ("websocket", echoes_over_a_websocket),
        ("sse", streams_events),
    ] {
        let server = Server::start(sample, &["--workers", "2"]);
        // The admin listener of another process says that it is ready.
        let (_ready, admin) = service(&[]);
        let (at, unused) = (server.address(), free_address());
        let (_haproxy, address, _) = haproxy([(at, &admin), (at, &admin)], &unused);
        check(&address);
    }
}

#[test]
#[ignore = "needs nginx-light"]
fn websockets_and_events_behind_nginx_outlive_a_restart() {
    let server = Server::start("websocket", &["--workers", "2"]);
    let (_nginx, address) = nginx(&server);
    a_websocket_outlives_a_restart(server, &address);
    let server = Server::start("sse", &["--workers", "2"]);
    let (_nginx, address) = nginx(&server);
    events_outlive_a_restart(server, &address);
}

#[test]
#[ignore = "needs haproxy"]
fn websockets_and_events_behind_haproxy_outlive_a_restart() {
    let (_ready, admin) = service(&[]);
    for (sample, check) in [
        ("websocket", a_websocket_outlives_a_restart as fn(Server, &str)),
        ("sse", events_outlive_a_restart),
    ] {
        let server = Server::start(sample, &["--workers", "2"]);
        let (at, unused) = (server.address(), free_address());
        let (_haproxy, address, _) = haproxy([(at, &admin), (at, &admin)], &unused);
        check(server, &address);
    }
}

#[test]
#[ignore = "needs haproxy"]
fn haproxy_names_its_client_by_the_proxy_protocol() {
    let (server, admin) = service(&["--proxy-protocol", "127.0.0.1/32"]);
    let at = server.address();
    let (_haproxy, _, address) = haproxy([(at, &admin), (at, &admin)], at);
    let mut stream = TcpStream::connect(&address).expect("the proxy listens");
    let own = stream.local_addr().expect("it is connected");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("the proxy reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    assert!(text.ends_with(&format!("\r\n\r\nhello, {own}\n")), "{text}");
}

#[test]
#[ignore = "needs haproxy"]
fn a_process_behind_haproxy_ends_under_load_and_no_request_fails() {
    // Longer than two checks of HAProxy, with time to spare.
    let flags = ["--workers", "1", "--ready-delay", "4s"];
    let ((mut first, admin_a), (second, admin_b)) = (service(&flags), service(&flags));
    let samples = [(first.address(), &*admin_a), (second.address(), &*admin_b)];
    let (_haproxy, address, _) = haproxy(samples, &free_address());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients = [(); 4].map(|()| {
            scope.spawn(|| {
                let (client, mut answers) = (Client::connect(&*address), 0);
                while !is_over.load(Ordering::Relaxed) || answers < 50 {
                    let answer = client.get("/").send();
                    answer.assert_status(200);
                    answers += 1;
                }
                answers
            })
        });
        assert!(first.stop().success());
        is_over.store(true, Ordering::Relaxed);
        let answers = clients.map(|client| client.join().expect("no request fails"));
        println!("{answers:?} answers while one of two processes ended");
    });
}
