//! Several servers of one process: on the same shards, or with shards of their own.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::common;
use crate::common::simulated::{Client, assert_between, secs, time_since};
use straightline::net::TcpStream;
use straightline::sched::{self, JoinHandle, sim};
use straightline::{
    Capacity, Counters, IntoResponse, Limits, PanicPolicy, Request, Response, Server,
    ServerBuilder, ServerHandle, ShutdownReport,
};

fn builder(workers: usize) -> ServerBuilder {
    Server::builder().bind("127.0.0.1:0").workers(workers).quiet()
}

fn address(server: &Server) -> SocketAddr {
    server.local_addrs()[0].as_tcp().expect("TCP")
}

fn assert_all_over(counters: &Counters) {
    assert_eq!(counters.accepted, counters.closed, "{counters:?}");
    assert_eq!(counters.requests, counters.answered + counters.unanswered, "{counters:?}");
}

/// Two servers with threads, one on the shards of the other.
struct Pair {
    public: SocketAddr,
    admin: SocketAddr,
    handles: [ServerHandle; 2],
    thread: thread::JoinHandle<io::Result<ShutdownReport>>,
}

impl Pair {
    fn start(public: Server, admin: Server) -> Self {
        let (handles, public_at, admin_at) =
            ([public.handle(), admin.handle()], address(&public), address(&admin));
        let server = public.also(admin).expect("the same number of workers");
        let thread = thread::spawn(|| server.run());
        Self { public: public_at, admin: admin_at, handles, thread }
    }

    fn end(self) {
        self.handles[0].shutdown();
        self.thread.join().expect("no panic").expect("a good end");
        self.handles.iter().for_each(|handle| assert_all_over(&handle.counters()));
    }
}

fn get(address: SocketAddr, path: &str) -> common::Answer {
    common::Client::connect(address).get(path)
}

#[test]
fn two_servers_share_threads_and_nothing_else() {
    let threads = Arc::new(Mutex::new([BTreeSet::new(), BTreeSet::new()]));
    let handler = |index: usize| {
        let threads = Arc::clone(&threads);
        move |request: &mut Request| {
            let name = thread::current().name().expect("a name").to_owned();
            threads.lock().unwrap()[index].insert(name);
            request.body().read_to_vec(1 << 20).map(|body| format!("{index} {}", body.len()))
        }
    };
    let public = builder(2).build(handler(0)).expect("a port");
    let admin = builder(2).limits(Limits::default().with_body_bytes(3));
    let admin = admin.capacity(Capacity::default().with_connections(1)).build(handler(1));
    let pair = Pair::start(public, admin.expect("a port"));
    for _ in 0..50 {
        assert_eq!(get(pair.public, "/").text(), "0 0");
    }
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(common::Client::connect(pair.public).ask(post).text(), "0 4");
    let mut client = common::Client::connect(pair.admin);
    assert_eq!(client.get("/").text(), "1 0");
    assert_eq!(get(pair.admin, "/").status, 503); // there is one connection
    assert_eq!(client.ask(post).status, 413);
    client.wait_for_end();
    let [public, admin] = threads.lock().unwrap().clone();
    assert!(public.len() <= 2 && admin.is_subset(&public), "{public:?} {admin:?}");
    let [of_public, of_admin] = pair.handles.each_ref().map(ServerHandle::counters);
    assert_eq!((of_public.requests, of_public.refused, of_public.rejected), (51, 0, 0));
    assert_eq!((of_admin.requests, of_admin.refused, of_admin.rejected), (1, 1, 1));
    pair.end();
}

#[test]
fn the_other_server_can_be_shut_down_alone() {
    let public = builder(2).build(|_: &mut Request| "public").expect("a port");
    let admin = builder(2).build(|_: &mut Request| "admin").expect("a port");
    let pair = Pair::start(public, admin);
    let mut client = common::Client::connect(pair.admin);
    assert_eq!(client.get("/").text(), "admin");
    pair.handles[1].shutdown();
    assert!(client.is_at_end());
    while std::net::TcpStream::connect(pair.admin).is_ok() {}
    assert_eq!(get(pair.public, "/").text(), "public");
    assert!(pair.handles[0].is_ready());
    pair.end();
}

