//! What an operator does to the process: signals and limits.
//!
//! Each test has a process to itself, because all threads of a process share its signals and its
//! limits.

use std::io;
use std::process::{Command, id};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::common::{Client, own_process::in_a_process, serve_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use straightline::{Capacity, Event, Request, ServerBuilder};

/// How long a test waits for an event that must happen. Only a failing test waits so long.
const LONG: Duration = Duration::from_secs(60);

fn signal(name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &id().to_string()]).status();
    assert!(sent.expect("there is a kill").success());
}

fn send_events(sender: Sender<String>) -> impl Fn(&Event<'_>) + Send + Sync {
    // The last events are emitted when the test no longer listens.
    move |event: &Event<'_>| drop(sender.send(event.to_string()))
}

fn wait_for(events: &Receiver<String>, text: &str) {
    while !events.recv_timeout(LONG).unwrap_or_else(|_| panic!("no `{text}`")).contains(text) {}
}

#[test]
fn sighup_reloads_and_is_no_end() {
    in_a_process(|| {
        let (sender, events) = channel();
        let (tell_begin, begun) = channel();
        let (end, ends) = channel();
        let ends = Mutex::new(ends);
        let reload = move || {
            tell_begin.send(()).map_err(io::Error::other)?;
            // Does what the test asks for. Once the test is over, the channel is closed.
            match ends.lock().expect("no panic").recv() {
                Ok("fail") => Err(io::Error::other("as\nyou wish")),
                Ok("panic") => panic!("as you wish"),
                _ => Ok(()),
            }
        };
        let server = serve_with(
            |builder| builder.shutdown_on_signals().on_reload(reload).observer(send_events(sender)),
            |_: &mut Request| "served",
        );
        for (say, expected) in [
            ("go on", "SIGHUP: reloaded"),
            ("fail", "SIGHUP: the reload failed: as\nyou wish"),
            ("panic", "SIGHUP: the reload failed: it panicked"),
        ] {
            signal("HUP");
            begun.recv_timeout(LONG).expect("the reload begins");
            end.send(say).expect("the reload waits");
            wait_for(&events, expected);
            assert_eq!(server.client().get("/").text(), "served");
        }
        // Signals during a reload cause exactly one more reload. A slow reload does not delay
        // a stop.
        signal("HUP");
        begun.recv_timeout(LONG).expect("the reload begins");
        for _ in 0..3 {
            signal("HUP");
        }
        end.send("go on").expect("the reload waits");
        begun.recv_timeout(LONG).expect("a second reload begins");
        signal("TERM");
        wait_for(&events, "shutdown:");
        server.join();
        drop(end);
    });
}

#[test]
fn sighup_with_nothing_to_reload_is_reported() {
    in_a_process(|| {
        let (sender, events) = channel();
        let server = serve_with(
            |builder| builder.shutdown_on_signals().observer(send_events(sender)),
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
            return; // the hard limit leaves nothing to raise
        }
        let lowered = Rlimit { current: Some(soft), maximum: hard };
        let started = |raise| {
            setrlimit(Resource::Nofile, lowered).expect("a lower limit");
            let (sender, events) = channel();
            let configure = |builder: ServerBuilder| {
                builder.raise_descriptor_limit(raise).observer(send_events(sender))
            };
            let server = serve_with(configure, |_: &mut Request| "served");
            let event = events.recv_timeout(LONG).expect("an event of the start");
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

/// The clients are in the queue before the server runs. The descriptors are enough for its shards,
/// but not for the clients as well.
#[test]
fn clients_cannot_take_the_descriptors_that_shards_start_with() {
    const SHARDS: usize = 6;
    in_a_process(|| {
        let server = straightline::Server::builder().bind("127.0.0.1:0").workers(SHARDS);
        let server = server.raise_descriptor_limit(false).quiet();
        let server = server.capacity(Capacity::default().with_connections(usize::MAX));
        let server = server.build(|_: &mut Request| "served").expect("a port");
        let address = server.local_addrs()[0].as_tcp().expect("a TCP address");
        let mut clients: Vec<_> = (0..100).map(|_| Client::connect(address)).collect();
        let open = std::fs::read_dir("/proc/self/fd").expect("a system with /proc").count() as u64;
        // A driver, its notifier and two copies of the listener for each shard.
        let limit = Some(open + 4 * SHARDS as u64 + 10);
        setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).expect("a limit");
        let handle = server.handle();
        let running = std::thread::spawn(move || server.run());
        // Those that are accepted first make room for the others when they leave.
        for client in &mut clients {
            client.send("GET / HTTP/1.0\r\n\r\n");
        }
        clients.iter_mut().for_each(|client| assert!(client.rest().ends_with(b"served")));
        handle.shutdown();
        running.join().expect("no panic").expect("the server runs to its end");
    });
}
