//! `logger` returns the logger of the current work, whichever fiber does the work.
#![cfg(feature = "slog")]

use std::sync::{Arc, Mutex};

use slog::{Drain, Key, Logger, Never, OwnedKVList, Record, info, o};
use straightline_sched as sched;

/// Writes "key=value message" into a list.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Keys(String);

impl slog::Serializer for Keys {
    fn emit_arguments(&mut self, key: Key, value: &std::fmt::Arguments<'_>) -> slog::Result {
        self.0 = format!("{key}={value} {}", self.0);
        Ok(())
    }
}

impl Drain for Lines {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        let mut keys = Keys(String::new());
        slog::KV::serialize(values, record, &mut keys).expect("keys and values");
        self.0.lock().expect("no panic").push(format!("{}{}", keys.0, record.msg()));
        Ok(())
    }
}

#[test]
fn from_a_request_to_the_fibers_it_starts_and_no_further() {
    let lines = Lines::default();
    let root = Logger::root(lines.clone().fuse(), o!());
    sched::run(move || {
        sched::set_thread_logger(root);
        let work = |id: u32| {
            move || {
                let logger = sched::logger().new(o!("request" => id));
                sched::with_logger(logger, || {
                    info!(sched::logger(), "begun");
                    sched::yield_now();
                    sched::spawn(|| info!(sched::logger(), "child")).join().unwrap();
                });
                info!(sched::logger(), "after");
            }
        };
        let requests = [sched::spawn(work(1)), sched::spawn(work(2))];
        requests.into_iter().for_each(|request| request.join().unwrap());
    });
    let expected = [
        "request=1 begun",
        "request=2 begun",
        "request=1 child",
        "request=2 child",
        "after",
        "after",
    ];
    assert_eq!(*lines.0.lock().unwrap(), expected);
}

#[test]
fn a_panic_takes_the_inner_logger_back() {
    let lines = Lines::default();
    let root = Logger::root(lines.clone().fuse(), o!());
    sched::run(move || {
        sched::set_thread_logger(root);
        let inner = sched::logger().new(o!("inner" => true));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            sched::with_logger(inner, || std::panic::resume_unwind(Box::new("gone")))
        }));
        assert!(outcome.is_err());
        info!(sched::logger(), "outside");
    });
    assert_eq!(*lines.0.lock().unwrap(), ["outside"]);
}

#[test]
fn without_one_nothing_is_logged() {
    info!(sched::logger(), "no logger takes this");
}
