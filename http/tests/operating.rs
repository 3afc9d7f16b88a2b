//! What an operator does to the process: signals, limits, and logs that nobody reads.

mod common;

use std::io::{self, Write};
use std::process::{Command, id};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::serve_with;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use straightline::{AccessLogFormat, Builder, Event, Request};

/// For what has to happen; only a failure takes so long.
const LONG: Duration = Duration::from_secs(60);

/// Signals and limits are the process's, and the tests are its threads.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signal(name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &id().to_string()]).status();
    assert!(sent.expect("there is a kill").success());
}

fn told(tell: Sender<String>) -> impl Fn(&Event<'_>) + Send + Sync {
    // The last of them come when nobody listens any more.
    move |event: &Event<'_>| drop(tell.send(event.to_string()))
}

fn wait_for(events: &Receiver<String>, text: &str) {
    while !events.recv_timeout(LONG).unwrap_or_else(|_| panic!("no `{text}`")).contains(text) {}
}

#[test]
fn sighup_reloads_and_is_no_end() {
    let _alone = alone();
    let (tell, events) = channel();
    let (tell_begin, begun) = channel();
    let (end, ends) = channel();
    let ends = Mutex::new(ends);
    let reload = move || {
        tell_begin.send(()).map_err(io::Error::other)?;
        // What the test says, and nothing once it is over.
        match ends.lock().expect("no panic").recv() {
            Ok("fail") => Err(io::Error::other("as\nyou wish")),
            Ok("panic") => panic!("as you wish"),
            _ => Ok(()),
        }
    };
    let server = serve_with(
        |builder| builder.stop_on_signals().on_reload(reload).hooks(told(tell)),
        |_: &mut Request| "served",
    );
    for (say, expected) in [
        ("go on", "SIGHUP: reloaded"),
        ("fail", "SIGHUP: the reload failed: as\nyou wish"),
        ("panic", "SIGHUP: the reload failed: it panicked"),
    ] {
        signal("HUP");
        begun.recv_timeout(LONG).expect("it is reloaded");
        end.send(say).expect("it waits");
        wait_for(&events, expected);
        assert_eq!(server.client().get("/").text(), "served");
    }
    // Those that come while it is under way are one more; how long it takes delays no stop.
    signal("HUP");
    begun.recv_timeout(LONG).expect("it is reloaded");
    for _ in 0..3 {
        signal("HUP");
    }
    end.send("go on").expect("it waits");
    begun.recv_timeout(LONG).expect("it is reloaded once more");
    signal("TERM");
    wait_for(&events, "shutdown:");
    server.join();
    drop(end);
}

#[test]
fn sighup_with_nothing_to_reload_is_told() {
    let _alone = alone();
    let (tell, events) = channel();
    let server = serve_with(
        |builder| builder.stop_on_signals().hooks(told(tell)),
        |_: &mut Request| "served",
    );
    signal("HUP");
    wait_for(&events, "SIGHUP: there is nothing to reload");
    assert_eq!(server.client().get("/").text(), "served");
}

#[test]
fn the_descriptor_limit_is_raised_unless_it_is_not_to_be() {
    let _alone = alone();
    let hard = getrlimit(Resource::Nofile).maximum;
    let soft = 300;
    if hard.is_some_and(|hard| hard <= soft) {
        return; // there is nothing to raise here
    }
    let lowered = Rlimit { current: Some(soft), maximum: hard };
    let started = |raise| {
        setrlimit(Resource::Nofile, lowered).expect("a lower limit");
        let (tell, events) = channel();
        let configure = |builder: Builder| builder.raise_descriptor_limit(raise).hooks(told(tell));
        let server = serve_with(configure, |_: &mut Request| "served");
        let event = events.recv_timeout(LONG).expect("it starts");
        drop(server);
        event
    };
    let kept = "serving up to 225 connections at a time; the process may open 300 descriptors";
    assert_eq!(started(false), kept);
    let raised = started(true);
    assert!(raised.ends_with(" descriptors, raised from 300"), "{raised}");
    assert!(getrlimit(Resource::Nofile).current > Some(soft));
}

/// A reader that takes nothing.
struct Asleep(Receiver<()>);

impl Write for Asleep {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        self.0.recv().map(|()| 0).map_err(io::Error::other)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_access_log_that_nobody_reads_is_bounded_in_bytes() {
    let (keep, asleep) = channel();
    let server = serve_with(
        |builder| {
            let builder = builder.access_log(AccessLogFormat::Json, Asleep(asleep));
            builder.access_log_bytes(64 * 1024)
        },
        |_: &mut Request| "served",
    );
    let agent = "x".repeat(7_000);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n");
    let mut client = server.client();
    for _ in 0..200 {
        assert_eq!(client.ask(&request).status, 200);
    }
    // Of each there are 2 KiB, so 32 at most.
    while server.handle.metrics().access_log_dropped < 200 - 32 {
        std::thread::yield_now();
    }
    server.handle.shutdown();
    server.join(); // which takes two seconds
    drop(keep);
}
