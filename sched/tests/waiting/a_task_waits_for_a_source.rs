//! A future's task is woken when its source changes. A fiber may wait for several sources, or with
//! a timeout.

use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};

use crate::common::{nonblocking_pair, take_in_events};
use futures_util::future::join;
use straightline_sched::{self as sched, Interest, Source};

#[derive(Default)]
struct Counter(AtomicU32);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn pair() -> (UnixStream, Source<UnixStream>) {
    let (near, far) = nonblocking_pair();
    (near, Source::new(far))
}

fn poll_read(source: &Source<UnixStream>, cx: &mut Context<'_>) -> Poll<usize> {
    loop {
        match source.inner().read(&mut [0; 64]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                source.clear(Interest::Read);
                ready!(source.poll_ready(Interest::Read, cx)).expect("registered");
            }
            result => return Poll::Ready(result.expect("a socket")),
        }
    }
}

#[test]
fn the_last_task_that_asked_is_woken_once_and_no_other_is_kept() {
    sched::run(|| {
        let (mut near, source) = pair();
        let counters: Vec<_> = (0..1_000).map(|_| Arc::<Counter>::default()).collect();
        for counter in &counters {
            let waker = Waker::from(Arc::clone(counter));
            assert!(poll_read(&source, &mut Context::from_waker(&waker)).is_pending());
        }
        let kept = counters.iter().filter(|counter| Arc::strong_count(counter) > 1);
        assert_eq!(kept.count(), 1, "a source keeps one task a direction");
        near.write_all(b"!").unwrap();
        take_in_events();
        let woken: Vec<_> = counters.iter().map(|c| c.0.load(Ordering::Relaxed)).collect();
        assert_eq!(woken.iter().sum::<u32>(), 1);
        assert_eq!(woken.last(), Some(&1));
        assert!(counters.iter().all(|counter| Arc::strong_count(counter) == 1));
    });
}

#[test]
fn a_source_that_is_dropped_forgets_its_task() {
    sched::run(|| {
        let counter = Arc::<Counter>::default();
        let (_near, source) = pair();
        let waker = Waker::from(Arc::clone(&counter));
        assert!(poll_read(&source, &mut Context::from_waker(&waker)).is_pending());
        drop((source, waker));
        assert_eq!(Arc::strong_count(&counter), 1);
    });
}

#[test]
fn a_task_and_fibers_wait_side_by_side() {
    sched::run(|| {
        let (mut near, source) = pair();
        let source = Rc::new(source);
        let fibers: Vec<_> = (0..3)
            .map(|_| {
                let source = Rc::clone(&source);
                sched::spawn(move || source.wait(Interest::Read))
            })
            .collect();
        let task = sched::spawn({
            let source = Rc::clone(&source);
            move || sched::block_on(poll_fn(|cx| poll_read(&source, cx)))
        });
        take_in_events();
        near.write_all(b"!").unwrap();
        assert_eq!(task.join().unwrap(), Ok(1));
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap().unwrap());
    });
}

#[test]
fn one_task_waits_for_both_directions() {
    sched::run(|| {
        let (mut near, source) = pair();
        while source.inner().write(&[0; 4_096]).is_ok() {} // no room
        let fiber = sched::spawn(move || {
            let reads = poll_fn(|cx| poll_read(&source, cx));
            let writes = poll_fn(|cx| {
                loop {
                    match source.inner().write(b"?") {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            source.clear(Interest::Write);
                            ready!(source.poll_ready(Interest::Write, cx)).unwrap();
                        }
                        result => return Poll::Ready(result.unwrap()),
                    }
                }
            });
            sched::block_on(join(reads, writes))
        });
        take_in_events();
        near.write_all(b"!").unwrap();
        take_in_events();
        assert!(!fiber.is_finished());
        while near.read(&mut [0; 4_096]).is_ok() {}
        assert_eq!(fiber.join().unwrap(), Ok((1, 1)));
    });
}

#[test]
fn a_wait_ends_when_its_time_has_come_and_says_so() {
    sched::run(|| {
        let (mut near, source) = pair();
        let at = Instant::now() + Duration::from_millis(5);
        while source.wait_until(Interest::Read, Some(at)).unwrap() {}
        assert!(Instant::now() >= at);
        // The wait that timed out does not hide later changes.
        near.write_all(b"!").unwrap();
        assert!(source.wait_until(Interest::Read, None).unwrap());
        assert_eq!(source.inner().read(&mut [0; 8]).unwrap(), 1);
        assert!(!source.wait_until(Interest::Read, Some(at)).unwrap(), "long past");
        near.write_all(b"!").unwrap();
        take_in_events();
        assert!(
            source.wait_until(Interest::Read, Some(at)).unwrap(),
            "the byte came before the wait"
        );
    });
}

#[test]
fn a_cancelled_timed_wait_leaves_no_timer() {
    sched::run(|| {
        let fiber = sched::spawn(|| {
            let (_near, source) = pair();
            let far_away = Instant::now() + Duration::from_secs(3_600);
            source.wait_until(Interest::Read, Some(far_away))
        });
        sched::yield_now();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
    }); // the end of the run asserts that no timer is left
}

#[test]
fn a_wait_for_several_ends_with_any_of_them() {
    sched::run(|| {
        let (mut near, sources): (Vec<_>, Vec<_>) = (0..5).map(|_| pair()).unzip();
        for changed in [3, 0, 4, 4, 1] {
            near[changed].write_all(b"!").unwrap();
            let seen = loop {
                let ready = |source: &Source<UnixStream>| !source.arm(Interest::Read).unwrap();
                if let Some(index) = sources.iter().position(ready) {
                    break index;
                }
                sched::wait_for_armed(None).unwrap();
            };
            assert_eq!(seen, changed);
            assert_eq!(sources[seen].inner().read(&mut [0; 8]).unwrap(), 1);
        }
        let at = Instant::now() + Duration::from_millis(3);
        while Instant::now() < at {
            sched::wait_for_armed(Some(at)).unwrap();
        }
    });
}
