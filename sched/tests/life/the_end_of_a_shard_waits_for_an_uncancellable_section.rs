//! `run` returns when every fiber has ended. It waits until uncancellable sections have ended.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::common::OnDrop;
use straightline_sched as sched;

#[test]
fn a_section_that_waits_is_finished() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let in_run = Rc::clone(&log);
    sched::run(move || {
        drop(sched::spawn(move || {
            let note = Rc::clone(&in_run);
            let _dropped = OnDrop(move || note.borrow_mut().push("unwound"));
            sched::uncancellable(|| {
                sched::sleep(Duration::from_millis(5));
                sched::yield_now();
                in_run.borrow_mut().push("committed");
            });
            sched::park();
            in_run.borrow_mut().push("went on");
        }));
        sched::yield_now();
    });
    assert_eq!(log.take(), ["committed", "unwound"]);
}

#[test]
fn another_thread_may_end_the_wait_of_such_a_section() {
    let committed = Rc::new(Cell::new(false));
    let note = Rc::clone(&committed);
    let helper = sched::run(move || {
        let (sender, begun) = std::sync::mpsc::channel::<sched::Fiber>();
        drop(sched::spawn(move || {
            sched::uncancellable(|| {
                sender.send(sched::current()).unwrap();
                sched::sleep(Duration::from_millis(2));
                sched::park();
                note.set(true);
            });
        }));
        sched::yield_now();
        let fiber = begun.recv().unwrap();
        std::thread::spawn(move || {
            // A loop, because the cancel at the shard's end may wake the fiber from its park.
            (0..50).for_each(|_| {
                fiber.unpark();
                std::thread::sleep(Duration::from_millis(1));
            });
        })
    });
    helper.join().unwrap();
    assert!(committed.get());
}

#[test]
fn a_deadline_inside_of_a_section_ends_its_waits_then_too() {
    let seen = Rc::new(Cell::new(None));
    let note = Rc::clone(&seen);
    sched::run(move || {
        drop(sched::spawn(move || {
            sched::uncancellable(|| {
                let wait = || sched::sleep(Duration::from_secs(3_600));
                note.set(Some(sched::deadline(Duration::from_millis(3), wait)));
            });
        }));
        sched::yield_now();
    });
    assert_eq!(seen.get(), Some(Err(sched::DeadlineExceeded)));
}

#[test]
fn the_scope_around_a_section_waits_as_well() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let in_run = Rc::clone(&log);
    sched::run(move || {
        drop(sched::spawn(move || {
            let lent = String::from("lent");
            let _dropped = OnDrop(|| in_run.borrow_mut().push("parent".to_string()));
            sched::scope(|s| {
                s.spawn(|| {
                    sched::uncancellable(|| sched::sleep(Duration::from_millis(3)));
                    in_run.borrow_mut().push(lent.clone());
                });
            });
        }));
        sched::yield_now();
        sched::yield_now();
    });
    assert_eq!(log.take(), ["lent", "parent"]);
}

/// At the end of the shard a fiber that a destructor starts is dropped, scoped or not. So the end
/// of the shard does not take for ever.
#[test]
fn fibers_that_destructors_start_at_the_end_do_not_begin() {
    let (began, dropped) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (in_began, in_dropped) = (Rc::clone(&began), Rc::clone(&dropped));
    sched::run(move || {
        for _ in 0..3 {
            let (began, dropped) = (Rc::clone(&in_began), Rc::clone(&in_dropped));
            drop(sched::spawn(move || {
                let _starts = OnDrop(move || {
                    let count = |cell: &Rc<Cell<i32>>| {
                        let cell = Rc::clone(cell);
                        OnDrop(move || cell.set(cell.get() + 1))
                    };
                    let (held, ran) = (count(&dropped), Rc::clone(&began));
                    drop(sched::spawn(move || {
                        let _held = held;
                        ran.set(1);
                    }));
                    let held = count(&dropped);
                    sched::scope(|s| drop(s.spawn(move || drop(held))));
                });
                sched::park();
            }));
        }
        sched::yield_now();
    });
    assert_eq!((began.get(), dropped.get()), (0, 6));
    assert_eq!(Rc::strong_count(&dropped), 1);
}

#[test]
fn a_section_keeps_the_fibers_of_its_scopes() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let in_run = Rc::clone(&log);
    sched::run(move || {
        drop(sched::spawn(move || {
            sched::uncancellable(|| {
                sched::scope(|s| {
                    s.spawn(|| {
                        sched::sleep(Duration::from_millis(2));
                        // The scope begins its fiber although the shard is ending, because the
                        // section is uncancellable.
                        sched::scope(|s| s.spawn(|| in_run.borrow_mut().push("inner")).join())
                            .expect("the fiber runs");
                        in_run.borrow_mut().push("child");
                    });
                });
                in_run.borrow_mut().push("committed");
            });
            sched::park();
            in_run.borrow_mut().push("went on");
        }));
        sched::yield_now();
        sched::yield_now();
    });
    assert_eq!(log.take(), ["inner", "child", "committed"]);
}
