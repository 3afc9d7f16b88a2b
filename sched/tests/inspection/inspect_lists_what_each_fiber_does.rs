//! `inspect` lists every fiber: its state, what it waits for and where, and its deadline.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow::Continue;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use crate::common::{OnDrop, run, turns};
use straightline_sched::{self as sched, FiberBuilder, FiberInfo, FiberState, Interest, Source};

const LATE: Duration = Duration::from_secs(3_600);

fn named(name: &str, body: impl FnOnce() + 'static) -> sched::JoinHandle<()> {
    FiberBuilder::new().name(name).spawn(body).expect("a stack")
}

fn find(name: &str) -> FiberInfo {
    let mut list = sched::inspect();
    list.retain(|fiber| fiber.name.as_deref() == Some(name));
    assert_eq!(list.len(), 1, "{name} is listed once");
    list.remove(0)
}

fn waits_for(text: &str) -> FiberState {
    FiberState::Waiting(text.into())
}

#[test]
fn the_state_and_what_it_waits_for() {
    run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let number = near.as_raw_fd();
        named("parks", sched::park);
        named("sleeps", || sched::sleep(LATE));
        named("parks for a while", || sched::park_timeout(LATE));
        named("yields", || {
            loop {
                sched::yield_now();
            }
        });
        named("reads", move || {
            let (_far, source) = (far, Source::new(near));
            source.wait(Interest::Read).unwrap();
        });
        let joined = named("is joined", sched::park);
        named("joins", move || drop(joined.join()));
        named("scopes", || {
            sched::scope(|s| drop(FiberBuilder::new().name("child").spawn_scoped(s, sched::park)));
        });
        turns(3);
        named("has not begun", || ());
        assert_eq!(find("parks").state, waits_for("unpark"));
        assert_eq!(find("sleeps").state, waits_for("sleep"));
        assert_eq!(find("parks for a while").state, waits_for("unpark"));
        assert_eq!(find("yields").state, FiberState::Ready);
        assert_eq!(find("reads").state, waits_for(&format!("to read from descriptor {number}")));
        let FiberState::Waiting(joins) = find("joins").state else {
            panic!("the fiber does not wait")
        };
        assert!(joins.starts_with("the end of fiber `is joined` (spawned at "), "{joins}");
        assert_eq!(find("scopes").state, waits_for("the fibers of its scope"));
        assert_eq!(find("child").state, waits_for("unpark"));
        assert_eq!(find("has not begun").state, FiberState::Ready);
        let running = sched::inspect().iter().filter(|it| it.state == FiberState::Running).count();
        assert_eq!(running, 1);
    });
}

#[test]
fn a_fiber_between_two_activations_rests() {
    run(|| {
        let fiber = sched::spawn_stackless(|| Continue(()));
        let state = || sched::inspect().pop().unwrap().state;
        assert_eq!(state(), FiberState::Ready);
        turns(2);
        assert_eq!(state(), FiberState::Resting);
        fiber.fiber().unpark();
        assert_eq!(state(), FiberState::Ready);
        turns(2);
        let list = sched::inspect_with_backtraces(100);
        let resting = list.iter().find(|it| it.state == FiberState::Resting).unwrap();
        assert!(resting.backtrace.is_none());
    });
}

#[test]
fn the_call_that_started_it() {
    run(|| {
        let here = line!();
        drop(sched::spawn(sched::park));
        drop(sched::spawn_stackless(|| Continue(())));
        drop(FiberBuilder::new().spawn(sched::park));
        sched::scope(|s| {
            s.spawn(|| ());
            drop(FiberBuilder::new().spawn_scoped(s, || ()));
            let mut lines: Vec<_> = sched::inspect()
                .into_iter()
                .filter(|fiber| fiber.spawned_at.file() == file!())
                .map(|fiber| fiber.spawned_at.line())
                .filter(|line| *line > here)
                .collect();
            lines.sort_unstable();
            assert_eq!(lines, [1, 2, 3, 5, 6].map(|below| here + below));
        });
    });
}

