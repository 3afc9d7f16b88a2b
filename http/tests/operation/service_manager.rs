//! The service manager that has started a server hears when it is ready, reloads, shuts down, and
//! is alive.
//!
//! The servers are child processes: this program, started again with an environment of its own.

use std::io::{self, BufRead, BufReader, Read, Write, stdin};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, process};

use rustix::process::{Pid, Signal, kill_process};
use straightline::systemd::{NotifyState, notify};
use straightline::{AccessLogFormat, Event, Request, Server, ServerBuilder};

use crate::common::service_manager::{ServiceManager, WATCHDOG};

/// The name of the variable that says what this process serves.
const ROLE: &str = "STRAIGHTLINE_TEST_SERVICE";

fn say(what: &str) {
    assert!(notify(&[NotifyState::Status(what)]).expect("the manager listens"));
}

/// As a test this does nothing. As a child process it is a service.
#[test]
fn the_service() {
    let Ok(role) = env::var(ROLE) else { return };
    // With one queue for both threads, each client reaches a thread that is not stuck.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let builder = Server::builder().listener(listener).workers(2).systemd();
    let server = match &*role {
        "steps" => steps(builder),
        "stuck" => stuck(builder),
        "telling" => telling(builder),
        "unread" => unread(builder),
        _ => unheard(builder),
    };
    match server {
        Ok(server) => drop(server.run().expect("a good end")),
        Err(error) => {
            eprintln!("the error: {error}");
            process::exit(3);
        }
    }
}

fn steps(builder: ServerBuilder) -> std::io::Result<Server> {
    let reload = || {
        say("reads its settings");
        Ok(())
    };
    builder.shutdown_on_signals().on_reload(reload).build_with(|| {
        say("makes a handler");
        |_: &mut Request| "served"
    })
}

/// `/stick` keeps its thread until the standard input ends or has another byte.
fn stuck(builder: ServerBuilder) -> std::io::Result<Server> {
    builder.busy_limit(None).stuck_limit(None).build(|request: &mut Request| {
        if request.path() == "/stick" {
            say("stuck");
            let _ = stdin().read(&mut [0]);
        }
        "served"
    })
}

/// Prints its events.
fn telling(builder: ServerBuilder) -> std::io::Result<Server> {
    let observer = |event: &Event<'_>| match event {
        Event::NotifyFailed { .. } | Event::Reloaded { .. } => eprintln!("the event: {event}"),
        _ => (),
    };
    let builder = builder.shutdown_on_signals().observer(observer);
    builder.build(|request: &mut Request| request.server().metrics().to_prometheus())
}

/// Its access log goes to a program that reads nothing.
fn unread(builder: ServerBuilder) -> std::io::Result<Server> {
    struct Unread;
    impl Write for Unread {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            say("the log is stuck");
            stdin().read(&mut [0])
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let builder = builder.shutdown_on_signals().access_log(AccessLogFormat::Json, Unread);
    builder.build(|_: &mut Request| "served")
}

/// Ends when the event has come.
fn unheard(builder: ServerBuilder) -> std::io::Result<Server> {
    let observer = |event: &Event<'_>| {
        if let Event::NotifyFailed { .. } = event {
            eprintln!("the event: {event}");
            process::exit(4);
        }
    };
    builder.observer(observer).build(|_: &mut Request| "served")
}

