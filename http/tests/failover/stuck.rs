//! If a handler gets stuck and keeps its thread, the clients of that thread lose their connections,
//! and no other client is harmed. No handler can keep a server from ending.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use crate::common::{Running, own_process::child, serve_with};
use signal_hook::consts::SIGABRT;
use straightline::sched::{self, Report};
use straightline::{
    AllStuck, Capacity, Event, OverloadPolicy, Request, Response, Server, ServerBuilder, Timeouts,
};

/// The events about stuck shards.
#[derive(Debug, PartialEq, Eq)]
enum Message {
    /// The label of the stuck fiber: the request line of its handler.
    Report(Option<String>),
    Stuck(usize, Option<usize>),
    All(usize),
}

struct Trial {
    server: Running,
    messages: Receiver<Message>,
    /// Gets a message when a stuck handler has unwound.
    unwound: Receiver<()>,
    /// Ends the loops of the handlers.
    release: Arc<AtomicBool>,
}

struct SendOnDrop(Sender<()>);

impl Drop for SendOnDrop {
    fn drop(&mut self) {
        // The test may be over.
        let _ = self.0.send(());
    }
}

/// A server whose handler at `/spin` keeps its thread until it is released, and then parks for
/// ever, or returns if the request says so.
fn trial(replacements: usize, drain_timeout: Duration) -> Trial {
    trial_with(|builder| builder.replacements(replacements).drain_timeout(drain_timeout))
}

fn trial_with(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Trial {
    let (sender, messages) = mpsc::channel();
    let (unwinds, unwound) = mpsc::channel();
    let release = Arc::new(AtomicBool::new(false));
    let hooks = move |event: &Event<'_>| {
        let message = match event {
            Event::FiberReported { report: Report::Stuck(stall), .. } => {
                Message::Report(stall.label.clone())
            }
            Event::ShardStuck { shard, replacement, .. } => Message::Stuck(*shard, *replacement),
            Event::AllStuck { shards, .. } => Message::All(*shards),
            _ => return,
        };
        // The test may be over.
        let _ = sender.send(message);
    };
    let is_released = Arc::clone(&release);
    let server = serve_with(
        |builder| configure(builder.stuck_limit(Some(Duration::from_millis(100))).observer(hooks)),
        move |request: &mut Request| {
            if request.path() == "/spin" {
                let _notice = SendOnDrop(unwinds.clone());
                while !is_released.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
                if !request.headers().contains("x-returns") {
                    sched::park();
                }
            }
            "served"
        },
    );
    Trial { server, messages, unwound, release }
}

const SPIN: &str = "GET /spin?x=1 HTTP/1.1\r\nHost: a\r\n\r\n";

/// The request line, on systems where a report can contain it.
fn label() -> Option<String> {
    cfg!(target_os = "linux").then(|| "GET /spin?x=1".to_owned())
}

/// Waits for the event that a shard is stuck and for the report of its fiber. Returns the numbers
/// of the shard and of its replacement.
fn stuck(messages: &Receiver<Message>) -> (usize, Option<usize>) {
    let (mut report, mut stuck) = (None, None);
    while report.is_none() || stuck.is_none() {
        match messages.recv_timeout(Duration::from_secs(60)).expect("an event") {
            Message::Report(label) => report = Some(label),
            Message::Stuck(shard, replacement) => stuck = Some((shard, replacement)),
            all @ Message::All(_) => panic!("{all:?}"),
        }
    }
    assert_eq!(report, Some(label()));
    stuck.expect("both are there")
}

#[test]
fn the_shard_of_a_stuck_handler_is_replaced_and_ends_when_it_can() {
    let Trial { server, messages, unwound, release } = trial(4, Duration::from_millis(100));
    let mut neighbour = server.client();
    assert_eq!(neighbour.get("/").text(), "served");
    let mut stuck_client = server.client();
    stuck_client.send(SPIN);
    assert_eq!(stuck(&messages), (0, Some(1)));
    // Both connections end, and a client that connects now is served.
    stuck_client.wait_for_end();
    assert!(neighbour.is_at_end());
    assert_eq!(server.client().get("/").text(), "served");
    release.store(true, Ordering::SeqCst);
    unwound.recv().unwrap();
    assert_eq!(server.client().get("/").text(), "served");
    server.handle.shutdown();
    let counters = server.join();
    assert_eq!((counters.requests, counters.unanswered), (4, 1));
}

