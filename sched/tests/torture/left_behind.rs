//! Things that a fiber may leave to its shard or to a pool: values that panic when they are
//! dropped, large values, a child process.

use std::process;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{PanicsInDrop, raise_panics_in_drop};
use straightline_sched::{self as sched, OffloadConfig, OffloadPool, fiber_local};

fiber_local! {
    static LOCAL: PanicsInDrop = PanicsInDrop;
}

/// Leaves one of these things behind. `draw` chooses which.
pub(crate) fn act(draw: u64) {
    match draw % 8 {
        0 => drop(sched::spawn(raise_panics_in_drop)),
        1 => drop(sched::spawn(|| PanicsInDrop)),
        2 => drop(sched::spawn(|| LOCAL.with(|_| sched::yield_now()))),
        3 => {
            let value = PanicsInDrop;
            sched::spawn(move || drop(value)).cancel();
        }
        4 => {
            let value = PanicsInDrop;
            // The shard refuses it only at its end, when no fiber of the torture runs any more.
            let sent = sched::ShardHandle::current().spawn(move || drop(value));
            assert!(sent.is_ok(), "the shard lives");
        }
        5 => large::<1_000>(draw),
        6 => large::<5_000>(draw),
        _ => jobs_that_panic_in_drop(),
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
        assert!(returned == bytes, "the value has changed on its way");
    }
}

/// The caller may leave its job. The pool is closed with all jobs and results that it has.
fn jobs_that_panic_in_drop() {
    let config = OffloadConfig::default().with_max_threads(1);
    let pool = std::rc::Rc::new(OffloadPool::new(config));
    for _ in 0..3 {
        let (pool, value) = (std::rc::Rc::clone(&pool), PanicsInDrop);
        drop(sched::spawn(move || pool.run(move || drop(value))));
    }
    sched::sleep(Duration::from_micros(50));
    pool.close();
}

/// Forks a process that offloads one job, and waits for the process. Returns whether the job has
/// run.
pub(crate) fn fork() -> bool {
    assert_eq!(sched::offload(|| 5).expect("a thread can be had"), 5);
    let pool = OffloadPool::global();
    while pool.stats().idle < pool.stats().threads {
        sched::sleep(Duration::from_millis(1));
    }
    // If another thread holds a lock at the moment of the fork, that lock stays locked in the child
    // for ever. The threads of the pool are idle, so they release their locks soon.
    thread::sleep(Duration::from_millis(2));
    // SAFETY: the child does little: it starts threads and ends, and resumes no fiber of the
    // parent.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "a process can be forked");
    if child == 0 {
        // On a thread of its own: the fibers are the parent's.
        let job = thread::spawn(|| sched::offload(process::id).is_ok_and(|id| id == process::id()));
        let code = i32::from(!job.join().unwrap_or(false));
        // SAFETY: it ends the process, and nothing uses the stack afterwards.
        unsafe { libc::_exit(code) };
    }
    let (mut status, begin) = (0, Instant::now());
    loop {
        // SAFETY: `status` is valid for a write.
        if unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == child {
            return libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
        }
        if begin.elapsed() > CHILD_HANGS_AFTER {
            // SAFETY: the child was not waited for, so the number still belongs to it.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        // No yield point here: if the fiber unwound, no call would wait for the child.
        thread::sleep(Duration::from_millis(1));
    }
}

/// Far longer than the child takes.
const CHILD_HANGS_AFTER: Duration = Duration::from_secs(60);
