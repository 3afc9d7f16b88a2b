//! What a panic of a handler does is a policy: the server goes on, the shard is renewed, or the
//! process aborts.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::common::own_process::child;
use crate::common::simulated::{Client, assert_between, secs, time_since};
use crate::common::{self, serve_with};
use straightline::net::{MemoryStream, TcpStream};
use straightline::sched::{self, JoinHandle, sim};
use straightline::{
    ConnectionEnd, Event, Handler, IntoResponse, PanicPolicy, Peer, Request, Response, Server,
    ServerBuilder, ServerHandle, ShutdownReport,
};

/// A handler that counts the requests of its shard, in state that is made for each shard.
fn counting() -> impl for<'r> Handler<'r> + 'static {
    let served = Cell::new(0);
    move |request: &mut Request| {
        served.set(served.get() + 1);
        match request.path() {
            "/panic" => panic!("on purpose"),
            "/panic-in-body" => Response::stream(|_, body| {
                body.write_all(b"begun")?;
                panic!("on purpose")
            }),
            "/slow" => {
                sched::sleep(secs(20));
                format!("slow {}", served.get()).into_response()
            }
            "/never" => {
                request.set_handler_timeout(secs(100_000));
                sched::sleep(secs(50_000));
                "never".into_response()
            }
            _ => format!("number {}", served.get()).into_response(),
        }
    }
}

/// Everything that a test of a simulated server needs.
struct Simulated {
    address: SocketAddr,
    handle: ServerHandle,
    serving: JoinHandle<std::io::Result<ShutdownReport>>,
    /// The numbers of the shards that were renewed, and of those that have their listeners.
    renewed: Arc<Mutex<Vec<(usize, usize)>>>,
}

impl Simulated {
    fn start(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let renewed = Arc::new(Mutex::new(Vec::new()));
        let records = Arc::clone(&renewed);
        let builder = Server::builder().bind("127.0.0.1:0").workers(1);
        let builder = builder.on_panic(PanicPolicy::DrainShard).drain_timeout(secs(60));
        let builder = builder.observer(move |event: &Event<'_>| {
            if let Event::ShardRenewed { shard, replacement, .. } = event {
                records.lock().expect("no panic").push((*shard, *replacement));
            }
        });
        let server = configure(builder).build_with(counting).expect("a port");
        let address = server.local_addrs()[0].as_tcp().expect("TCP");
        let handle = server.handle();
        Self { address, handle, serving: sched::spawn(|| server.run()), renewed }
    }

    fn ask(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        Client::connect(self.address).send(&request).rest().0
    }

    fn renewed(&self) -> Vec<(usize, usize)> {
        self.renewed.lock().expect("no panic").clone()
    }

    fn end(self) -> ShutdownReport {
        self.handle.shutdown();
        let report = self.serving.join().expect("no panic").expect("a good end");
        let counters = self.handle.counters();
        assert_eq!(counters.accepted, counters.closed, "{counters:?}");
        assert_eq!(counters.requests, counters.answered + counters.unanswered, "{counters:?}");
        report
    }
}

#[test]
fn a_shard_whose_handler_panics_is_renewed_and_finishes_its_requests() {
    sim::run(1, || {
        let server = Simulated::start(|builder| builder);
        let mut idle = Client::connect(server.address);
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert!(idle.send(get).receive().ends_with("number 1"));
        let mut slow = Client::connect(server.address);
        slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        sched::sleep(secs(1));
        let begin = sim::elapsed();
        assert!(server.ask("/panic").starts_with("HTTP/1.1 500 "));
        // The idle connection is closed at once. New clients find state that is made anew.
        assert_eq!(idle.rest().0, "");
        assert_between(time_since(begin), secs(0), secs(1));
        assert!(server.ask("/").ends_with("number 1"));
        assert_eq!(server.renewed(), [(0, 1)]);
        let (answer, _) = slow.rest();
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert!(answer.ends_with("slow 3"), "{answer}");
        assert_between(time_since(begin), secs(18), secs(20));
        assert!(server.ask("/").ends_with("number 2"));
        sched::sleep(secs(1));
        let metrics = server.handle.metrics();
        assert_eq!((metrics.renewals, metrics.replacements, metrics.shards.len()), (1, 0, 1));
        let report = server.end();
        // The report is about the shutdown alone.
        assert_eq!((report.idle, report.finished, report.cancelled), (0, 0, 0), "{report}");
    });
}