#[test]
fn servers_with_different_numbers_of_shards_cannot_share_them() {
    let public = builder(2).build(|_: &mut Request| "public").expect("a port");
    let admin = builder(1).build(|_: &mut Request| "admin").expect("a port");
    let error = public.also(admin).map(drop).expect_err("an error");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "a server with 1 workers cannot share 2 shards");
}

fn blocking(request: &mut Request) -> &'static str {
    if let Some(millis) = request.path().strip_prefix("/block/") {
        thread::sleep(Duration::from_millis(millis.parse().expect("a number")));
    }
    "served"
}

#[test]
fn a_busy_thread_gets_help_for_both_servers() {
    let busy_limit = Some(Duration::from_millis(30));
    for (blocks, other) in [(0, 1), (1, 0)] {
        let public = builder(1).busy_limit(busy_limit).build(blocking).expect("a port");
        let admin = builder(1).build(blocking).expect("a port");
        let pair = Pair::start(public, admin);
        let addresses = [pair.public, pair.admin];
        let mut blocked = common::Client::connect(addresses[blocks]);
        blocked.send("GET /block/3000 HTTP/1.1\r\nHost: a\r\n\r\n");
        while pair.handles[blocks].counters().in_flight == 0 {
            thread::yield_now();
        }
        let begin = std::time::Instant::now();
        for address in [addresses[other], addresses[blocks]] {
            assert_eq!(get(address, "/").text(), "served");
        }
        assert!(begin.elapsed() < Duration::from_millis(2_500), "{:?}", begin.elapsed());
        assert_eq!(blocked.receive().text(), "served");
        for handle in &pair.handles {
            assert_eq!(handle.metrics().listeners_lent, 1);
        }
        pair.end();
    }
}

#[test]
fn a_stuck_thread_is_replaced_for_both_servers() {
    let limit = Some(Duration::from_millis(200));
    let public = builder(1).stuck_limit(limit).build(blocking).expect("a port");
    let admin = builder(1).build(blocking).expect("a port");
    let pair = Pair::start(public, admin);
    let mut idle = common::Client::connect(pair.admin);
    assert_eq!(idle.get("/").text(), "served");
    let mut stuck = common::Client::connect(pair.public);
    stuck.send("GET /block/2000 HTTP/1.1\r\nHost: a\r\n\r\n");
    // Both see their connections close.
    stuck.wait_for_end();
    idle.wait_for_end();
    for address in [pair.public, pair.admin] {
        assert_eq!(get(address, "/").text(), "served");
    }
    for handle in &pair.handles {
        while handle.metrics().replacements == 0 {
            thread::yield_now();
        }
    }
    // The old thread ends when it returns; both are still served.
    while pair.handles[0].metrics().shards.len() > 1 {
        thread::yield_now();
    }
    for address in [pair.public, pair.admin] {
        assert_eq!(get(address, "/").text(), "served");
    }
    pair.handles[0].shutdown();
    pair.thread.join().expect("no panic").expect("a good end");
}

/// The same in a simulation, where times are exact.
struct Simulated {
    public: SocketAddr,
    admin: SocketAddr,
    handles: [ServerHandle; 2],
    serving: JoinHandle<io::Result<ShutdownReport>>,
}

impl Simulated {
    fn start(configure: impl Fn(ServerBuilder) -> ServerBuilder) -> Self {
        let make = || {
            let served = Cell::new(0);
            move |request: &mut Request| -> Response {
                served.set(served.get() + 1);
                match request.path() {
                    "/panic" => panic!("on purpose"),
                    "/slow" => {
                        sched::sleep(secs(20));
                        "slow".into_response()
                    }
                    _ => format!("number {}", served.get()).into_response(),
                }
            }
        };
        let [public, admin] =
            [0, 1].map(|_| configure(builder(1)).build_with(make).expect("a port"));
        let (handles, public_at, admin_at) =
            ([public.handle(), admin.handle()], address(&public), address(&admin));
        let server = public.also(admin).expect("the same number of workers");
        let serving = sched::spawn(|| server.run());
        Self { public: public_at, admin: admin_at, handles, serving }
    }

