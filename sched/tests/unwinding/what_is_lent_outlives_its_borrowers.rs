//! A value that a fiber lends to its children or to threads lives as long as they may use it, also
//! if the fiber or a child is abandoned.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::{on_a_shard, swallow_for_ever, turns, unless_it_hangs};
use straightline_sched::{
    self as sched, Abandoned, Config, JoinError, Report, Reporter, Scope, sim::Sim, spawn_shard,
};

const TEXT: &str = "on the heap, and long enough to be noticed";

/// Starts a thread that reads a lent text when it is asked to. The thread may outlive the lender.
struct Reader {
    begin: Receiver<()>,
    read: Sender<String>,
}

/// The side of the test: asks the thread to read, and receives the text.
struct Asker {
    begin: Sender<()>,
    read: Receiver<String>,
}

fn reader() -> (Reader, Asker) {
    let ((begin, begins), (read, is_read)) = (mpsc::channel(), mpsc::channel());
    (Reader { begin: begins, read }, Asker { begin, read: is_read })
}

impl Reader {
    /// Lends `text` to a thread, and swallows every cancel, so that the borrow does not end.
    fn swallow_while_it_reads(self, text: &str) {
        thread::scope(|threads| {
            threads.spawn(move || self.read_when_asked(text));
            swallow_for_ever();
        });
    }

    fn read_when_asked(self, text: &str) {
        self.begin.recv().expect("the test asks");
        self.read.send(text.to_owned()).expect("the test listens");
    }
}

impl Asker {
    fn assert_still_there(&self) {
        self.begin.send(()).expect("the thread waits for this");
        assert_eq!(self.read.recv().expect("the thread reads"), TEXT);
    }
}

/// Checks that the text that `body` lends to fibers of its scopes is still valid after one of them
/// was abandoned.
fn stays(body: impl FnOnce(&String, Reader) + Send + 'static) {
    let (reader, asker) = reader();
    on_a_shard(move || {
        let returned = Rc::new(Cell::new(false));
        let note = Rc::clone(&returned);
        let fiber = sched::spawn(move || {
            let text = String::from(TEXT);
            body(&text, reader);
            note.set(true);
        });
        let error = fiber.join().expect_err("the fiber was abandoned with its child");
        assert!(error.is_abandoned() && !error.is_cancelled() && !error.is_panic(), "{error}");
        assert!(!returned.get(), "the scope has returned");
        asker.assert_still_there();
    });
}

/// Starts a fiber that is abandoned as soon as it is cancelled.
fn spawn_stubborn<'scope>(s: &'scope Scope<'scope, '_>, text: &'scope str, reader: Reader) {
    s.spawn(move || reader.swallow_while_it_reads(text));
    turns(1);
}

#[test]
fn where_a_scope_was_cancelled() {
    stays(|text, reader| {
        sched::scope(|s| {
            spawn_stubborn(s, text, reader);
            s.cancel();
        });
    });
}

#[test]
fn where_its_body_panics() {
    stays(|text, reader| {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            sched::scope(|s| {
                spawn_stubborn(s, text, reader);
                panic!("the body broke");
            });
        }));
    });
}

#[test]
fn where_a_fiber_of_a_try_scope_fails() {
    stays(|text, reader| {
        let _ = sched::try_scope(|s| {
            s.spawn(move || {
                reader.swallow_while_it_reads(text);
                Ok(())
            });
            s.spawn(|| {
                turns(2);
                Err("no such user")
            });
            Ok(())
        });
    });
}

#[test]
fn where_a_deadline_ends_it() {
    stays(|text, reader| {
        let _ = sched::deadline(Duration::from_millis(5), || {
            sched::scope(|s| spawn_stubborn(s, text, reader));
        });
    });
}

#[test]
fn where_it_was_lent_to_the_child_of_a_child() {
    stays(|text, reader| {
        sched::scope(|outer| {
            outer.spawn(|| {
                sched::scope(|s| {
                    spawn_stubborn(s, text, reader);
                    s.cancel();
                });
            });
            turns(3);
            outer.cancel();
        });
    });
}

#[test]
fn where_the_child_was_abandoned_before_the_scope_came_to_its_end() {
    stays(|text, reader| {
        sched::scope(|s| {
            let child = s.spawn(move || reader.swallow_while_it_reads(text));
            turns(1);
            child.cancel();
            assert!(child.join().expect_err("the child is abandoned").is_abandoned());
            turns(3); // the body goes on, up to its end
        });
    });
}

#[test]
fn where_the_body_waits_for_all_of_them() {
    stays(|text, reader| {
        sched::scope(|s| {
            let child = s.spawn(move || reader.swallow_while_it_reads(text));
            turns(1);
            child.cancel();
            let _ = catch_unwind(AssertUnwindSafe(|| s.join_all()));
            unreachable!("`join_all` does not return");
        });
    });
}