#[test]
fn the_drain_of_a_renewed_shard_ends_by_the_drain_timeout() {
    sim::run(1, || {
        let server = Simulated::start(|builder| builder);
        let mut never = TcpStream::connect(server.address).expect("it listens");
        never.write_all(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
        sched::sleep(secs(1));
        let begin = sim::elapsed();
        assert!(!server.ask("/panic-in-body").ends_with("0\r\n\r\n"));
        assert_eq!(never.read(&mut [0; 10]).unwrap_or(0), 0);
        assert_between(time_since(begin), secs(60), secs(62));
        assert!(server.ask("/").ends_with("number 1"));
        assert_eq!(server.handle.counters().force_closed, 1);
        assert_eq!(server.end().cancelled, 0);
    });
}

#[test]
fn panics_at_each_request_make_few_shards_and_the_server_goes_on() {
    sim::run(1, || {
        let server = Simulated::start(|builder| builder);
        let begin = sim::elapsed();
        while time_since(begin) < secs(300) {
            assert!(server.ask("/panic").starts_with("HTTP/1.1 500 "));
            assert!(server.ask("/").starts_with("HTTP/1.1 200 "));
            sched::sleep(secs(1) / 4);
        }
        // At 0, 1, 3, 7, 15, 31, 63, 123, 183 and 243 seconds, or a little later.
        let renewed = server.renewed();
        assert!((9..=10).contains(&renewed.len()), "{renewed:?}");
        assert_eq!(server.handle.metrics().shards.len(), 1);
        let report = server.end();
        assert_eq!(report.stuck, 0, "{report}");
    });
}

#[test]
fn without_a_further_shard_the_server_goes_on_and_a_shutdown_ends_it() {
    sim::run(1, || {
        let server = Simulated::start(|builder| builder.replacements(0));
        for number in 1..=5 {
            assert!(server.ask("/panic").starts_with("HTTP/1.1 500 "));
            assert!(server.ask("/").ends_with(&format!("number {}", 2 * number)));
            sched::sleep(secs(10));
        }
        assert_eq!(server.renewed(), []);
        server.end();
    });
}

#[test]
fn a_shutdown_waits_for_the_drain_of_a_renewed_shard() {
    sim::run(1, || {
        let server = Simulated::start(|builder| builder);
        let mut slow = Client::connect(server.address);
        slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        sched::sleep(secs(1));
        assert!(server.ask("/panic").starts_with("HTTP/1.1 500 "));
        sched::sleep(secs(1));
        assert_eq!(server.renewed(), [(0, 1)]);
        let report = server.end();
        assert!(slow.rest().0.ends_with("slow 2"));
        assert_between(report.took, secs(16), secs(20));
    });
}

#[test]
fn real_threads_are_renewed_too() {
    let server = serve_with(
        |builder| builder.workers(2).on_panic(PanicPolicy::DrainShard).quiet(),
        |request: &mut Request| match request.path() {
            "/panic" => panic!("on purpose"),
            _ => "fine",
        },
    );
    assert_eq!(server.client().get("/panic").status, 500);
    while server.handle.metrics().renewals == 0 || server.handle.metrics().shards.len() != 2 {
        thread::yield_now();
    }
    // Whichever shard accepts, clients are served.
    for _ in 0..20 {
        assert_eq!(server.client().get("/").text(), "fine");
    }
    server.handle.shutdown();
    let counters = server.join();
    assert_eq!((counters.panicked, counters.force_closed), (1, 0));
}

#[test]
fn a_local_server_shuts_down() {
    sched::run(|| {
        let server = Server::builder().on_panic(PanicPolicy::DrainShard).quiet();
        let server = server.build_local(|_: &mut Request| -> &str { panic!("on purpose") });
        let server = server.expect("a stack");
        let (client, stream) = MemoryStream::pair(1_000);
        client.try_write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let end = server.handle().serve(stream, Peer::named("a test"));
        assert!(matches!(end, ConnectionEnd::Closed), "{end}");
        let mut answer = [0; 1_000];
        let count = client.try_read(&mut answer).unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 500 "));
        assert_eq!(server.join().cancelled, 0);
    });
}

#[test]
fn a_panic_may_abort_the_process_after_it_was_printed() {
    let output = child(|| {
        let server = serve_with(
            |builder| builder.on_panic(PanicPolicy::Abort),
            |_: &mut Request| -> &str { panic!("on purpose") },
        );
        common::Client::connect(server.address).get("/x");
    });
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(6), "{:?}: {text}", output.status);
    let line = text.lines().find_map(|line| line.strip_prefix("straightline: aborting: "));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains("the handler of GET /x panicked at ") && line.ends_with("on purpose"));
    let printed = text.find("panicked at ").expect("the panic hook prints it");
    assert!(printed < text.find("aborting").expect("the last line"), "{text}");
}