    fn ask(address: SocketAddr, path: &str) -> String {
        Client::connect(address).send(&format!("GET {path} HTTP/1.0\r\n\r\n")).rest().0
    }

    fn end(self) -> ShutdownReport {
        self.handles[0].shutdown();
        let report = self.serving.join().expect("no panic").expect("a good end");
        self.handles.iter().for_each(|handle| assert_all_over(&handle.counters()));
        report
    }
}

#[test]
fn the_other_server_serves_until_the_drain_is_over_and_then_drains() {
    sim::run(1, || {
        let pair = Simulated::start(|builder| builder.drain_timeout(secs(60)));
        let mut slow = Client::connect(pair.public);
        slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        sched::sleep(secs(1));
        let begin = sim::elapsed();
        pair.handles[0].shutdown();
        sched::sleep(secs(10));
        assert!(TcpStream::connect(pair.public).is_err());
        assert!(Simulated::ask(pair.admin, "/").ends_with("number 1"));
        let mut late = Client::connect(pair.admin);
        late.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(slow.rest().0.ends_with("slow"));
        assert_between(time_since(begin), secs(19), secs(20));
        // The drain of the other server waits for its own requests.
        assert!(late.rest().0.ends_with("slow"));
        assert_between(time_since(begin), secs(30), secs(31));
        let report = pair.serving.join().expect("no panic").expect("a good end");
        assert_eq!((report.finished, report.cancelled), (1, 0), "{report}");
        assert_between(time_since(begin), secs(30), secs(32));
        let counters = pair.handles[1].counters();
        assert_eq!((counters.drained, counters.force_closed), (1, 0));
    });
}

#[test]
fn a_second_shutdown_force_closes_both() {
    sim::run(1, || {
        let pair = Simulated::start(|builder| builder);
        let mut clients = [pair.public, pair.admin].map(|address| {
            let mut client = TcpStream::connect(address).expect("it listens");
            client.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
            client
        });
        sched::sleep(secs(1));
        let begin = sim::elapsed();
        pair.handles[0].shutdown();
        pair.handles[0].shutdown();
        for client in &mut clients {
            assert_eq!(client.read(&mut [0; 10]).unwrap_or(0), 0);
        }
        assert_between(time_since(begin), secs(0), secs(1));
        pair.serving.join().expect("no panic").expect("a good end");
        assert_eq!(pair.handles[1].counters().force_closed, 1);
    });
}

#[test]
fn a_panic_renews_the_thread_for_both_servers() {
    for panics in [0, 1] {
        sim::run(1, move || {
            let pair = Simulated::start(|builder| builder.on_panic(PanicPolicy::DrainShard));
            let addresses = [pair.public, pair.admin];
            for address in addresses {
                assert!(Simulated::ask(address, "/").ends_with("number 1"));
            }
            let mut slow = Client::connect(addresses[1 - panics]);
            slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
            sched::sleep(secs(1));
            assert!(Simulated::ask(addresses[panics], "/panic").starts_with("HTTP/1.1 500 "));
            sched::sleep(secs(1));
            for address in addresses {
                assert!(Simulated::ask(address, "/").ends_with("number 1"), "made anew");
            }
            assert!(slow.rest().0.ends_with("slow"));
            sched::sleep(secs(1));
            // The old thread has ended.
            assert_eq!(pair.handles[0].metrics().shards.len(), 1);
            assert_eq!(pair.handles[0].metrics().renewals, 1);
            for address in addresses {
                assert!(Simulated::ask(address, "/").ends_with("number 2"));
            }
            pair.end();
        });
    }
}
