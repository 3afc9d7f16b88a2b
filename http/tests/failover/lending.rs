//! If a handler keeps its thread, new clients do not wait: another shard accepts in its place. The
//! clients of the busy shard are served when its handler returns.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Client, Running, serve_with};
use straightline::net::sim::{Link, network};
use straightline::sched::{self, sim};
use straightline::{Event, Request, Server, ServerBuilder};

/// The events about listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Lent(usize, usize),
    Returned(usize),
    Stuck(usize, Option<usize>),
}

struct Trial {
    server: Running,
    messages: Receiver<Message>,
    /// Gets a message when a handler begins to keep its thread.
    begun: Receiver<()>,
    /// Ends the loops of the handlers.
    release: Arc<AtomicBool>,
}

/// A server whose handler keeps its thread until it is released: at `/spin` it computes, at
/// `/block` it blocks in a system call.
fn trial(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Trial {
    let (sender, messages) = mpsc::channel();
    let (begins, begun) = mpsc::channel();
    let release = Arc::new(AtomicBool::new(false));
    let hooks = move |event: &Event<'_>| {
        let message = match event {
            Event::ListenersLent { shard, helper, .. } => Message::Lent(*shard, *helper),
            Event::ListenersReturned { shard, .. } => Message::Returned(*shard),
            Event::ShardStuck { shard, replacement, .. } => Message::Stuck(*shard, *replacement),
            _ => return,
        };
        // The test may be over.
        let _ = sender.send(message);
    };
    let is_released = Arc::clone(&release);
    let server = serve_with(
        |builder| configure(builder.stuck_limit(None).observer(hooks)),
        move |request: &mut Request| {
            let path = request.path().to_owned();
            if path != "/" {
                begins.send(()).expect("the test listens");
            }
            let bound = Instant::now() + Duration::from_secs(60);
            while path != "/" && !is_released.load(Ordering::SeqCst) && Instant::now() < bound {
                match &*path {
                    "/block" => thread::sleep(Duration::from_millis(1)),
                    _ => std::hint::spin_loop(),
                }
            }
            "served"
        },
    );
    Trial { server, messages, begun, release }
}

impl Trial {
    /// Makes a handler keep its thread, and waits until it does.
    fn keep_a_thread(&self, path: &str) -> Client {
        let mut busy_client = self.server.client();
        busy_client.send(request(path));
        self.begun.recv_timeout(BOUND).expect("a handler that keeps its thread");
        busy_client
    }

    /// The next event about listeners.
    fn next(&self) -> Message {
        self.messages.recv_timeout(BOUND).expect("an event")
    }

    fn release(&self) {
        self.release.store(true, Ordering::SeqCst);
    }

    fn threads(&self) -> usize {
        self.server.handle.metrics().shards.len()
    }
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// How long a step may take before the test fails.
const BOUND: Duration = Duration::from_secs(30);

#[test]
fn new_clients_are_served_by_a_spare_shard_and_the_old_ones_when_it_comes_back() {
    for path in ["/spin", "/block"] {
        let trial = trial(|builder| builder);
        let mut neighbour = trial.server.client();
        assert_eq!(neighbour.get("/").text(), "served");
        let mut busy_client = trial.keep_a_thread(path);
        neighbour.send(request("/"));
        // The first client waits in the accept queue when the listener is lent. The others connect
        // later.
        for _ in 0..20 {
            assert_eq!(trial.server.client().get("/").text(), "served");
        }
        assert_eq!(trial.next(), Message::Lent(0, 1));
        assert_eq!(trial.threads(), 2);
        trial.release();
        // Neither of these clients has lost its connection.
        assert_eq!(busy_client.receive().text(), "served");
        assert_eq!(neighbour.receive().text(), "served");
        assert_eq!(trial.next(), Message::Returned(0));
        for _ in 0..20 {
            assert_eq!(trial.server.client().get("/").text(), "served");
        }
        let metrics = trial.server.handle.metrics();
        assert!(metrics.listeners_lent > 0 && metrics.replacements == 0, "{metrics:?}");
        trial.server.handle.shutdown();
        assert_eq!(trial.server.join().accepted, 42);
    }
}

#[test]
fn a_shard_that_is_well_accepts_for_the_other_and_no_thread_is_started() {
    let trial = trial(|builder| builder.workers(2));
    let mut busy_client = trial.keep_a_thread("/spin");
    // The kernel gives half of these clients to the busy shard.
    let mut clients: Vec<_> = (0..40).map(|_| trial.server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "served");
    }
    let Message::Lent(shard, helper) = trial.next() else { panic!("nothing was lent") };
    assert_eq!(shard + helper, 1);
    assert_eq!(trial.threads(), 2);
    trial.release();
    assert_eq!(busy_client.receive().text(), "served");
    assert_eq!(trial.next(), Message::Returned(shard));
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "served");
    }
}

