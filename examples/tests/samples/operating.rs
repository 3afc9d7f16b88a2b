//! What may happen to the process of a server: it is stopped and continued, nothing reads its
//! output, it gets signals, or it was started with blocked signals or with few descriptors.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::SERVERS;
use crate::servers::{Server, binary};

/// Sends a request on a connection that stays open; returns the status of the response.
fn ask(client: &mut TcpStream, path: &str) -> String {
    // One write, because a second one would wait until the first is acknowledged.
    client
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
        .expect("the server reads");
    status(client)
}

/// Reads the next response, whose body has a length, and returns its status; the empty string at
/// the end of the connection.
fn status(client: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte).unwrap_or(0) == 0 {
            return String::new();
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
    let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.split_once("\r\n"));
    let length = length.map_or(0, |(length, _)| length.parse().expect("a number"));
    client.read_exact(&mut vec![0; length]).expect("a body");
    head[9..12].to_owned()
}

/// A playground whose panics have no backtraces.
fn quiet_playground(flags: &[&str]) -> Server {
    Server::start_by(Command::new(binary("playground")).env("RUST_BACKTRACE", "0"), flags)
}

fn metric(server: &Server, name: &str) -> u64 {
    let response = server.get("/metrics");
    let name = format!("straightline_{name} ");
    let value = response.text().lines().find_map(|line| line.strip_prefix(&name));
    value.unwrap_or_else(|| panic!("no {name}")).trim().parse().expect("a number")
}

#[test]
fn sighup_does_not_end_a_server() {
    for name in SERVERS {
        let mut server = Server::start(name, &["--workers", "1"]);
        server.signal("HUP");
        if *name != "bench_server" {
            server.wait_for_stderr("SIGHUP: there is nothing to reload");
        }
        server.get("/nowhere").assert_status(404);
        assert!(server.stop().success(), "{name}");
    }
    let mut server = Server::start("echo", &[]);
    server.signal("HUP");
    assert!(server.stop().success());
}

#[test]
fn signals_that_were_blocked_at_the_start_are_handled() {
    for name in ["hello", "echo"] {
        let mut env = Command::new("env");
        env.args(["--block-signal=TERM", "--block-signal=INT"]).arg(binary(name));
        let mut server = Server::start_by(&mut env, &[]);
        assert!(server.stop().success(), "{name}");
    }
}

#[test]
fn a_low_soft_limit_of_descriptors_is_raised() {
    let limited = |flags: &[&str]| {
        let mut shell = Command::new("sh");
        let script = "ulimit -Sn 100 && exec \"$0\" \"$@\"";
        shell.args(["-c", script]).arg(binary("playground"));
        Server::start_by(&mut shell, flags)
    };
    let mut server = limited(&[]);
    let line = server.wait_for_stderr("connections at a time");
    assert!(line.contains("raised from 100"), "{line}");
    let connect = |_| TcpStream::connect(server.address()).expect("the server listens");
    let mut clients: Vec<_> = (0..150).map(connect).collect();
    assert!(clients.iter_mut().all(|client| ask(client, "/hello") == "200"));

    let mut server = limited(&["--keep-descriptor-limit"]);
    let line = server.wait_for_stderr("connections at a time");
    assert!(line.contains("serving up to 75 connections"), "{line}");
}

#[test]
fn a_client_that_sent_in_time_while_the_process_was_stopped_is_served() {
    const CLIENTS: usize = 400;
    // If the machine is too slow for one of these timeouts, the next one is tried.
    for seconds in [2, 4, 8, 16] {
        let timeout = Duration::from_secs(seconds);
        let flags = ["--workers", "1", "--head-timeout", &format!("{seconds}s")];
        let server = Server::start("playground", &flags);
        let connect = |_| TcpStream::connect(server.address()).expect("the server listens");
        let mut clients: Vec<_> = (0..CLIENTS).map(connect).collect();
        assert!(clients.iter_mut().all(|client| ask(client, "/hello") == "200"));
        let (begin, before) = (Instant::now(), metric(&server, "read_bytes_total"));
        for client in &mut clients {
            client.write_all(b"GET /hello HTTP/1.1\r\n").expect("the server reads");
        }
        // Once the server has read these bytes, the timeouts run.
        while metric(&server, "read_bytes_total") < before + 21 * CLIENTS as u64 {}
        server.signal("STOP");
        let stat = format!("/proc/{}/stat", server.child.id());
        while !fs::read_to_string(&stat).expect("it is there").contains(") T ") {}
        if begin.elapsed() > timeout / 2 {
            server.signal("CONT");
            continue;
        }
        for client in &mut clients {
            client.write_all(b"Host: a\r\n\r\n").expect("there is room");
        }
        while begin.elapsed() < timeout + timeout / 4 {
            thread::sleep(timeout / 20);
        }
        server.signal("CONT");
        let late = clients.iter_mut().map(status).filter(|status| status != "200").count();
        assert_eq!(late, 0, "of {CLIENTS}");
        return;
    }
    panic!("this machine is too slow for all timeouts");
}

#[test]
fn a_server_goes_on_when_nothing_reads_stderr() {
    let mut server = quiet_playground(&["--workers", "2", "--verbose"]);
    let mut client = TcpStream::connect(server.address()).expect("the server listens");
    // Each panic prints some hundred bytes; the pipe has room for 64 KiB, and the queue for 1 MiB.
    for _ in 0..8_000 {
        assert_eq!(ask(&mut client, "/panic"), "500");
    }
    for signal in ["USR1", "QUIT", "HUP", "USR1"] {
        server.signal(signal);
    }
    assert_eq!(ask(&mut client, "/hello"), "200");
    // Once stderr is read, a line says how many were dropped, and later lines are printed again.
    server.wait_for_stderr("lines were left out here");
    assert_eq!(ask(&mut client, "/panic?again"), "500");
    server.wait_for_stderr("/panic?again");

    let mut server = quiet_playground(&["--workers", "1"]);
    let mut client = TcpStream::connect(server.address()).expect("the server listens");
    for _ in 0..8_000 {
        assert_eq!(ask(&mut client, "/panic"), "500");
    }
    server.signal("USR1");
    // Lines that are not printed yet do not delay the end of the server.
    assert!(server.stop().success());
}

#[test]
fn a_server_goes_on_when_nothing_reads_stdout() {
    let flags = ["--access-log", "json", "--access-log-bytes", "65536"];
    let mut server = Server::start("playground", &flags);
    let mut client = TcpStream::connect(server.address()).expect("the server listens");
    for _ in 0..3_000 {
        assert_eq!(ask(&mut client, "/hello"), "200");
    }
    assert!(metric(&server, "access_log_dropped_total") > 0);
    assert!(server.stop().success());
}

#[test]
fn a_cancel_prints_nothing_and_a_panic_one_message() {
    let mut server = quiet_playground(&["--workers", "1", "--handler-timeout", "20ms"]);
    let mut client = TcpStream::connect(server.address()).expect("the server listens");
    for _ in 0..3 {
        assert_eq!(ask(&mut client, "/slow?ms=600000"), "504");
    }
    assert_eq!(ask(&mut client, "/panic"), "500");
    assert!(server.stop().success());
    let mut text = String::new();
    server.stderr.as_mut().expect("it is read").read_to_string(&mut text).expect("text");
    assert_eq!(text.matches("panicked at").count(), 2, "the hook's and the log's: {text}");
    assert!(text.contains("thread 'straightline-0' panicked at"), "{text}");
    assert!(text.contains("\n    as you wish\n"), "{text}");
}
