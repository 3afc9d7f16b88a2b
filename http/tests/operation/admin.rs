//! The admin listener answers on an address of its own: also while the server drains, and while all
//! of its threads are stuck.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use slog::{Drain, Level, Logger, Never, OwnedKVList, Record, debug, info, o};
use straightline::admin::{Admin, AdminServer};
use straightline::{AllowedHosts, LogLevel, Request, Server, ServerBuilder, sched};

use crate::common::{Answer, Client};

fn ask(admin: &AdminServer, request: &str) -> Answer {
    let address = admin.local_addr().as_tcp().expect("a TCP address");
    Client::connect(address).ask(format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

fn builder() -> ServerBuilder {
    Server::builder().bind("127.0.0.1:0").workers(1)
}

fn start(server: &Server) -> AdminServer {
    Admin::of(server).start("127.0.0.1:0").expect("a free port")
}

#[test]
fn it_answers_from_before_the_start_to_the_end_of_the_drain() {
    let (sender, receiver) = mpsc::channel();
    let handler = move |_: &mut Request| {
        sender.send(sched::current()).expect("the test waits");
        sched::park();
        "finished"
    };
    let server = builder().build(handler).expect("a port");
    let (admin, handle) = (start(&server), server.handle());
    let address = server.local_addrs()[0].as_tcp().expect("a TCP address");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(&admin, &format!("GET {path}")).status, 503, "{path} before the start");
    }
    let running = thread::spawn(move || server.run());
    let mut client = Client::connect(address);
    client.send("GET /here?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    let parked = receiver.recv().expect("the handler runs");
    for path in ["/healthz", "/readyz", "/"] {
        assert_eq!(ask(&admin, &format!("GET {path}")).status, 200, "{path}");
    }
    let metrics = ask(&admin, "GET /metrics");
    assert_eq!(metrics.field("content-type"), Some("text/plain; version=0.0.4"));
    assert!(metrics.text().contains("\nstraightline_requests_in_flight 1\n"));
    let fibers = ask(&admin, "GET /fibers");
    assert!(fibers.text().starts_with("== shard 0: "), "{}", fibers.text());
    assert!(fibers.text().contains("`GET /here?x=1`"), "{}", fibers.text());
    assert!(ask(&admin, "GET /settings").text().contains("\nworkers = 1 (set by the program)\n"));

    assert_eq!(ask(&admin, "GET /drain").status, 405);
    assert!(handle.is_ready());
    // A second request does not cut the clients off.
    for _ in 0..2 {
        assert_eq!(ask(&admin, "POST /drain").status, 202);
    }
    assert!(!handle.is_ready());
    assert_eq!(ask(&admin, "GET /readyz").text(), "stopping\n");
    assert_eq!(ask(&admin, "GET /healthz").status, 200);
    parked.unpark();
    assert_eq!(client.receive().text(), "finished");
    let report = running.join().expect("no panic").expect("a good end");
    assert_eq!((report.finished, report.cancelled), (1, 0));
}

#[test]
fn it_says_that_no_thread_answers() {
    let is_released = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    let handler = {
        let is_released = Arc::clone(&is_released);
        move |_: &mut Request| {
            sender.send(()).expect("the test waits");
            while !is_released.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            "served"
        }
    };
    let server = builder().busy_limit(None).stuck_limit(None).build(handler).expect("a port");
    let (admin, handle) = (start(&server), server.handle());
    let address = server.local_addrs()[0].as_tcp().expect("a TCP address");
    let running = thread::spawn(move || server.run());
    let mut client = Client::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    receiver.recv().expect("the handler runs");
    assert!(!handle.is_responsive(Duration::from_millis(10)));
    assert_eq!(ask(&admin, "GET /healthz").text(), "no thread answers\n");
    assert_eq!(ask(&admin, "GET /readyz").status, 503);
    assert!(ask(&admin, "GET /fibers").text().contains("a fiber keeps its thread"));
    is_released.store(true, Ordering::SeqCst);
    assert_eq!(client.receive().text(), "served");
    assert_eq!(ask(&admin, "GET /healthz").status, 200);
    handle.shutdown();
    running.join().expect("no panic").expect("a good end");
}

#[test]
fn a_page_in_a_browser_cannot_end_the_server() {
    let server = builder().build(|_: &mut Request| "hi\n").expect("a port");
    let admin = start(&server);
    let page = "POST /drain HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n";
    let address = admin.local_addr().as_tcp().expect("a TCP address");
    assert_eq!(Client::connect(address).ask(page).status, 403);
    assert!(server.handle().is_ready());
    assert_eq!(ask(&admin, "GET /fibers?backtraces=all").status, 400);
    assert_eq!(ask(&admin, "GET /nothing").status, 404);
}

#[test]
fn a_page_whose_name_resolves_to_the_address_is_refused() {
    let server = builder().build(|_: &mut Request| "hi\n").expect("a port");
    let hosts = AllowedHosts::new(["app.internal", ".app.svc"]);
    let admin = Admin::of(&server).allowed_hosts(hosts).start("127.0.0.1:0").expect("a free port");
    let address = admin.local_addr().as_tcp().expect("a TCP address");
    let ask = |request: &str| Client::connect(address).ask(request);
    let settings =
        |host: &str| ask(&format!("GET /settings HTTP/1.1\r\nHost: {host}\r\n\r\n")).status;
    for host in ["rebound.evil.example", "rebound.evil.example:9090", "127.0.0.1.evil.example"] {
        assert_eq!(settings(host), 421, "{host}");
    }
    // A browser sends no `Origin` with a GET of the same origin, and one with a POST.
    let page = "POST /drain HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert!(ask(page).text().contains("Admin::allowed_hosts"));
    let page = "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(ask(page).status, 421);
    assert!(server.handle().is_ready());
    // Kubernetes names the address of the pod, and HAProxy by default nothing.
    for host in ["10.1.2.3:9090", "[fd00::1]:9090", "localhost:9090", "app.internal", "a.app.svc:1"]
    {
        assert_eq!(settings(host), 200, "{host}");
    }
    assert_eq!(ask("GET /settings HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn a_client_of_a_unix_socket_may_name_any_host() {
    let path = std::env::temp_dir().join(format!("straightline-admin-{}.sock", std::process::id()));
    let server = builder().build(|_: &mut Request| "hi\n").expect("a port");
    let admin = Admin::of(&server).start(path.as_path()).expect("a path of our own");
    let mut stream = UnixStream::connect(&path).expect("it listens");
    stream
        .write_all(b"GET /settings HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("room");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    drop(admin);
}

/// Keeps the texts of the records.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

impl Drain for Kept {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        self.0.lock().expect("no panic").push(record.msg().to_string());
        Ok(())
    }
}

#[test]
fn the_level_of_the_log_can_be_changed_and_goes_back() {
    let (level, kept) = (LogLevel::new(Level::Info), Kept::default());
    let logger = Logger::root(level.filter(kept.clone()), o!());
    let server = builder().logger(logger.clone()).build(|_: &mut Request| "hi\n").expect("a port");
    let admin = Admin::of(&server).log_level(&level).start("127.0.0.1:0").expect("a free port");
    assert_eq!(ask(&admin, "GET /log-level").text(), "info\n");
    debug!(logger, "before");
    assert_eq!(ask(&admin, "PUT /log-level?level=debug").text(), "debug\n");
    debug!(logger, "meanwhile");
    let changed = ask(&admin, "PUT /log-level?level=error&seconds=3600");
    let text = changed.text();
    assert!(text.starts_with("error for 3") && text.ends_with(" s, then debug\n"), "{text}");
    info!(logger, "not grave");
    // A while without length.
    assert_eq!(ask(&admin, "PUT /log-level?level=error&seconds=0").text(), "debug\n");
    debug!(logger, "again");
    assert_eq!(*kept.0.lock().expect("no panic"), ["meanwhile", "again"]);

    for bad in ["", "?level=loud", "?level=debug&seconds=soon"] {
        let refused = ask(&admin, &format!("PUT /log-level{bad}"));
        assert_eq!(refused.status, 400, "{bad}");
        assert!(refused.text().contains("critical, error, warn"));
    }
    assert_eq!(ask(&admin, "POST /log-level?level=info").status, 405);
    assert_eq!(ask(&admin, "GET /log-level").text(), "debug\n");
    let without = start(&server);
    assert_eq!(ask(&without, "PUT /log-level?level=info").status, 404);
}