/// The other children unwind, and only those above the stubborn one are abandoned.
#[test]
fn no_other_fiber_is_abandoned_with_them() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&reports);
    let reporter = Reporter::new(move |report| {
        if let Report::Abandoned(fiber, why) = report {
            sink.lock().unwrap().push((fiber.name.clone().unwrap_or_default(), *why));
        }
    });
    let root = || {
        let unwound = Rc::new(Cell::new(0));
        let (note, other) = (Rc::clone(&unwound), sched::spawn(|| turns(9)));
        let named = |name: &str| sched::FiberBuilder::new().name(name);
        let top = named("top").spawn(move || {
            sched::scope(|s| {
                let note = &note;
                let middle = move || {
                    sched::scope(|s| {
                        named("stubborn").spawn_scoped(s, || swallow_for_ever()).unwrap();
                        s.spawn(move || {
                            let _unwound = crate::common::OnDrop(|| note.set(note.get() + 1));
                            sched::park();
                        });
                        turns(2);
                        s.cancel();
                    });
                };
                named("middle").spawn_scoped(s, middle).unwrap();
                s.spawn(move || {
                    let _unwound = crate::common::OnDrop(|| note.set(note.get() + 10));
                    sched::park();
                });
            });
        });
        let error: JoinError = top.unwrap().join().unwrap_err();
        assert!(error.to_string().starts_with("the fiber was abandoned"));
        other.join().unwrap();
        let stats = sched::stats();
        assert_eq!((unwound.get(), stats.abandoned, stats.fibers), (11, 3, 1));
    };
    unless_it_hangs(move || sched::run_with(Config::default().with_reporter(reporter), root))
        .expect("the root was not abandoned");
    let expected = [
        ("stubborn".to_owned(), Abandoned::Swallows),
        ("middle".to_owned(), Abandoned::WithChild),
        ("top".to_owned(), Abandoned::WithChild),
    ];
    assert_eq!(*reports.lock().unwrap(), expected);
}

/// The value of a thread-local, which records its drop.
struct Lent {
    text: String,
    dropped: Arc<AtomicBool>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
        self.text.clear();
    }
}

thread_local! {
    static PLAIN: Mutex<Option<Lent>> = const { Mutex::new(None) };
    /// Its destructor runs when the destructors of the thread run.
    static LATE: RefCell<Option<Sender<()>>> = const { RefCell::new(None) };
}

/// Checks that a thread does not end while a thread-local of it is borrowed from its fibers.
fn thread_stays(run: impl FnOnce(Reader) + Send + 'static) {
    let (reader, asker) = reader();
    let (ends, ending) = mpsc::channel::<()>();
    let dropped = Arc::new(AtomicBool::new(false));
    let value = Lent { text: TEXT.to_owned(), dropped: Arc::clone(&dropped) };
    thread::spawn(move || {
        PLAIN.with(|lent| *lent.lock().expect("no panic with the lock") = Some(value));
        run(reader);
        LATE.set(Some(ends));
    });
    // `LATE` is made last, and so would be dropped first.
    ending.recv_timeout(Duration::from_secs(60)).expect_err("nothing is sent");
    let until = std::time::Instant::now() + Duration::from_millis(100);
    while std::time::Instant::now() < until && !dropped.load(Ordering::SeqCst) {
        thread::yield_now(); // a wrong drop would happen in this time
    }
    assert!(!dropped.load(Ordering::SeqCst), "the thread-local is gone");
    asker.assert_still_there();
}

fn with_plain(body: impl FnOnce(&str)) {
    PLAIN.with(|lent| {
        body(
            &lent
                .lock()
                .expect("no panic with the lock")
                .as_ref()
                .expect("the thread has set it")
                .text,
        );
    });
}

#[test]
fn a_thread_does_not_end_under_a_fiber_that_was_abandoned() {
    thread_stays(|reader| {
        let outcome = sched::run_with(sched::Config::default(), move || {
            drop(sched::spawn(|| with_plain(|text| reader.swallow_while_it_reads(text))));
            turns(1);
            "returned"
        });
        assert_eq!(outcome.expect("the root has ended"), "returned");
    });
}

#[test]
fn nor_under_a_root_that_was_abandoned() {
    thread_stays(|reader| {
        let outcome = sched::run_with(sched::Config::default(), move || {
            let swallow = || with_plain(|text| reader.swallow_while_it_reads(text));
            let _ = sched::deadline(Duration::ZERO, swallow);
        });
        assert!(outcome.expect_err("the root has not ended").to_string().contains("abandoned"));
    });
}

/// In virtual time, because the end of the shard takes ten seconds.
#[test]
fn nor_under_a_section_that_did_not_end_in_time() {
    thread_stays(|reader| {
        let outcome = Sim::new(7).run(move || {
            drop(sched::spawn(move || {
                with_plain(|text| {
                    thread::scope(|threads| {
                        threads.spawn(move || reader.read_when_asked(text));
                        sched::uncancellable(|| sched::sleep(Duration::MAX));
                    });
                });
            }));
            turns(2);
        });
        outcome.expect_err("a fiber is left");
    });
}

#[test]
fn nor_under_fibers_of_the_second_run_of_a_thread() {
    thread_stays(|reader| {
        where_threads_are_kept_again(|| {
            sched::run(|| {
                drop(sched::spawn(|| swallow_for_ever()));
                turns(1);
            });
        });
        sched::run(move || {
            drop(sched::spawn(|| with_plain(|text| reader.swallow_while_it_reads(text))));
            turns(1);
        });
    });
}

/// On a system without an order of thread-local destructors, such a thread runs no shard any more.
fn where_threads_are_kept_again(body: impl FnOnce()) {
    let chosen = std::env::var("STRAIGHTLINE_THREAD_END");
    if cfg!(all(target_os = "linux", target_env = "gnu")) && chosen.as_deref() != Ok("thread-local")
    {
        body();
    }
}

#[test]
fn a_shard_with_such_a_thread_is_joined_all_the_same() {
    unless_it_hangs(|| {
        let (reader, asker) = reader();
        let shard = spawn_shard("stays", Config::default(), move || {
            drop(sched::spawn(|| {
                let text = String::from(TEXT);
                reader.swallow_while_it_reads(&text);
            }));
            turns(1);
            "returned"
        });
        assert_eq!(shard.unwrap().join().unwrap().unwrap(), "returned");
        asker.assert_still_there();
    });
}