#[test]
fn every_listener_is_lent() {
    let path = std::env::temp_dir().join(format!("straightline-lent-{}.sock", std::process::id()));
    let trial = trial(|builder| builder.bind("127.0.0.1:0").bind(&*path));
    let _culprit = trial.keep_a_thread("/spin");
    assert_eq!(trial.server.client().get("/").text(), "served");
    let mut client = UnixStream::connect(&path).expect("the server listens");
    client.set_read_timeout(Some(BOUND)).expect("a timeout");
    client.write_all(request("/").as_bytes()).expect("the server reads");
    let mut first = [0; 12];
    client.read_exact(&mut first).expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    trial.release();
}

#[test]
fn when_all_are_busy_there_are_as_many_threads_more_as_are_allowed() {
    let trial = trial(|builder| builder.workers(2).replacements(2));
    // Each of the first four requests finds a healthy shard, at the latest after a listener was
    // lent.
    let busy_clients: Vec<_> = (0..4).map(|_| trial.keep_a_thread("/spin")).collect();
    let mut late = trial.server.client();
    late.send(request("/"));
    while trial.server.handle.metrics().busy < 4 {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(trial.threads(), 4);
    trial.release();
    for mut busy_client in busy_clients {
        assert_eq!(busy_client.receive().text(), "served");
    }
    assert_eq!(late.receive().text(), "served");
    // All listeners are returned, and only two shards had listeners to lend.
    let mut lent = BTreeSet::new();
    let mut returned = BTreeSet::new();
    while returned.len() < 2 {
        match trial.next() {
            Message::Lent(shard, _) => drop(lent.insert(shard)),
            Message::Returned(shard) => drop(returned.insert(shard)),
            Message::Stuck(..) => panic!("there is no stuck limit"),
        }
    }
    assert!(lent == returned && lent == BTreeSet::from([0, 1]), "{lent:?}, {returned:?}");
}

#[test]
fn a_shard_that_is_busy_again_and_again_gets_one_spare_shard() {
    let (sender, receiver) = mpsc::channel();
    let hooks = move |event: &Event<'_>| {
        if let Event::ListenersLent { helper, .. } = event {
            let _ = sender.send(*helper); // the test may be over
        }
    };
    let server = serve_with(
        |builder| builder.observer(hooks),
        |_: &mut Request| {
            for _ in 0..10 {
                let end = Instant::now() + Duration::from_millis(150);
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
                sched::sleep(Duration::from_millis(20));
            }
            "served"
        },
    );
    assert_eq!(server.client().get("/").text(), "served");
    assert!(server.handle.metrics().shards.len() <= 2);
    server.handle.shutdown();
    server.join();
    assert!(receiver.try_iter().all(|helper| helper == 1));
}