#[test]
fn what_a_stuck_handler_returns_at_last_is_no_answer() {
    let Trial { server, messages, unwound, release } = trial(4, Duration::from_millis(100));
    let mut stuck_client = server.client();
    stuck_client.send("GET /spin?x=1 HTTP/1.1\r\nHost: a\r\nX-Returns: 1\r\n\r\n");
    assert_eq!(stuck(&messages), (0, Some(1)));
    stuck_client.wait_for_end();
    release.store(true, Ordering::SeqCst);
    unwound.recv().unwrap();
    server.handle.shutdown();
    let counters = server.join();
    let answered = counters.requests - counters.unanswered;
    assert_eq!((counters.requests, answered, counters.aborted), (1, 0, 1));
}

#[test]
fn clients_that_wait_in_its_queue_are_served_by_the_next() {
    let Trial { server, messages, unwound, release } = trial(4, Duration::from_millis(100));
    let mut stuck_client = server.client();
    stuck_client.send(SPIN);
    // The handler keeps the thread now or soon, so these clients connect before that or after it.
    let mut waiting: Vec<_> = (0..10).map(|_| server.client()).collect();
    for client in &mut waiting {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    assert_eq!(stuck(&messages), (0, Some(1)));
    stuck_client.wait_for_end();
    assert_eq!(server.client().get("/").text(), "served");
    release.store(true, Ordering::SeqCst);
    unwound.recv().unwrap();
    // No client hangs: it is answered, or it had a connection of the stuck shard, which has ended.
    for client in &mut waiting {
        client.wait_for_end_or_answer();
    }
}

#[test]
fn as_many_shards_are_replaced_as_are_allowed() {
    let Trial { server, messages, release, .. } = trial(2, Duration::from_millis(100));
    for (shard, replacement) in [(0, Some(1)), (1, Some(2)), (2, None)] {
        let mut stuck_client = server.client();
        stuck_client.send(SPIN);
        assert_eq!(stuck(&messages), (shard, replacement));
        stuck_client.wait_for_end();
    }
    // No shard is left.
    assert_eq!(messages.recv().unwrap(), Message::All(3));
    let error = server.join_error();
    assert!(error.to_string().contains("every shard is stuck"), "{error}");
    release.store(true, Ordering::SeqCst);
}

/// Ends the process like a `main` that returns the result of `body`.
fn as_main(body: impl FnOnce() -> io::Result<()>) {
    process::exit(match body() {
        Ok(()) => 0,
        Err(error) => {
            // In one piece: other threads print faults.
            let line = format!("the server ended: {error}\n");
            io::stderr().write_all(line.as_bytes()).expect("the test reads");
            3
        }
    });
}

/// Serves with a handler that uses a `LazyLock` whose initialiser waits. New clients send requests
/// until every shard is stuck.
fn serve_a_lazy_lock(all_stuck: AllStuck) -> io::Result<()> {
    static CONFIGURATION: LazyLock<String> = LazyLock::new(|| {
        sched::sleep(Duration::from_secs(1));
        "served".to_owned()
    });
    let server = Server::builder()
        .bind("127.0.0.1:0")
        .workers(2)
        .replacements(2)
        .stuck_limit(Some(Duration::from_millis(300)))
        .all_stuck(all_stuck)
        .build(|_: &mut Request| CONFIGURATION.clone())?;
    let address = server.local_addrs()[0].as_tcp().expect("an address of TCP");
    thread::spawn(move || {
        let mut clients = Vec::new();
        // The connections end with the process.
        while let Ok(mut client) = TcpStream::connect(address) {
            let _ = client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            clients.push(client);
            thread::sleep(Duration::from_millis(20));
        }
    });
    // A bound, so that the test does not hang if the server does not end.
    let handle = server.handle();
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(30));
        handle.shutdown();
        handle.shutdown();
    });
    server.run().map(drop)
}

