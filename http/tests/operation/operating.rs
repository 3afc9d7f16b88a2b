//! What an operator does to the process: signals and limits.
//!
//! Each test has a process to itself, since the signals and the limits of a process are one for all
//! of its threads.

use std::io;
use std::process::{Command, id};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::common::{own_process::in_a_process, serve_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use straightline::{Builder, Event, Request};

/// For what has to happen; only a failure takes so long.
const LONG: Duration = Duration::from_secs(60);

fn signal(name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &id().to_string()]).status();
    assert!(sent.expect("there is a kill").success());
}

fn told(tell: Sender<String>) -> impl Fn(&Event<'_>) + Send + Sync {
    // The last of them come when the test no longer listens.
    move |event: &Event<'_>| drop(tell.send(event.to_string()))
}

fn wait_for(events: &Receiver<String>, text: &str) {
    while !events.recv_timeout(LONG).unwrap_or_else(|_| panic!("no `{text}`")).contains(text) {}
}

#[test]
fn sighup_reloads_and_is_no_end() {
    in_a_process(|| {
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
    });
}

#[test]
fn sighup_with_nothing_to_reload_is_reported() {
    in_a_process(|| {
        let (tell, events) = channel();
        let server = serve_with(
            |builder| builder.stop_on_signals().hooks(told(tell)),
            |_: &mut Request| "served",
        );
        signal("HUP");
        wait_for(&events, "SIGHUP: there is nothing to reload");
        assert_eq!(server.client().get("/").text(), "served");
    });
}

#[test]
fn the_descriptor_limit_is_raised_unless_that_is_turned_off() {
    in_a_process(|| {
        let hard = getrlimit(Resource::Nofile).maximum;
        let soft = 300;
        if hard.is_some_and(|hard| hard <= soft) {
            return; // there is nothing to raise here
        }
        let lowered = Rlimit { current: Some(soft), maximum: hard };
        let started = |raise| {
            setrlimit(Resource::Nofile, lowered).expect("a lower limit");
            let (tell, events) = channel();
            let configure =
                |builder: Builder| builder.raise_descriptor_limit(raise).hooks(told(tell));
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
    });
}
