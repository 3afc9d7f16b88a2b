//! The limits of handshakes: time, turns, and the length of the queue.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use straightline_net::{MemoryStream, TcpListener, Transport};
use straightline_sched::{self as sched, deadline, sim};
use straightline_tls::{
    HandshakeFailure, HandshakeLimits, MemoryBudget, TlsConfig, TlsProvider, TlsStream,
};

use crate::common::certificate::Certificates;
use crate::common::client::{Client, Received, Version};
use crate::common::echo::{SERVER, Served, config, failure, pause, serve};

fn limited(provider: TlsProvider, limits: HandshakeLimits) -> TlsConfig {
    let certificates = Certificates::shared();
    TlsConfig::builder()
        .certificate_pem(&certificates.chain_pem, &certificates.key_pem)
        .handshake_limits(limits)
        .provider(provider)
        .build()
        .expect("a good configuration")
}

#[test]
fn a_handshake_ends_when_its_time_is_over() {
    const TIMEOUT: Duration = Duration::from_secs(3);
    for &provider in TlsProvider::offered() {
        let limits = HandshakeLimits::default().with_timeout(TIMEOUT);
        let config = limited(provider, limits);
        sim::run(7, move || {
            for sent in [0, 1, 5, 20] {
                let (near, far) = MemoryStream::pair(1 << 16);
                near.try_write(&[&[22, 3, 1, 1, 0][..], &[1; 20]].concat()[..sent]).unwrap_or(0);
                let began = sched::now();
                let error = TlsStream::accept(far, &config).map(drop).expect_err("half a hello");
                assert_eq!(failure(&error), HandshakeFailure::TimedOut);
                let took = sched::now() - began;
                assert!((TIMEOUT..TIMEOUT + Duration::from_millis(1)).contains(&took), "{took:?}");
            }
        });
    }
}

/// A client that sends a byte now and then does not prolong it.
#[test]
fn a_handshake_of_a_slow_client_ends_too() {
    for &provider in TlsProvider::offered() {
        let limits = HandshakeLimits::default().with_timeout(Duration::from_secs(3));
        let config = limited(provider, limits);
        sim::run(7, move || {
            let (near, far) = MemoryStream::pair(1 << 16);
            let server = sched::spawn(move || TlsStream::accept(far, &config).map(drop));
            near.try_write(&[22, 3, 1, 1, 0]).expect("room");
            while near.try_write(&[1]).is_ok() {
                sched::sleep(Duration::from_millis(500));
            }
            let error = server.join().expect("no panic").expect_err("a slow hello");
            assert_eq!(failure(&error), HandshakeFailure::TimedOut);
            assert!(sim::elapsed() < Duration::from_secs(5));
        });
    }
}

/// Several clients whose hellos arrive at the same time. Returns the servers' ends, in their order,
/// and the order in which the clients got their answers.
fn crowd(config: TlsConfig, count: usize) -> (Vec<Served>, Vec<usize>) {
    let order = Rc::new(RefCell::new(Vec::new()));
    let listener = TcpListener::bind(SERVER).expect("a free port");
    let accepting = sched::spawn(move || {
        let mut serving = Vec::new();
        for _ in 0..count {
            let (stream, _) = listener.accept().expect("a client");
            let config = config.clone();
            serving.push(sched::spawn(move || {
                pause(); // all hellos are there
                serve(stream, &config)
            }));
            // The servers begin in this order.
            sched::sleep(Duration::from_micros(20));
        }
        serving.into_iter().map(|one| one.join().expect("no panic")).collect::<Vec<_>>()
    });
    let mut clients = Vec::new();
    for number in 0..count {
        let mut client = Client::connect(SERVER, Version::Tls13);
        let hello = client.flight();
        client.send_all(&hello);
        let order = Rc::clone(&order);
        clients.push(sched::spawn(move || {
            if matches!(client.receive(), Received::Other(..)) {
                order.borrow_mut().push(number);
            }
        }));
        pause();
    }
    for client in clients {
        client.join().expect("no panic");
    }
    let served = accepting.join().expect("no panic");
    (served, Rc::try_unwrap(order).expect("no client is left").into_inner())
}