#[test]
fn a_lazy_lock_whose_initialiser_waits_ends_the_server_with_an_error() {
    let output = child(|| as_main(|| serve_a_lazy_lock(AllStuck::EndServer)));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{:?}: {stderr}", output.status);
    assert!(stderr.contains("the server ended: every shard is stuck"), "{stderr}");
    // The server has no hooks, so it writes this event to the standard error.
    assert!(stderr.contains("straightline: every shard is stuck (4)"), "{stderr}");
}

#[test]
fn a_lazy_lock_whose_initialiser_waits_ends_the_process_if_that_is_asked_for() {
    let output = child(|| as_main(|| serve_a_lazy_lock(AllStuck::AbortProcess)));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(SIGABRT), "{:?}: {stderr}", output.status);
    assert!(stderr.contains("straightline: aborting: every shard is stuck (4)"), "{stderr}");
}

#[test]
fn one_takeover_after_the_other_leaves_its_sums_and_nothing_else() {
    const ROUNDS: u64 = 8;
    // If a shard that has ended still counted, there would be no second replacement.
    let Trial { server, messages, unwound, release } = trial(1, Duration::from_millis(100));
    for round in 1..=ROUNDS {
        assert_eq!(server.client().get("/").text(), "served");
        let mut stuck_client = server.client();
        stuck_client.send(SPIN);
        assert!(stuck(&messages).1.is_some());
        stuck_client.wait_for_end();
        release.store(true, Ordering::SeqCst);
        unwound.recv().unwrap();
        while server.handle.metrics().shards.len() > 1 || server.handle.metrics().stuck > 0 {
            thread::yield_now();
        }
        release.store(false, Ordering::SeqCst);
        let metrics = server.handle.metrics();
        assert_eq!((metrics.counters.requests, metrics.replacements), (2 * round, round));
    }
    server.handle.shutdown();
    let handle = server.handle.clone();
    let counters = server.join();
    assert_eq!((counters.accepted, counters.answered), (2 * ROUNDS, ROUNDS));
    assert_eq!(handle.metrics().latencies.count(), ROUNDS);
}

#[test]
fn the_room_of_a_stuck_shard_is_given_to_others() {
    let room =
        Capacity::default().with_connections(2).with_connections_per_peer(2).with_in_flight(1);
    let Trial { server, messages, unwound, release } = trial_with(|builder| builder.capacity(room));
    let mut neighbour = server.client();
    assert_eq!(neighbour.get("/").text(), "served");
    let mut stuck_client = server.client();
    stuck_client.send(SPIN);
    assert_eq!(stuck(&messages), (0, Some(1)));
    let (mut one, mut other) = (server.client(), server.client());
    assert_eq!(one.get("/").text(), "served");
    assert_eq!(other.get("/").text(), "served");
    assert_eq!(server.client().get("/").status, 503);
    release.store(true, Ordering::SeqCst);
    unwound.recv().unwrap();
    while server.handle.counters().closed < 2 {
        std::thread::yield_now();
    }
    // The room is given only once.
    assert_eq!(server.client().get("/").status, 503);
    assert_eq!(one.get("/").text(), "served");
}

#[test]
fn a_server_ends_without_its_stuck_shard() {
    let Trial { server, messages, unwound, release } = trial(4, Duration::from_secs(30));
    let mut stuck_client = server.client();
    stuck_client.send(SPIN);
    assert_eq!(stuck(&messages), (0, Some(1)));
    server.handle.shutdown();
    let report = server.join_report();
    // The server has not waited for the stuck shard until the drain timeout.
    assert!(report.stuck == 1 && report.took < Duration::from_secs(30), "{report}");
    release.store(true, Ordering::SeqCst);
    unwound.recv().unwrap();
}

