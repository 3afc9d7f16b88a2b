//! A value of this crate is formatted into a writer, and the writer waits. Meanwhile another fiber
//! can format the same value, because the writer is called without a lock.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use crate::common::on_a_shard;
use straightline_sched::sim::{self, Sim};
use straightline_sched::sync::{WaitGroup, after, oneshot, select};
use straightline_sched::{self as sched, FiberBuilder};

/// A writer. Each piece waits until `meanwhile` has returned, and fails if `meanwhile` returned
/// false.
struct Waiting<F> {
    text: String,
    meanwhile: F,
}

impl<F: Fn() -> bool> Write for Waiting<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        assert!((self.meanwhile)(), "no other fiber can format it while this writer waits");
        self.text.push_str(text);
        Ok(())
    }
}

fn write_while(value: impl fmt::Display, meanwhile: impl Fn() -> bool) -> String {
    let mut writer = Waiting { text: String::new(), meanwhile };
    write!(writer, "{value}").expect("a string takes everything");
    writer.text
}

/// Runs `work` on a thread and lets the fiber wait for it. Returns false if `work` does not end.
fn is_done_on_a_thread(work: impl FnOnce() + Send + 'static) -> bool {
    let (sender, done) = oneshot::channel();
    thread::spawn(move || {
        work();
        // The fiber may have waited too long, and then the receiver is gone.
        let _ = sender.send(());
    });
    select(&[&done, &after(TOO_LONG)]) == Ok(0)
}

fn waits_here() {
    sched::park();
}

#[test]
fn of_a_backtrace() {
    on_a_shard(|| {
        FiberBuilder::new().name("parked").spawn(waits_here).expect("a stack");
        sched::yield_now();
        let fibers = sched::inspect_with_backtraces(10);
        let parked = fibers.iter().find(|fiber| fiber.name.as_deref() == Some("parked"));
        let parked = parked.expect("the fiber is parked");
        let backtrace = parked.backtrace.clone().expect("its stack has room");
        let formats_too = || {
            let copy = backtrace.clone();
            is_done_on_a_thread(move || drop(copy.to_string()))
        };
        let text = write_while(&backtrace, formats_too);
        assert!(text.contains("waits_here"), "{text}");
        let text = write_while(parked, formats_too);
        assert!(text.contains("waits_here"), "{text}");
    });
}

#[test]
fn of_an_error_that_several_have() {
    on_a_shard(|| {
        let error = Rc::new(sched::spawn(|| panic!("broken")).join().expect_err("a panic"));
        let text = write_while(&*error, || {
            let shared = Rc::clone(&error);
            is_done_on_a_fiber(move || drop(shared.to_string()))
        });
        assert_eq!(text, "the fiber panicked: broken");
    });
}

#[test]
fn of_a_group() {
    struct Debugged<'g>(&'g WaitGroup);
    impl fmt::Display for Debugged<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Debug::fmt(self.0, f)
        }
    }
    on_a_shard(|| {
        let group = Rc::new(WaitGroup::new());
        let text = write_while(Debugged(&group), || {
            let shared = Rc::clone(&group);
            is_done_on_a_fiber(move || drop(format!("{shared:?}")))
        });
        assert_eq!(text, "WaitGroup { members: 1 }");
    });
}

#[test]
fn of_a_trace() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&lines);
    let simulation = Sim::new(1).trace(move |line| {
        if line.ends_with("writes slowly") {
            sched::sleep(Duration::from_millis(1));
        }
        sink.borrow_mut().push(line.to_owned());
    });
    let result = simulation.run(|| {
        let other = sched::spawn(|| sim::trace(|| "is left out".to_owned()));
        sim::trace(|| "writes slowly".to_owned());
        other.join().unwrap();
        sim::trace(|| "goes on".to_owned());
    });
    result.unwrap();
    let text = lines.borrow().join("\n");
    assert!(text.contains("root#1: writes slowly\n"), "{text}");
    assert!(text.contains("root#1: goes on\n"), "{text}");
}

#[test]
fn a_simulations_value_is_made_once_though_its_maker_waits() {
    struct Made(u32);
    sim::run(1, || {
        let made = |number| {
            let make = move || {
                sched::sleep(Duration::from_millis(1));
                Made(number)
            };
            sched::spawn(move || sim::local(make).0)
        };
        let (first, second) = (made(1), made(2));
        assert_eq!(first.join().unwrap(), second.join().unwrap());
    });
}

/// Runs `work` on another fiber of the same thread and waits for it. (If `work` blocks, the thread
/// blocks, and `on_a_shard` fails.)
fn is_done_on_a_fiber(work: impl FnOnce() + 'static) -> bool {
    sched::spawn(work).join().is_ok()
}

/// Far longer than the work takes.
const TOO_LONG: Duration = Duration::from_secs(20);