#[test]
fn clients_beyond_the_line_are_refused() {
    for &provider in TlsProvider::offered() {
        let limits = HandshakeLimits::default().with_running(1).with_waiting(0);
        let config = limited(provider, limits);
        sim::run(7, move || {
            let (near, far): (Vec<_>, Vec<_>) = (0..4).map(|_| MemoryStream::pair(9_000)).unzip();
            // All begin in the same moment, with a hello that is there already.
            let hello = hello();
            near.iter().for_each(|near| assert!(near.try_write(&hello).is_ok()));
            let serving = far.into_iter().map(|far| {
                let config = config.clone();
                sched::spawn(move || serve(far, &config))
            });
            let serving: Vec<_> = serving.collect();
            sched::sleep(Duration::from_secs(1));
            drop(near);
            let served = serving.into_iter().map(|one| one.join().expect("no panic"));
            let served: Vec<_> = served.collect();
            let overloaded = Served::Refused(HandshakeFailure::Overloaded);
            let refused = served.iter().filter(|one| **one == overloaded).count();
            assert_eq!(refused, 3, "{served:?}");
        });
    }
}

/// The bytes of a hello.
fn hello() -> Vec<u8> {
    let listener = TcpListener::bind(SERVER).expect("a free port");
    let mut client = Client::connect(SERVER, Version::Tls13);
    drop(listener);
    client.flight()[0].bytes()
}

#[test]
fn clients_have_their_turn_in_the_order_in_which_they_came() {
    for &provider in TlsProvider::offered() {
        let config = limited(provider, HandshakeLimits::default().with_running(1));
        let (_, order) = sim::run(7, move || crowd(config, 12));
        assert_eq!(order, (0..12).collect::<Vec<_>>());
    }
}

#[test]
fn a_client_that_stalls_holds_no_turn() {
    for &provider in TlsProvider::offered() {
        let limits = HandshakeLimits::default().with_running(1).with_waiting(0);
        let config = limited(provider, limits);
        sim::run(7, move || {
            let listener = TcpListener::bind(SERVER).expect("a free port");
            let accepting = sched::spawn(move || {
                let serve = |_| {
                    let (stream, _) = listener.accept().expect("a client");
                    let config = config.clone();
                    sched::spawn(move || serve(stream, &config))
                };
                let serving: Vec<_> = (0..2).map(serve).collect();
                serving.into_iter().map(|one| one.join().expect("no panic")).collect::<Vec<_>>()
            });
            let mut stalled = Client::connect(SERVER, Version::Tls13);
            let hello = stalled.flight();
            stalled.send_all(&hello);
            stalled.flight(); // the server has answered, and waits
            let quick = || {
                let mut client = Client::connect(SERVER, Version::Tls13);
                client.handshake();
                client.send_data(b"hello");
                assert_eq!(client.receive_data(), b"hello");
                client.send_sealed(21, &[1, 0]);
                client.receive_to_end();
            };
            deadline(Duration::from_secs(1), quick).expect("a turn");
            drop(stalled);
            let served = accepting.join().expect("no panic");
            assert_eq!(served, [Served::Refused(HandshakeFailure::Closed), Served::Closed]);
        });
    }
}

#[test]
fn the_default_limits_are_those_of_the_documentation() {
    let limits = HandshakeLimits::default();
    assert_eq!((limits.timeout, limits.waiting), (Duration::from_secs(10), 4096));
    assert!(limits.running >= 1);
    let _ = config(TlsProvider::default());
}

/// Counts, and bounds at `max`.
struct Budget {
    held: AtomicUsize,
    max: usize,
}

impl MemoryBudget for Budget {
    fn try_add(&self, bytes: usize) -> bool {
        let fits = |held: usize| held.checked_add(bytes).filter(|&sum| sum <= self.max);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn remove(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[test]
fn half_a_hello_counts_in_the_budget_of_memory_and_one_beyond_it_is_refused() {
    for &provider in TlsProvider::offered() {
        sched::run(move || {
            let budget = Arc::new(Budget { held: AtomicUsize::new(0), max: 10_000 });
            let config = config(provider);
            let begin = |budget: &Arc<Budget>| {
                let (near, far) = MemoryStream::pair(32_768);
                // The header of a record of 16,000 bytes, and half of it.
                near.try_write(&[&[22, 3, 1, 0x3e, 0x80][..], &[1; 8_000]].concat()).expect("room");
                let budget = Arc::clone(budget) as Arc<dyn MemoryBudget>;
                (near, TlsStream::server(far, &config).with_memory_budget(budget))
            };
            let (first, waits) = begin(&budget);
            let waiting = sched::spawn(move || waits.handshake().map_err(|error| failure(&error)));
            while budget.held.load(Ordering::Relaxed) == 0 {
                sched::yield_now();
            }
            let (_second, refused) = begin(&budget);
            let error = refused.handshake().expect_err("no room");
            assert_eq!(failure(&error), HandshakeFailure::Overloaded);
            drop(first);
            assert_eq!(waiting.join().expect("no panic"), Err(HandshakeFailure::Closed));
            assert_eq!(budget.held.load(Ordering::Relaxed), 0);
        });
    }
}