#[test]
fn a_handler_that_goes_on_for_ever_does_not_keep_the_server() {
    let (sender, receiver) = mpsc::channel();
    let server = serve_with(
        |builder| builder.drain_timeout(Duration::ZERO),
        move |_: &mut Request| -> &'static str {
            sender.send(()).expect("the test listens");
            loop {
                // Worker loops that know nothing about cancellation look like this.
                let _ = catch_unwind(sched::park);
            }
        },
    );
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    receiver.recv().unwrap();
    server.handle.shutdown();
    let report = server.join_report();
    assert_eq!((report.cancelled, report.abandoned, report.stuck), (1, 1, 0), "{report}");
    client.wait_for_end();
}

/// In each case, a fiber is abandoned while the server goes on. It is the fiber of the connection,
/// or one that borrows from the handler; then the fiber of the connection is abandoned too.
#[test]
fn a_connection_whose_fiber_is_abandoned_ends_and_is_counted() {
    let timeouts = Timeouts::default().with_handler(Duration::from_millis(20));
    let capacity =
        Capacity::default().with_connections(1).with_overload_policy(OverloadPolicy::Queue);
    let server = serve_with(
        |builder| builder.timeouts(timeouts).capacity(capacity),
        |request: &mut Request| match request.path() {
            "/own" => swallow_for_ever(),
            "/child" => sched::scope(|s| {
                s.spawn(swallow_for_ever);
                "never returned"
            }),
            "/thread" => {
                let text = String::from("lent");
                std::thread::scope(|threads| {
                    // This thread outlives the server, but not the process.
                    threads.spawn(|| {
                        loop {
                            std::thread::park();
                            std::hint::black_box(&text);
                        }
                    });
                    swallow_for_ever()
                })
            }
            "/read" => {
                let mut read = || request.body().read(&mut [0]);
                let _ = sched::deadline(Duration::ZERO, || -> io::Result<()> {
                    loop {
                        let _ = catch_unwind(AssertUnwindSafe(&mut read));
                    }
                });
                "never returned"
            }
            _ => "served",
        },
    );
    for (number, path) in (1..).zip(["/own", "/child", "/thread", "/read"]) {
        let mut client = server.client();
        // The body never comes.
        client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"));
        client.wait_for_end();
        // There is room for one connection, so the previous connection does not count any more.
        let mut other = server.client();
        other.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(other.receive().text(), "served");
        other.wait_for_end();
        let counters = server.handle.counters();
        assert_eq!((counters.aborted, counters.unanswered), (number, number), "{path}");
        assert_eq!(counters.awaiting_client, 0, "{path}");
    }
    server.handle.shutdown();
    let handle = server.handle.clone();
    let report = server.join_report();
    assert_eq!((report.cancelled, report.abandoned, report.stuck), (0, 5, 0), "{report}");
    let counters = handle.counters();
    assert_eq!((counters.accepted, counters.closed, counters.in_flight), (8, 8, 0));
    assert_eq!((counters.requests, counters.answered, counters.unanswered), (8, 4, 4));
}

fn swallow_for_ever() -> &'static str {
    loop {
        let _ = catch_unwind(sched::park);
    }
}

/// The end of the connection ends this body. So the body would look whole if the connection ended
/// without a reset.
#[test]
fn a_response_whose_fiber_is_abandoned_does_not_look_whole() {
    let timeouts = Timeouts::default().with_handler(Duration::from_millis(20));
    let server = serve_with(
        |builder| builder.timeouts(timeouts),
        |_: &mut Request| {
            Response::stream(|_, body| {
                body.write_all(b"half of it")?;
                body.flush()?;
                swallow_for_ever();
                Ok(())
            })
        },
    );
    let mut client = server.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.receive_with(false).status, 200);
    let end = client.stream.read_to_end(&mut Vec::new());
    assert_eq!(end.expect_err("it was cut").kind(), ErrorKind::ConnectionReset);
}