#[test]
fn each_client_is_accepted_once_while_listeners_come_and_go() {
    const CLIENTS: u64 = 6;
    const EACH: u64 = 60;
    for workers in [1, 2] {
        let (busy, lent) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
        let hooks = {
            let lent = Arc::clone(&lent);
            move |event: &Event<'_>| {
                if let Event::ListenersLent { .. } = event {
                    lent.fetch_add(1, Ordering::SeqCst);
                }
            }
        };
        let limit = Duration::from_millis(10);
        let server = serve_with(
            |builder| builder.workers(workers).busy_limit(Some(limit)).observer(hooks),
            move |_: &mut Request| {
                // Each twentieth handler keeps its thread so long that the listener is lent. Often
                // the listener was returned since the previous one.
                if busy.fetch_add(1, Ordering::SeqCst).is_multiple_of(20) {
                    thread::sleep(limit * 3);
                }
                "served"
            },
        );
        let address = server.address;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                thread::spawn(move || {
                    for _ in 0..EACH {
                        assert_eq!(Client::connect(address).get("/").text(), "served");
                        thread::sleep(Duration::from_millis(2));
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().expect("each is answered"));
        server.handle.shutdown();
        let counters = server.join();
        assert_eq!((counters.accepted, counters.answered), (CLIENTS * EACH, CLIENTS * EACH));
        assert!(lent.load(Ordering::SeqCst) > 0);
    }
}

#[test]
fn a_shutdown_meanwhile_serves_the_waiting_clients_and_waits_for_the_busy_shard() {
    let trial = trial(|builder| builder);
    let mut busy_client = trial.keep_a_thread("/spin");
    let mut waiting: Vec<_> = (0..10).map(|_| trial.server.client()).collect();
    for client in &mut waiting {
        client.send(request("/"));
    }
    // These clients are with the helper now, or in the accept queue that was lent to it.
    assert_eq!(trial.next(), Message::Lent(0, 1));
    trial.server.handle.shutdown();
    for client in &mut waiting {
        assert_eq!(client.receive().text(), "served");
    }
    trial.release();
    assert_eq!(busy_client.receive().text(), "served");
    let report = trial.server.join_report();
    assert_eq!((report.cancelled, report.abandoned, report.stuck), (0, 0, 0), "{report}");
}

#[test]
fn a_busy_shard_that_gets_stuck_is_replaced_by_the_spare_shard() {
    let limit = Some(Duration::from_millis(400));
    let trial = trial(|builder| builder.stuck_limit(limit));
    let mut busy_client = trial.keep_a_thread("/spin");
    let mut other = trial.server.client();
    assert_eq!(other.get("/").text(), "served");
    assert_eq!(trial.next(), Message::Lent(0, 1));
    assert_eq!(trial.next(), Message::Stuck(0, Some(1)));
    busy_client.wait_for_end();
    assert_eq!(trial.next(), Message::Returned(0));
    // The client that connected in between belongs to the spare shard, and stays there.
    assert_eq!(other.get("/").text(), "served");
    assert_eq!(trial.server.client().get("/").text(), "served");
    assert_eq!(trial.server.handle.metrics().replacements, 1);
    // The spare shard has listeners of its own now, so they are lent as well.
    let _second = trial.keep_a_thread("/spin");
    assert_eq!(trial.server.client().get("/").text(), "served");
    assert_eq!(trial.next(), Message::Lent(1, 2));
    trial.release();
    trial.server.handle.shutdown();
    trial.server.join_report(); // the server does not wait for a stuck thread
}

#[test]
fn a_slow_hook_does_not_keep_the_watch() {
    let (limit, is_over) = (Some(Duration::from_millis(300)), Arc::new(AtomicBool::new(false)));
    let here = Arc::clone(&is_over);
    let slow = move |event: &Event<'_>| {
        let bound = Instant::now() + Duration::from_secs(60);
        let is_slow = matches!(event, Event::FiberReported { .. });
        while is_slow && !here.load(Ordering::SeqCst) && Instant::now() < bound {
            thread::sleep(Duration::from_millis(1));
        }
    };
    let trial = trial(|builder| builder.stuck_limit(limit).observer(slow));
    let _first = trial.keep_a_thread("/spin");
    assert_eq!(trial.next(), Message::Lent(0, 1));
    assert_eq!(trial.next(), Message::Stuck(0, Some(1)));
    assert_eq!(trial.next(), Message::Returned(0));
    let _second = trial.keep_a_thread("/spin");
    assert_eq!(trial.next(), Message::Lent(1, 2));
    assert_eq!(trial.next(), Message::Stuck(1, Some(2)));
    is_over.store(true, Ordering::SeqCst);
    trial.release();
    trial.server.handle.shutdown();
    trial.server.join_report();
}

#[test]
fn a_stuck_shard_that_is_not_replaced_has_its_listeners_again_when_it_comes_back() {
    let limit = Some(Duration::from_millis(300));
    let trial = trial(|builder| builder.workers(2).replacements(0).stuck_limit(limit));
    let mut busy_client = trial.keep_a_thread("/spin");
    let Message::Lent(shard, _) = trial.next() else { panic!("nothing was lent") };
    assert_eq!(trial.next(), Message::Stuck(shard, None));
    busy_client.wait_for_end();
    for _ in 0..20 {
        assert_eq!(trial.server.client().get("/").text(), "served");
    }
    trial.release();
    assert_eq!(trial.next(), Message::Returned(shard));
    for _ in 0..20 {
        assert_eq!(trial.server.client().get("/").text(), "served");
    }
}

#[test]
fn without_a_limit_nothing_is_lent() {
    let trial = trial(|builder| builder.busy_limit(None));
    let mut busy_client = trial.keep_a_thread("/spin");
    let mut late = trial.server.client();
    late.send(request("/"));
    late.stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    assert!(late.stream.read(&mut [0]).is_err());
    late.stream.set_read_timeout(Some(BOUND)).expect("a timeout");
    trial.release();
    assert_eq!(busy_client.receive().text(), "served");
    assert_eq!(late.receive().text(), "served");
    assert!(trial.messages.try_recv().is_err());
}

#[test]
fn a_handler_that_takes_its_time_to_be_made_is_no_reason_to_make_another_one() {
    let server = Server::builder().bind("127.0.0.1:0").workers(1).stuck_limit(None);
    let server = server.build_with(|| {
        thread::sleep(Duration::from_millis(400)); // such as to read a file
        |_: &mut Request| "served"
    });
    let server = server.expect("a free port");
    let address = server.local_addrs()[0].as_tcp().expect("an address of TCP");
    let handle = server.handle();
    let serving = thread::spawn(move || server.run());
    assert_eq!(Client::connect(address).get("/").text(), "served");
    let metrics = handle.metrics();
    assert_eq!((metrics.listeners_lent, metrics.shards.len()), (0, 1));
    handle.shutdown();
    serving.join().expect("no panic").expect("the server ends well");
}

