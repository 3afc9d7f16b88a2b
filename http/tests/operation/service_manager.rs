//! The service manager that has started a server hears when it is ready, reloads, shuts down, and
//! is alive.
//!
//! The servers are child processes: this program, started again with an environment of its own.

use std::io::{Read, Write, stdin};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, process};

use rustix::process::{Pid, Signal, kill_process};
use straightline::systemd::{NotifyState, notify};
use straightline::{Event, Request, Server, ServerBuilder};

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