#[test]
fn the_deadline_and_the_cancel() {
    run(|| {
        named("in a hurry", || {
            sched::deadline(LATE, || {
                named("on its own", sched::park);
                sched::scope(|s| {
                    drop(FiberBuilder::new().name("child").spawn_scoped(s, sched::park));
                });
            })
            .unwrap();
        });
        let done = Rc::new(Cell::new(false));
        let is_done = Rc::clone(&done);
        let commits = named("commits", move || {
            let commit = || {
                while !is_done.get() {
                    sched::park();
                }
            };
            sched::deadline(LATE, || sched::uncancellable(commit)).unwrap();
        });
        turns(3);
        for name in ["in a hurry", "child"] {
            let left = find(name).deadline_in.unwrap();
            assert!(left <= LATE && left > LATE / 2, "{name}: {left:?}");
        }
        assert_eq!(find("on its own").deadline_in, None);
        assert!(!find("commits").is_cancelled);
        commits.cancel();
        turns(1);
        let info = find("commits");
        assert!(info.is_cancelled);
        assert_eq!((info.state.clone(), info.deadline_in), (waits_for("unpark"), None));
        let text = info.to_string();
        assert!(text.starts_with("fiber `commits` (spawned at ") && text.ends_with(", cancelled"));
        done.set(true);
        commits.fiber().unpark();
        commits.join().unwrap();
    });
}

#[inline(never)]
fn stands_here(park: fn()) {
    park();
    std::hint::black_box(());
}

#[test]
fn the_backtrace_of_a_parked_fiber() {
    run(|| {
        named("has begun", || stands_here(sched::park));
        turns(1);
        named("has not begun", || stands_here(sched::park));
        let list = sched::inspect_with_backtraces(100);
        let trace = |name: &str| {
            let of_name = |it: &&FiberInfo| it.name.as_deref() == Some(name);
            list.iter().find(of_name).unwrap().backtrace.as_ref()
        };
        assert!(trace("has begun").unwrap().to_string().contains("stands_here"));
        assert!(trace("has not begun").is_none());
        let running = list.iter().find(|it| it.state == FiberState::Running).unwrap();
        assert!(running.backtrace.is_none());
    });
}

#[test]
fn there_are_no_more_backtraces_than_asked_for() {
    run(|| {
        for _ in 0..10 {
            drop(sched::spawn(sched::park));
        }
        turns(1);
        for backtraces_max in [0, 1, 5] {
            let list = sched::inspect_with_backtraces(backtraces_max);
            assert_eq!(list.len(), 12);
            assert_eq!(list.iter().filter(|it| it.backtrace.is_some()).count(), backtraces_max);
        }
    });
}

#[test]
fn a_fiber_that_was_listed_goes_on_as_before() {
    run(|| {
        let log = Rc::new(RefCell::new(Vec::new()));
        let fibers: Vec<_> = (0..5)
            .map(|name| {
                let log = Rc::clone(&log);
                sched::spawn(move || {
                    for _ in 0..5 {
                        sched::park();
                        log.borrow_mut().push(name);
                    }
                })
            })
            .collect();
        turns(1);
        for _ in 0..5 {
            fibers.iter().for_each(|fiber| fiber.fiber().unpark());
            for _ in 0..3 {
                drop(sched::inspect_with_backtraces(100));
            }
            turns(1);
            assert_eq!(log.take(), [0, 1, 2, 3, 4]);
        }
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
    });
}

#[test]
fn a_fiber_of_a_scope_may_ask_and_so_may_a_destructor() {
    run(|| {
        let asked = RefCell::new(Vec::new());
        sched::scope(|s| {
            let ask = || asked.borrow_mut().extend(sched::inspect_with_backtraces(100));
            let unwinds = s.spawn(move || {
                let _ask = OnDrop(ask);
                sched::park();
            });
            turns(2);
            unwinds.cancel();
            s.spawn(ask);
        });
        let asked = asked.take();
        let waiting = |it: &&FiberInfo| it.state == waits_for("the fibers of its scope");
        let parents: Vec<_> = asked.iter().filter(waiting).collect();
        assert_eq!(parents.len(), 2);
        assert!(parents.iter().all(|it| it.backtrace.is_some()));
        assert_eq!(asked.iter().filter(|it| it.state == FiberState::Running).count(), 2);
    });
}

#[test]
fn the_numbers_tell_fibers_apart() {
    run(|| {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..50 {
            let fiber = sched::spawn(sched::park);
            let list = sched::inspect();
            let newest = list.iter().filter(|it| it.state == FiberState::Ready).map(|it| it.id);
            seen.extend(newest);
            fiber.cancel();
            assert!(fiber.join().is_err());
        }
        assert_eq!(seen.len(), 50);
    });
}

#[test]
fn a_name_and_a_label_are_shown_in_one_line_whatever_is_in_them() {
    sched::run(|| {
        let unprintable = "one\r\ntwo\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{2028}";
        let doing = sched::Label::new();
        doing.set(unprintable.as_bytes());
        named(unprintable, move || {
            sched::set_label(Some(&doing));
            sched::park();
        });
        sched::yield_now();
        let shown = find(unprintable).to_string();
        let escaped = r"`one\r\ntwo\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{2028}`";
        assert_eq!(shown.matches(escaped).count(), 2, "{shown}");
    });
}
