//! What every sample server promises: its flags, its one line on stdout, its exit status.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

const SERVERS: [&str; 2] = ["hello", "bench_server"];

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