/// When a handler began to keep its thread, and until when.
type Kept = Arc<Mutex<Option<(Duration, Duration)>>>;

#[test]
fn in_every_history_new_clients_are_served_in_time_and_each_of_them_once() {
    sim::check(|| {
        let mut random = sim::fork_random();
        let address: SocketAddr = "10.0.0.1:80".parse().expect("an address");
        let kept = Kept::default();
        network().set_link(Link::default());
        let here = Arc::clone(&kept);
        let server = Server::builder().bind(address).workers(1 + random.index(3));
        let server = server.build(move |request: &mut Request| {
            if request.path() == "/busy" {
                let time = Duration::from_millis(sched::random_u64() % 3_000);
                let now = sim::elapsed();
                *here.lock().expect("no panic") = Some((now, now + time));
                sim::keep_thread(time);
            }
            "served"
        });
        let server = server.expect("a free port");
        let handle = server.handle();
        let serving = sched::spawn(|| server.run());

        let busy_client = sched::spawn(move || {
            for _ in 0..8 {
                ask(address, "/busy");
                sched::sleep(Duration::from_millis(sched::random_u64() % 2_000));
            }
        });
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (kept, mut random) = (Arc::clone(&kept), random.fork());
                sched::spawn(move || {
                    for _ in 0..30 {
                        sched::sleep(random.duration(Duration::ZERO..=Duration::from_millis(500)));
                        let begin = sim::elapsed();
                        let window = *kept.lock().expect("no panic");
                        ask(address, "/");
                        let took = sim::elapsed().saturating_sub(begin);
                        // An earlier client may have been accepted by the shard that is busy now.
                        let is_new = window.is_some_and(|(from, to)| (from..to).contains(&begin));
                        let bound = Duration::from_millis(300);
                        assert!(!is_new || took < bound, "{took:?}, from {begin:?} on");
                    }
                })
            })
            .collect();
        busy_client.join().expect("no panic");
        clients.into_iter().for_each(|client| client.join().expect("no panic"));
        handle.shutdown();
        serving.join().expect("no panic").expect("the server ends well");
        let counters = handle.counters();
        assert_eq!((counters.accepted, counters.closed), (128, 128), "{counters:?}");
        assert_eq!((counters.answered, counters.unanswered), (128, 0), "{counters:?}");
    });
}

#[test]
fn a_spare_shard_ends_when_nothing_is_left_on_it() {
    sim::check(|| {
        let address: SocketAddr = "10.0.0.1:80".parse().expect("an address");
        let is_done = Arc::new(AtomicBool::new(false));
        let here = Arc::clone(&is_done);
        let server = Server::builder().bind(address).workers(1);
        let server = server.build(move |request: &mut Request| {
            if request.path() == "/busy" {
                sim::keep_thread(Duration::from_secs(2));
            } else {
                // A fiber that outlives its request belongs to the shard, also on a spare one.
                let here = Arc::clone(&here);
                sched::spawn(move || {
                    sched::sleep(Duration::from_secs(60));
                    here.store(true, Ordering::SeqCst);
                });
            }
            "served"
        });
        let server = server.expect("a free port");
        let handle = server.handle();
        let serving = sched::spawn(|| server.run());
        let busy_client = sched::spawn(move || ask(address, "/busy"));
        sched::sleep(Duration::from_secs(1));
        ask(address, "/");
        busy_client.join().expect("no panic");
        sched::sleep(Duration::from_secs(30));
        assert_eq!(handle.metrics().shards.len(), 2);
        assert!(!is_done.load(Ordering::SeqCst));
        sched::sleep(Duration::from_secs(60));
        assert!(is_done.load(Ordering::SeqCst), "the fiber was ended with its shard");
        assert_eq!(handle.metrics().shards.len(), 1);
        assert_eq!(handle.counters().accepted, 2);
        // The next spare shard works as well.
        let busy_client = sched::spawn(move || ask(address, "/busy"));
        sched::sleep(Duration::from_secs(1));
        ask(address, "/");
        busy_client.join().expect("no panic");
        assert_eq!(handle.metrics().shards.len(), 2);
        handle.shutdown();
        serving.join().expect("no panic").expect("the server ends well");
    });
}

/// Sends a request on a new connection and checks the answer.
fn ask(address: SocketAddr, path: &str) {
    let mut stream = straightline::net::TcpStream::connect(address).expect("the server listens");
    stream.write_all(request(path).as_bytes()).expect("the server reads");
    let mut first = [0; 12];
    stream.read_exact(&mut first).expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
}
