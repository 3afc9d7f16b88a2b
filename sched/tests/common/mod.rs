//! The helpers that the tests share.

// Each test program compiles a copy of its own, and no program uses all helpers.
#![allow(dead_code)]

pub(crate) mod own_process;

use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use straightline_sched::{
    self as sched, Config, JoinError, JoinHandle, Lease, Report, Reporter, sync,
};

/// Runs `body` on a thread of its own, and fails if it hangs. Nothing joins that thread, so `body`
/// may run a shard that leaves fibers behind and whose thread therefore never ends.
pub(crate) fn unless_it_hangs<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(catch_unwind(AssertUnwindSafe(body))));
    match receiver.recv_timeout(HANGS_AFTER) {
        Ok(Ok(value)) => value,
        Ok(Err(payload)) => resume_unwind(payload),
        Err(RecvTimeoutError::Timeout) => panic!("the test hangs"),
        Err(RecvTimeoutError::Disconnected) => unreachable!("the thread ended without a value"),
    }
}

/// Runs `root` on a shard of its own, and fails if it hangs.
pub(crate) fn on_a_shard<T: Send + 'static>(root: impl FnOnce() -> T + Send + 'static) -> T {
    unless_it_hangs(|| sched::run(root))
}

/// Runs `body` on a shard of its own. A body that hangs is cancelled, and fails.
pub(crate) fn run<T: 'static>(body: impl FnOnce() -> T + 'static) -> T {
    let result = sched::run(|| joined_unless_it_hangs(body));
    result.unwrap_or_else(|error| match error.into_panic() {
        Ok(payload) => resume_unwind(payload),
        Err(error) => panic!("the body hangs, or has unwound: {error}"),
    })
}

/// Runs `body` on a fiber and joins the fiber. If the fiber hangs, cancels it first.
pub(crate) fn joined_unless_it_hangs<T: 'static>(
    body: impl FnOnce() -> T + 'static,
) -> Result<T, JoinError> {
    let me = sched::current();
    let fiber = sched::spawn(move || {
        let _ended = OnDrop(|| me.unpark());
        body()
    });
    sched::park_timeout(HANGS_AFTER);
    fiber.cancel();
    fiber.join()
}

/// Lets every other fiber get as far as it can without the caller.
pub(crate) fn settle() {
    turns(TURNS);
}

/// Lets every other fiber run `count` times.
pub(crate) fn turns(count: u32) {
    (0..count).for_each(|_| sched::yield_now());
}

/// Lets the shard poll its driver, so that it takes in the events of its descriptors.
pub(crate) fn take_in_events() {
    (0..3).for_each(|_| sched::sleep(Duration::from_millis(1)));
}

/// Two connected sockets, neither of which blocks its thread.
pub(crate) fn nonblocking_pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    near.set_nonblocking(true).expect("an option of a socket");
    far.set_nonblocking(true).expect("an option of a socket");
    (near, far)
}

/// Swallows every cancel and every deadline, for ever. So the calling fiber is abandoned once it is
/// cancelled.
pub(crate) fn swallow_for_ever() -> ! {
    loop {
        let _ = catch_unwind(sched::park);
    }
}

/// Runs `body`. If its fiber waits when `lease` ends, the fiber is abandoned at that wait.
pub(crate) fn brittle<T>(lease: &Lease, body: impl FnOnce() -> T) {
    let _ = lease.hold(Duration::MAX, || {
        lease.end();
        // Swallows the end of the lease as often as the scheduler allows.
        (0..UNWINDS_MAX).for_each(|_| drop(catch_unwind(sched::yield_now)));
        lease.renew(Duration::MAX);
        body();
    });
}

/// Runs a shard on which `start` starts fibers that wait for each other in a circle. Waits for the
/// first report of the circle, and then cancels the fibers. Returns the text of the report.
pub(crate) fn reported_circle(
    start: impl FnOnce() -> Vec<JoinHandle<()>> + Send + 'static,
) -> String {
    let (sender, receiver) = sync::mpsc::unbounded();
    let reporter = Reporter::new(move |report| {
        if let Report::Circle(_) = report {
            let _ = sender.send(report.to_string());
        }
    });
    // The monitor looks four times in this limit.
    let stall_limit = Some(Duration::from_millis(40));
    let config = Config::default().with_reporter(reporter).with_stall_limit(stall_limit);
    let root = move || {
        let fibers = start();
        let text = receiver.recv().expect("the circle is reported");
        // No second report of the same circle, however often the shard looks.
        let again = sync::select(&[&receiver, &sync::after(Duration::from_millis(60))]);
        assert_eq!(again, Ok(1), "the circle is reported once");
        for fiber in fibers {
            fiber.cancel();
            let _ = fiber.join();
        }
        text
    };
    unless_it_hangs(|| sched::run_with(config, root).expect("a shard can be made"))
}

/// Calls a closure when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A value whose destructor panics. The payload of that panic is another value of this type. No
/// panic hook is called.
pub(crate) struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        raise_panics_in_drop();
    }
}

/// Panics with a payload whose destructor panics.
pub(crate) fn raise_panics_in_drop() {
    resume_unwind(Box::new(PanicsInDrop));
}

/// Counts the values that are alive.
#[derive(Clone, Default)]
pub(crate) struct Census {
    alive: Arc<AtomicUsize>,
}

/// A counted value. If it is not dropped exactly once, the count is wrong.
pub(crate) struct Counted<T> {
    pub(crate) value: T,
    census: Census,
}

impl Census {
    pub(crate) fn count<T>(&self, value: T) -> Counted<T> {
        self.alive.fetch_add(1, Ordering::SeqCst);
        Counted { value, census: self.clone() }
    }

    pub(crate) fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }
}

impl<T: Clone> Clone for Counted<T> {
    fn clone(&self) -> Self {
        self.census.count(self.value.clone())
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        self.census.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Far longer than any of these tests takes.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Longer than any chain of wake-ups in these tests.
const TURNS: u32 = 8;

/// How often the scheduler raises a fiber's unwind, and how often the calls of the fiber fail
/// afterwards.
const UNWINDS_MAX: usize = 4 + 64;
