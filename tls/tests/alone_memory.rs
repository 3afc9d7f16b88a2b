//! What connections hold. It counts the allocations of the process, so it is alone in it.

#![cfg(any(feature = "mbedtls", feature = "aws-lc-rs"))]

#[path = "common/mod.rs"]
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicIsize, Ordering};

use straightline_net::{TcpListener, TcpStream};
use straightline_sched as sched;
use straightline_tls::{TlsConfig, TlsConnector, TlsProvider, TlsStream};

use common::echo::{config, echo};
use common::pair::connector;

struct Counting;

static HELD: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: usize) -> isize {
    isize::try_from(bytes).expect("a size")
}

// SAFETY: it does what the system's allocator does, and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(count(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(count(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn held() -> isize {
    HELD.load(Ordering::Relaxed)
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

/// A connection from both sides, after its handshake and a few bytes in each direction.
fn connect(
    listener: &TcpListener,
    connector: &TlsConnector,
    config: &TlsConfig,
) -> (TlsStream<TcpStream>, TlsStream<TcpStream>) {
    let address = listener.local_addr().expect("an address");
    let near = TcpStream::connect(address).expect("a listener");
    let (far, _) = listener.accept().expect("a client");
    let (client, server) = sched::scope(|scope| {
        let server = scope.spawn(|| TlsStream::accept(far, config).expect("a good client"));
        let client = connector.connect("localhost", near).expect("a good server");
        (client, server.join().expect("no panic"))
    });
    for (mut one, mut other) in [(&client, &server), (&server, &client)] {
        one.write_all(&vec![7; 30_000]).expect("a reader");
        other.read_exact(&mut vec![0; 30_000]).expect("data");
    }
    (client, server)
}

/// Idle connections hold their sessions, and no buffers: a buffer would be 17 KiB.
fn idle_connections(provider: TlsProvider) {
    const COUNT: usize = 500;
    let config = config(provider);
    let connector = connector(provider);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut idle: Vec<_> = (0..50).map(|_| connect(&listener, &connector, &config)).collect();
    idle.reserve(COUNT);
    let before = held();
    idle.extend((0..COUNT).map(|_| connect(&listener, &connector, &config)));
    let each = (held() - before) / count(COUNT);
    println!("{provider}: {each} bytes for both sides of an idle connection");
    assert!(each < 10_000, "{provider}: {each} bytes for both sides of an idle connection");
}

/// A crowd that has come and gone leaves nothing.
fn many_handshakes(provider: TlsProvider) {
    let rounds = match provider {
        TlsProvider::MbedTls => 100,
        _ => 1_000,
    };
    let config = config(provider);
    let connector = connector(provider);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let round = || {
        let (client, server) = connect(&listener, &connector, &config);
        let serving = sched::spawn(move || echo(&server));
        client.close().expect("a reader");
        let mut rest = Vec::new();
        (&client).read_to_end(&mut rest).expect("a goodbye");
        serving.join().expect("no panic").expect("a goodbye");
    };
    (0..50).for_each(|_| round());
    let (bytes, descriptors) = (held(), open_descriptors());
    (0..rounds).for_each(|_| round());
    let more = held() - bytes;
    println!("{provider}: {more} bytes more after {rounds} connections");
    assert!(more < 60_000, "{provider}: {more} bytes more after {rounds} connections");
    assert_eq!(open_descriptors(), descriptors);
}

#[test]
fn connections_hold_little_and_leave_nothing() {
    for &provider in TlsProvider::offered() {
        sched::run(move || {
            idle_connections(provider);
            many_handshakes(provider);
        });
    }
}
