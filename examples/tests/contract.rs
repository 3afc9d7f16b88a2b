//! What every sample server promises: its flags, its one line on stdout, its exit status.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// The HTTP servers.
const SERVERS: [&str; 4] = ["hello", "bench_server", "fanout", "playground"];

/// `cargo test` builds the examples beside the tests, in `target/PROFILE/examples`; when it is told
/// which targets to test, `cargo build --examples` has to come first.
fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("target/PROFILE/deps");
    profile.join("examples").join(name)
}

fn output(name: &str, args: &[&str]) -> Output {
    Command::new(binary(name)).args(args).output().expect("the example is built")
}

/// A sample server that runs; killed when the test fails.
struct Server {
    child: Child,
    line: String,
}

impl Server {
    fn start(name: &str, args: &[&str]) -> Self {
        let mut child = Command::new(binary(name))
            .args(["--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example is built");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line of text");
        Self { child, line }
    }

    fn address(&self) -> &str {
        self.line.trim_end().strip_prefix("listening on http://").expect("the promised line")
    }

    /// Waits until it has written a line on stderr that contains `text`.
    fn wait_for_stderr(&mut self, text: &str) {
        let stderr = self.child.stderr.take().expect("piped");
        let told = BufReader::new(stderr).lines().any(|line| {
            let line = line.expect("text");
            line.contains(text)
        });
        assert!(told, "nothing about {text} on stderr");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    text
}

#[test]
fn it_says_where_it_listens_and_a_signal_drains_it() {
    for name in SERVERS {
        for signal in ["TERM", "INT"] {
            let mut server = Server::start(name, &["--workers", "2"]);
            let address = server.address().to_string();
            assert!(!address.ends_with(":0"), "{name}: the real port");
            assert!(get(&address, "/nowhere").starts_with("HTTP/1.1 404 "), "{name}");
            let idle = TcpStream::connect(&address).expect("it listens");
            server.signal(signal);
            let status = server.child.wait().expect("it ends");
            assert!(status.success(), "{name} after {signal}: {status}");
            drop(idle);
        }
    }
}

#[test]
fn sigquit_lists_the_fibers_and_the_server_goes_on() {
    for name in SERVERS {
        let mut server = Server::start(name, &["--workers", "1"]);
        // Once it has answered its fibers are there.
        assert!(get(server.address(), "/nowhere").starts_with("HTTP/1.1 404 "), "{name}");
        server.signal("QUIT");
        server.wait_for_stderr("fiber `acceptor`");
        assert!(get(server.address(), "/nowhere").starts_with("HTTP/1.1 404 "), "{name}");
    }
}

#[test]
fn fanout_answers_with_the_first_three_and_cancels_the_rest() {
    let server = Server::start("fanout", &["--workers", "1"]);
    let answer = get(server.address(), "/");
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    // The order is that of their delays; which three they are is not, on a busy machine.
    assert_eq!(body.lines().filter(|line| line.starts_with("answer ")).count(), 3, "{answer}");
}

#[test]
fn fanout_has_a_deadline() {
    let server = Server::start("fanout", &["--workers", "1", "--deadline", "1"]);
    assert!(get(server.address(), "/").starts_with("HTTP/1.1 504 "));
}

#[test]
fn fanout_says_when_its_upstreams_fail() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start("fanout", &["--workers", "1", "--upstream", &gone.to_string()]);
    assert!(get(server.address(), "/").starts_with("HTTP/1.1 502 "));
}

#[test]
fn echo_sends_back_what_it_is_sent_and_a_signal_ends_it() {
    let mut server = Server::start("echo", &[]);
    let address = server.line.trim_end().strip_prefix("listening on tcp://").expect("its line");
    let mut client = TcpStream::connect(address).expect("it listens");
    client.write_all(b"hello").expect("it reads");
    let mut echoed = [0; 5];
    client.read_exact(&mut echoed).expect("it answers");
    assert_eq!(&echoed, b"hello");
    server.signal("TERM");
    client.shutdown(std::net::Shutdown::Write).expect("it is open");
    assert_eq!(client.read(&mut echoed).expect("an orderly end"), 0);
    assert!(server.child.wait().expect("it ends").success());

    assert!(!output("echo", &["--listen", "nowhere"]).status.success());
    let text = String::from_utf8(output("echo", &["--help"]).stdout).unwrap();
    assert!(text.contains("--listen"), "{text}");
}

#[test]
fn a_thousand_of_a_million() {
    let output = output("million", &["--fibers", "1000"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(text.starts_with("fibers=1000 rss_per_fiber_bytes="), "{text}");
    assert!(text.contains(" spawn_ns=") && text.contains(" wake_ns="), "{text}");
}

#[test]
fn hello_says_hello() {
    let server = Server::start("hello", &[]);
    assert!(get(server.address(), "/").ends_with("\r\n\r\nHello, World!\n"));
}

#[test]
fn the_measured_answers_are_what_the_harness_expects() {
    let server = Server::start("bench_server", &["--workers", "1"]);
    let body = |path| get(server.address(), path).split_once("\r\n\r\n").unwrap().1.to_string();
    assert_eq!(body("/plaintext"), "Hello, World!");
    assert_eq!(body("/json"), "{\"message\":\"Hello, World!\"}");
    assert_eq!(body("/big").len(), 1 << 20);
}

/// Sends that to a playground and returns all that comes until it closes.
fn poke(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    text
}

/// A request that is the connection's last, with that body.
fn request(method: &str, target: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn the_playground_has_a_path_for_each_thing() {
    let server = Server::start("playground", &["--workers", "1"]);
    for (method, target, body, status, end) in [
        ("GET", "/", "", "200", "\r\n\r\nHello, World!\n"),
        ("GET", "/hello", "", "200", "\r\n\r\nHello, World!\n"),
        ("HEAD", "/hello", "", "200", "Content-Length: 14\r\n\r\n"),
        ("POST", "/hello", "", "405", "Method Not Allowed\n"),
        ("POST", "/echo", "some text", "200", "\r\n\r\n9\r\nsome text\r\n0\r\n\r\n"),
        ("PUT", "/echo", "", "200", "\r\n\r\n0\r\n\r\n"),
        ("GET", "/echo", "", "405", "Method Not Allowed\n"),
        ("GET", "/big?bytes=3", "", "200", "\r\n\r\n3\r\nxxx\r\n0\r\n\r\n"),
        ("HEAD", "/big?bytes=3", "", "200", "Transfer-Encoding: chunked\r\n\r\n"),
        ("GET", "/big?bytes=many", "", "400", "bytes is to be a whole number\n"),
        ("GET", "/slow?ms=1", "", "200", "that took 1ms\n"),
        ("GET", "/nowhere", "", "404", "Not Found\n"),
        ("OPTIONS", "*", "", "204", "\r\n\r\n"),
        ("CONNECT", "a:1", "", "501", "Not Implemented\n"),
        (
            "POST",
            "/upload",
            "abc",
            "200",
            "{\"bytes\":3,\"sha256\":\
             \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}\n",
        ),
    ] {
        let answer = poke(&server, &request(method, target, body));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {target}: {answer}");
        assert!(answer.ends_with(end), "{method} {target}: {answer}");
    }
    let answer = poke(&server, &request("GET", "/echo", ""));
    assert!(answer.contains("allow: POST, PUT\r\n"), "{answer}");
    let answer = poke(&server, &request("GET", "/headers?a", ""));
    for part in ["\"path\":\"/headers\"", "\"query\":\"a\"", "[\"Host\",\"a\"]"] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
}

#[test]
fn the_playground_has_a_flag_for_each_limit() {
    let head = "GET /hello HTTP/1.1\r\nHost: a\r\nX: 0123456789\r\n\r\n";
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (flag, value, request, status) in [
        ("--request-line-bytes", "18", head.to_owned(), "414"),
        ("--field-line-bytes", "12", head.to_owned(), "431"),
        ("--head-bytes", "45", head.to_owned(), "431"),
        ("--fields", "1", head.to_owned(), "431"),
        ("--body-bytes", "4", request("POST", "/echo", "12345"), "413"),
        ("--chunk-extension-bytes", "1", format!("{chunked}1;a\r\n"), "413"),
        ("--trailer-bytes", "1", format!("{chunked}0\r\na: b\r\n\r\n"), "431"),
        ("--requests", "1", head.to_owned(), "200"),
    ] {
        let server = Server::start("playground", &["--workers", "1", flag, value]);
        let answer = poke(&server, &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{flag}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{flag}: {answer}");
    }
    let mut server = Server::start("playground", &["--verbose"]);
    assert!(poke(&server, "G@T / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    server.wait_for_stderr("refused: malformed method (byte 1)");
}

#[test]
fn help_explains_itself() {
    for name in SERVERS {
        let output = output(name, &["--help"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert!(text.contains("--listen") && text.contains("--workers"), "{name}: {text}");
        assert!(text.contains("127.0.0.1:8080"), "{name}: {text}");
    }
}

#[test]
fn faults_are_told_on_stderr_with_a_failure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for name in SERVERS {
        let faults: [&[&str]; 4] =
            [&["--nonsense"], &["--listen", "nowhere"], &["--workers", "0"], &["--listen", &taken]];
        for args in faults {
            let output = output(name, args);
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success(), "{name} {args:?}");
            assert!(output.stdout.is_empty() && !text.contains("panicked"), "{name}: {text}");
            let first = text.lines().next().expect("a line on stderr");
            let about = args.last().expect("an argument");
            assert!(first.contains(about), "{name} {args:?}: {first}");
        }
    }
}

#[test]
fn a_simulated_history_is_the_same_each_time() {
    let trace = |seed: &str| output("simulated", &["--seed", seed, "--trace"]);
    for seed in ["3", "4", "5"] {
        let (one, other) = (trace(seed), trace(seed));
        assert!(one.status.success() && other.status.success(), "{one:?}");
        assert!(one.stdout == other.stdout, "seed {seed} has two histories");
        let text = String::from_utf8(one.stdout).expect("text");
        assert!(text.lines().all(|line| line.starts_with(' ')), "every line has a time");
        assert!(text.contains("client 1#") && text.contains("is connected"), "{seed}");
    }
    assert!(trace("3").stdout != trace("4").stdout);
}

#[test]
fn simulated_histories_are_counted() {
    let ended = output("simulated", &["--seeds", "20"]);
    assert!(ended.status.success(), "{ended:?}");
    let text = String::from_utf8(ended.stdout).expect("text");
    let rate =
        text.strip_prefix("seeds=20 failures=0 seeds_per_second=").expect("the promised line");
    assert!(rate.trim_end().parse::<u64>().is_ok(), "{text}");
    let refused = output("simulated", &["--seeds", "2", "--trace"]);
    assert!(!refused.status.success() && !refused.stderr.is_empty());
}