fn service(role: &str, manager: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a path"));
    command
        .args(["--exact", "service_manager::the_service", "--nocapture"])
        .env(ROLE, role)
        .env("NOTIFY_SOCKET", manager)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn start(command: &mut Command) -> Child {
    command.spawn().expect("this program")
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    kill_process(pid, signal).expect("it runs");
}

fn connect(address: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the port is open");
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    stream
}

fn steps_are_told_to(manager: &ServiceManager) {
    let mut child = start(&mut service("steps", manager.address()));
    // It is ready when each thread has its handler, and not before.
    for _ in 0..2 {
        assert_eq!(manager.receive(), "STATUS=makes a handler\n");
    }
    let address = manager.wait_for_ready();
    let mut text = String::new();
    connect(&address, "/").read_to_string(&mut text).expect("an answer");
    assert!(text.ends_with("served"), "{text}");

    send(&child, Signal::HUP);
    let reloading = manager.receive();
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
    assert!(time.trim_end().parse::<u64>().is_ok_and(|time| time > 0), "{time}");
    assert_eq!(manager.receive(), "STATUS=reads its settings\n");
    assert_eq!(manager.wait_for_ready(), address);

    send(&child, Signal::TERM);
    let stopping = "STOPPING=1\nSTATUS=shutdown: draining, requests in flight are finished\n";
    assert_eq!(manager.receive(), stopping);
    assert!(child.wait().expect("it ends").success());
    assert_eq!(manager.receive_within(Duration::from_millis(1)), None);
}

#[test]
fn it_hears_of_each_step() {
    steps_are_told_to(&ServiceManager::new());
}

#[cfg(target_os = "linux")]
#[test]
fn its_address_may_be_an_abstract_name() {
    steps_are_told_to(&ServiceManager::with_abstract_name());
}

#[test]
fn the_watchdog_hears_nothing_while_every_thread_is_stuck() {
    let timeout = Duration::from_millis(400);
    let manager = ServiceManager::new();
    let mut command = service("stuck", manager.address());
    let mut child = start(command.env("WATCHDOG_USEC", timeout.as_micros().to_string()));
    let address = manager.wait_for_ready();
    let hears = || (0..5).for_each(|_| while manager.receive() != WATCHDOG {});
    hears();
    let first = connect(&address, "/stick");
    assert_eq!(manager.receive_state(), "STATUS=stuck\n");
    hears(); // of the other thread
    let second = connect(&address, "/stick");
    assert_eq!(manager.receive_state(), "STATUS=stuck\n");
    assert_eq!(manager.receive_within(3 * timeout), None);
    // One thread is enough.
    child.stdin.as_mut().expect("piped").write_all(b"\n").expect("a handler reads");
    hears();
    drop((first, second));
    send(&child, Signal::KILL);
    child.wait().expect("it ends");
}

/// Fills the queue of that manager; returns how many messages there are.
fn fill(manager: &ServiceManager) -> usize {
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.set_nonblocking(true).expect("a socket of our own");
    (0..100_000)
        .find(|_| socket.send_to(b"old", manager.address()).is_err())
        .expect("it is bounded")
}

#[test]
fn a_full_queue_delays_messages_and_neither_loses_nor_reorders_them() {
    let manager = ServiceManager::new();
    let old = fill(&manager);
    let mut child = start(&mut service("telling", manager.address()));
    let mut events = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut await_event = |what: &str| {
        let is_it = |line: io::Result<String>| line.is_ok_and(|line| line.contains(what));
        assert!(events.by_ref().any(is_it), "{what}");
    };
    await_event("the service manager cannot be told");
    send(&child, Signal::HUP);
    await_event("the event: SIGHUP: there is nothing to reload");
    // The reload is over, but the message of that may be on its way.
    for _ in 0..old {
        assert_eq!(manager.receive(), "old");
    }
    let mut told = vec![manager.receive()];
    while !(told.len() > 1 && told.last().is_some_and(|last| last.starts_with("READY=1\n"))) {
        told.push(manager.receive());
    }
    let address = told.last().and_then(|last| last.split("serving on ").nth(1)).expect("ready");
    let mut metrics = String::new();
    connect(address.trim_end(), "/").read_to_string(&mut metrics).expect("an answer");
    let is_counted = |line: &&str| line.starts_with("straightline_notify_failures_total ");
    assert!(!metrics.lines().find(is_counted).expect("a counter").ends_with(" 0"), "{metrics}");
    let firsts: Vec<_> = told.iter().map(|text| &text[..text.find('\n').unwrap()]).collect();
    // The first `READY=1` had begun before the queue had room, or the last one has replaced it.
    let expected: &[&str] = match firsts.len() {
        2 => &["RELOADING=1", "READY=1"],
        _ => &["READY=1", "RELOADING=1", "READY=1"],
    };
    assert_eq!(firsts, expected);
    send(&child, Signal::TERM);
    assert!(manager.receive().starts_with("STOPPING=1\n"));
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn the_watchdog_hears_the_end_of_a_shutdown_that_waits_for_the_log() {
    let manager = ServiceManager::new();
    let mut command = service("unread", manager.address());
    let mut child = start(command.env("WATCHDOG_USEC", "400000"));
    let address = manager.wait_for_ready();
    let mut text = String::new();
    connect(&address, "/").read_to_string(&mut text).expect("an answer");
    assert_eq!(manager.receive_state(), "STATUS=the log is stuck\n");
    send(&child, Signal::TERM);
    assert!(manager.receive_state().starts_with("STOPPING=1\n"));
    // The threads of the server end at once, and the rest of two seconds is the wait for the log,
    // which goes on for as long as the standard input is open: a wait would close it.
    let stdin = child.stdin.take();
    assert!(child.wait().expect("it ends").success());
    let mut beats = 0;
    while manager.receive_within(Duration::from_millis(1)).is_some() {
        beats += 1;
    }
    drop(stdin);
    assert!(beats >= 5, "{beats}");
}

#[test]
fn what_the_watchdog_expects_of_another_process_is_not_sent() {
    let manager = ServiceManager::new();
    let mut command = service("steps", manager.address());
    // The number of this process, which is the parent of the service.
    let pid = process::id().to_string();
    let mut child = start(command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", pid));
    manager.wait_for_ready();
    assert_eq!(manager.receive_within(Duration::from_millis(200)), None);
    send(&child, Signal::TERM);
    child.wait().expect("it ends");
}

#[test]
fn a_manager_that_is_gone_is_an_event_and_a_malformed_address_an_error() {
    let output = |manager: &str| {
        let output = start(&mut service("unheard", manager)).wait_with_output();
        let output = output.expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let gone = ServiceManager::new().address().to_owned();
    let (code, text) = output(&gone);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("the event: the service manager cannot be told: "), "{text}");
    let (code, text) = output("vsock:2:1234");
    assert_eq!(code, Some(3), "{text}");
    let error = "the error: NOTIFY_SOCKET is vsock:2:1234: it is neither a path nor";
    assert!(text.contains(error), "{text}");
}
