//! What a fiber may leave to its shard or to a pool: values that panic when they are dropped, large
//! values, a process.

use std::process;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Evil, raise_evil};
use straightline_sched::{self as sched, OffloadConfig, OffloadPool, fiber_local};

fiber_local! {
    static LOCAL: Evil = Evil;
}

/// Leaves one of them; `draw` says which.
pub(crate) fn act(draw: u64) {
    match draw % 8 {
        0 => drop(sched::spawn(raise_evil)),
        1 => drop(sched::spawn(|| Evil)),
        2 => drop(sched::spawn(|| LOCAL.with(|_| sched::yield_now()))),
        3 => {
            let evil = Evil;
            sched::spawn(move || drop(evil)).cancel();
        }
        4 => {
            let evil = Evil;
            // Refused only at the end of the shard, when nothing here runs any more.
            let sent = sched::Handle::current().spawn(move || drop(evil));
            assert!(sent.is_ok(), "the shard lives");
        }
        5 => large::<1_000>(draw),
        6 => large::<5_000>(draw),
        _ => evil_jobs(),
    }
}

fn large<const BYTES: usize>(draw: u64) {
    let bytes = [u8::try_from(draw % 251).expect("a byte"); BYTES];
    let fiber = sched::spawn(move || {
        sched::yield_now();
        bytes
    });
    // With a deadline: the caller may be cancelled, or its shard may end.
    if let Ok(Ok(returned)) = sched::deadline(Duration::from_secs(1), || fiber.join()) {
        assert!(returned == bytes, "it was damaged on its way");
    }
}

/// The caller may leave; the pool is closed with what it has.
fn evil_jobs() {
    let config = OffloadConfig { threads_max: 1, ..OffloadConfig::default() };
    let pool = std::rc::Rc::new(OffloadPool::new(config));
    for _ in 0..3 {
        let (pool, evil) = (std::rc::Rc::clone(&pool), Evil);
        drop(sched::spawn(move || pool.run(move || drop(evil))));
    }
    sched::sleep(Duration::from_micros(50));
    pool.close();
}

/// Forks a process that offloads one job, and waits for it; returns whether that job has run.
pub(crate) fn fork() -> bool {
    assert_eq!(sched::offload(|| 5).expect("a thread can be had"), 5);
    let pool = OffloadPool::global();
    while pool.stats().idle < pool.stats().threads {
        sched::sleep(Duration::from_millis(1));
    }
    // What another thread does inside of a lock at the moment of a fork, the child never sees end.
    // The pool's are idle, and so on their way out of theirs.
    thread::sleep(Duration::from_millis(2));
    // SAFETY: the child does little: it starts threads and ends, and no fiber of it runs.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "a process can be forked");
    if child == 0 {
        // On a thread of its own: the fibers are the parent's.
        let job = thread::spawn(|| sched::offload(process::id).is_ok_and(|id| id == process::id()));
        let code = i32::from(!job.join().unwrap_or(false));
        // SAFETY: it ends the process, and nothing that is on the stack is looked at again.
        unsafe { libc::_exit(code) };
    }
    let (mut status, begin) = (0, Instant::now());
    loop {
        // SAFETY: `status` is there to be written.
        if unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == child {
            return libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
        }
        if begin.elapsed() > CHILD_HANGS_AFTER {
            // SAFETY: the child was not waited for, so the number is still its.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        // No yield point: a fiber that unwound here would leave a child that is not waited for.
        thread::sleep(Duration::from_millis(1));
    }
}

/// Far longer than it takes.
const CHILD_HANGS_AFTER: Duration = Duration::from_secs(60);
