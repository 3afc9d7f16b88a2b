//! A server is started and stopped a hundred times in one process, with clients in flight each
//! time. It leaves nothing behind: no descriptor, no thread, no byte of the heap.
//!
//! This is a program of its own, because it counts the descriptors, the threads and (with an
//! allocator of its own) the heap of its process.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use common::Client;
use parking_lot::{Condvar, Mutex};
use straightline::{Request, Response, Server, sched};

/// The system's allocator, with a count of what is allocated and not freed.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator, with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a process holds.
#[derive(Debug, PartialEq, Eq)]
struct Belongings {
    descriptors: usize,
    threads: usize,
    heap_bytes: usize,
}

impl Belongings {
    fn now() -> Self {
        let count = |folder: &str| fs::read_dir(folder).map_or(0, Iterator::count);
        let (descriptors, threads) = (count("/proc/self/fd"), count("/proc/self/task"));
        Self { descriptors, threads, heap_bytes: LIVE.load(Ordering::Relaxed) }
    }
}

/// Waits until the thread that watches shards has ended. It ends some time after the last shard,
/// and no event reports that, so this looks for the thread.
fn wait_for_the_watch() {
    let is_watch = |task: std::io::Result<fs::DirEntry>| {
        let name = task.and_then(|task| fs::read_to_string(task.path().join("comm")));
        name.is_ok_and(|name| name.starts_with("straightline"))
    };
    while fs::read_dir("/proc/self/task").is_ok_and(|mut tasks| tasks.any(is_watch)) {
        std::thread::yield_now();
    }
}

/// Contended locks share a table of the process. The table grows with the largest number of threads
/// that have waited at the same time, and is never freed. This makes it larger than any life of a
/// server needs.
fn grow_the_table_of_locks() {
    let is_over = Mutex::new(false);
    let (condvar, (sender, waiting)) = (Condvar::new(), mpsc::channel());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (condvar, is_over, sender) = (&condvar, &is_over, sender.clone());
            scope.spawn(move || {
                let mut is_over = is_over.lock();
                sender.send(()).expect("the test listens");
                condvar.wait_while(&mut is_over, |is_over| !*is_over);
            });
        }
        (0..THREADS).for_each(|_| waiting.recv().expect("a thread"));
        // A thread that has sent its message holds the lock until it waits.
        *is_over.lock() = true;
        condvar.notify_all();
    });
}

/// Far more threads than one life of a server has.
const THREADS: usize = 64;

/// One life of a server, which ends while clients are idle, in flight and in the middle of a head.
fn live() {
    let (sender, waiting) = mpsc::channel();
    let server = Server::builder()
        .bind("127.0.0.1:0")
        .workers(2)
        .drain_timeout(Duration::ZERO)
        .quiet() // otherwise the writer of standard error starts its thread, which stays
        .build(move |request: &mut Request| {
            if request.path() == "/wait" {
                sender.send(()).expect("the test listens");
                sched::sleep(Duration::MAX);
            }
            Response::stream(|_, body| body.write_all(b"served"))
        })
        .expect("a port");
    let address = server.local_addrs()[0].as_tcp().expect("a TCP address");
    let handle = server.handle();
    let running = std::thread::spawn(move || server.run());

    let mut idle: Vec<_> = (0..4).map(|_| Client::connect(address)).collect();
    for client in &mut idle {
        assert_eq!(client.get("/").text(), "served");
    }
    let mut busy: Vec<_> = (0..4).map(|_| Client::connect(address)).collect();
    for client in &mut busy {
        client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        waiting.recv().expect("the handler runs");
    }
    let mut begun = TcpStream::connect(address).expect("the server listens");
    begun.write_all(b"GET / HTT").expect("the server reads");

    handle.shutdown();
    let report = running.join().expect("no panic").expect("a good end");
    assert_eq!((report.idle, report.abandoned, report.stuck), (4, 0, 0), "{report:?}");
    assert!(report.cancelled >= 4, "{report:?}");
    idle.iter_mut().chain(&mut busy).for_each(Client::wait_for_end);
    // The head of this client was read partly, or its connection was not accepted yet.
    let _ = begun.read(&mut [0]);
    let counters = handle.counters();
    assert_eq!(counters.accepted, counters.closed);
}

#[test]
fn leave_nothing() {
    // The first life allocates what is allocated only once and then kept.
    grow_the_table_of_locks();
    (0..10).for_each(|_| live());
    wait_for_the_watch();
    let before = Belongings::now();
    (0..90).for_each(|_| live());
    wait_for_the_watch();
    let after = Belongings::now();
    if cfg!(target_os = "linux") {
        assert_eq!(before, after);
    }
}
