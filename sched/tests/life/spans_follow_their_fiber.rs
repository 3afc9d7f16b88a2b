//! A span of the crate `tracing` that a fiber has entered is the current one on that fiber alone.

use std::cell::Cell;
use std::io::{self, Write};
use std::mem;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::thread;

use crate::common::{OnDrop, settle, swallow_for_ever, unless_it_hangs};
use parking_lot::Mutex;
use straightline_sched::{self as sched, tracing::FiberLayer};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Span};
use tracing::subscriber::with_default;
use tracing::{Dispatch, Event, Subscriber, info, info_span, instrument};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::{LookupSpan, Scope};

/// What the subscriber has heard: each event as `outer:inner: text`, each new span below its
/// parents as `new outer:inner`, each span that closes as `closed inner`.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn note(&self, text: String) {
        self.0.lock().push(text);
    }

    fn take(&self) -> Vec<String> {
        mem::take(&mut *self.0.lock())
    }

    /// The events alone.
    fn events(&self) -> Vec<String> {
        let mut texts = self.take();
        texts.retain(|text| !text.starts_with("new ") && !text.starts_with("closed "));
        texts
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Heard {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.note(format!("new {}", path(context.span_scope(id))));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
                self.0 = format!("{value:?}");
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        self.note(format!("{}: {}", path(context.event_scope(event)), message.0));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.note(format!("closed {}", context.span(&id).map_or("", |span| span.name())));
    }
}

fn path<'s, S: LookupSpan<'s>>(scope: Option<Scope<'s, S>>) -> String {
    let spans = scope.into_iter().flat_map(Scope::from_root);
    spans.map(|span| span.name()).collect::<Vec<_>>().join(":")
}

/// Runs `root` on a shard whose thread has a subscriber with the layer.
fn heard(root: impl FnOnce(Heard) + Send + 'static) -> Vec<String> {
    unless_it_hangs(|| {
        let heard = Heard::default();
        let subscriber = tracing_subscriber::registry().with(FiberLayer::new()).with(heard.clone());
        let own = heard.clone();
        with_default(subscriber, || sched::run(move || root(own)));
        heard.take()
    })
}

#[test]
fn requests_that_overlap_log_under_their_own_spans() {
    #[instrument(skip_all)]
    fn first() {
        for _ in 0..2 {
            sched::yield_now();
            info!("one");
        }
    }
    fn second() {
        let _entered = info_span!("second").entered();
        for _ in 0..2 {
            sched::yield_now();
            info!("two");
        }
    }
    fn third() {
        for _ in 0..2 {
            sched::yield_now();
            info!("none");
        }
    }
    heard(|heard| {
        sched::scope(|s| {
            s.spawn(first);
            s.spawn(second);
            s.spawn(third);
        });
        info!("end");
        let turn = ["first: one", "second: two", ": none"];
        assert_eq!(heard.events(), [&turn[..], &turn[..], &[": end"]].concat());
    });
}

#[test]
fn nested_spans_are_left_and_entered_in_their_order() {
    heard(|heard| {
        let other = sched::spawn(|| {
            let _entered = info_span!("other").entered();
            (0..8).for_each(|_| sched::yield_now());
        });
        info_span!("outer").in_scope(|| {
            sched::yield_now();
            info_span!("inner").in_scope(|| {
                sched::yield_now();
                info!("deep");
            });
            sched::yield_now();
            info!("back");
        });
        other.join().unwrap();
        assert_eq!(heard.events(), ["outer:inner: deep", "outer: back"]);
    });
}

#[test]
fn guards_that_are_dropped_in_another_order_are_no_matter() {
    heard(|heard| {
        let outer = info_span!("outer").entered();
        let inner = info_span!("inner").entered();
        let twice = inner.clone().entered();
        drop(outer);
        sched::yield_now();
        info!("inner");
        drop(inner);
        sched::yield_now();
        info!("still");
        drop(twice);
        sched::yield_now();
        info!("none");
        assert_eq!(heard.events(), ["outer:inner: inner", "outer:inner: still", ": none"]);
    });
}

#[test]
fn a_span_is_no_child_of_the_span_of_another_fiber() {
    let heard = heard(|_| {
        let first = sched::spawn(|| info_span!("first").in_scope(sched::yield_now));
        sched::yield_now();
        drop(info_span!("second"));
        assert!(Span::current().is_none());
        first.join().unwrap();
    });
    assert_eq!(heard, ["new first", "new second", "closed second", "closed first"]);
}

#[test]
fn a_fiber_passes_its_span_on_by_its_own_will() {
    heard(|heard| {
        info_span!("parent").in_scope(|| {
            let span = Span::current();
            sched::scope(|s| {
                s.spawn(|| info!("alone"));
                s.spawn(move || span.in_scope(|| info!("with")));
            });
        });
        assert_eq!(heard.events(), [": alone", "parent: with"]);
    });
}

#[test]
fn destructors_of_a_cancelled_fiber_are_in_its_span() {
    let heard = heard(|_| {
        let fiber = sched::spawn(|| {
            let _entered = info_span!("fiber").entered();
            let _last = OnDrop(|| info!("dropped"));
            sched::park();
        });
        settle();
        info!("before");
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        info!("behind");
    });
    assert_eq!(heard, ["new fiber", ": before", "fiber: dropped", "closed fiber", ": behind"]);
}

#[test]
fn a_fiber_that_is_abandoned_leaves_its_spans() {
    let heard = heard(|_| {
        let fiber = sched::spawn(|| {
            let _entered = info_span!("lost").entered();
            swallow_for_ever();
        });
        settle();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_abandoned());
        info!("behind");
    });
    assert_eq!(heard, ["new lost", ": behind"]);
}

#[test]
fn a_guard_that_was_forgotten_ends_with_its_fiber() {
    let heard = heard(|_| {
        let fiber = sched::spawn(|| {
            mem::forget(info_span!("forgotten").entered());
            sched::yield_now();
            info!("own");
        });
        fiber.join().unwrap();
        info!("behind");
    });
    // The guard has a reference of its own to the span, which never closes.
    assert_eq!(heard, ["new forgotten", "forgotten: own", ": behind"]);
}

#[test]
fn a_guard_that_was_forgotten_does_not_outlive_own_locals() {
    let heard = heard(|_| {
        let _outer = info_span!("outer").entered();
        sched::with_own_locals(|| {
            let span = info_span!("inner");
            mem::forget(span.enter());
            sched::yield_now();
            info!("within");
            drop(span); // the fiber keeps the span open
            sched::yield_now();
            info!("again");
        });
        info!("behind");
        sched::yield_now();
        info!("later");
    });
    let within = ["new outer", "new outer:inner", "outer:inner: within", "outer:inner: again"];
    let behind = ["closed inner", "outer: behind", "outer: later", "closed outer"];
    assert_eq!(heard, [within, behind].concat());
}

#[test]
fn a_span_lasts_from_one_activation_to_the_next() {
    heard(|heard| {
        let (mut entered, mut runs) = (None, 0);
        let fiber = sched::spawn_stackless(move || {
            entered.get_or_insert_with(|| info_span!("stackless").entered());
            info!("runs");
            runs += 1;
            if runs == 3 {
                entered = None;
                return ControlFlow::Break(());
            }
            sched::wake_later();
            ControlFlow::Continue(())
        });
        for _ in 0..2 {
            sched::yield_now();
            info!("between");
        }
        fiber.join().unwrap();
        let turn = ["stackless: runs", ": between"];
        assert_eq!(heard.events(), [&turn[..], &turn[..], &["stackless: runs"]].concat());
    });
}

#[test]
fn plain_threads_keep_their_spans() {
    let heard = unless_it_hangs(|| {
        let heard = Heard::default();
        let dispatch = Dispatch::new(
            tracing_subscriber::registry().with(FiberLayer::new()).with(heard.clone()),
        );
        let meet = Arc::new(Barrier::new(2));
        let (their_dispatch, their_meet) = (dispatch.clone(), Arc::clone(&meet));
        let other = thread::spawn(move || {
            tracing::dispatcher::with_default(&their_dispatch, || {
                info_span!("thread").in_scope(|| {
                    their_meet.wait();
                    their_meet.wait(); // fibers have switched meanwhile
                    info!("mine");
                });
            });
        });
        tracing::dispatcher::with_default(&dispatch, || {
            let _base = info_span!("base").entered();
            sched::run(move || {
                let _entered = info_span!("fiber").entered();
                meet.wait();
                (0..3).for_each(|_| sched::yield_now());
                meet.wait();
                other.join().unwrap(); // std's: it blocks the thread
                info!("fiber");
            });
            info!("after");
        });
        heard.events()
    });
    assert_eq!(heard, ["thread: mine", "base:fiber: fiber", "base: after"]);
}

#[test]
fn the_formatter_writes_each_line_with_the_spans_of_its_fiber() {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let text = unless_it_hangs(|| {
        let writer = Lines::default();
        let own = writer.clone();
        let format = tracing_subscriber::fmt::layer()
            .with_writer(move || own.clone())
            .with_ansi(false)
            .with_target(false)
            .with_level(false)
            .without_time();
        // The place of the layer does not matter.
        let subscriber = tracing_subscriber::registry().with(format).with(FiberLayer::new());
        with_default(subscriber, || {
            sched::run(|| {
                sched::scope(|s| {
                    for request in 1..=2 {
                        s.spawn(move || {
                            let _entered = info_span!("handle", request).entered();
                            sched::yield_now();
                            info!("done");
                        });
                    }
                });
            });
        });
        String::from_utf8(writer.0.lock().clone()).unwrap()
    });
    assert_eq!(text, "handle{request=1}: done\nhandle{request=2}: done\n");
}

#[test]
fn a_default_subscriber_follows_its_fiber() {
    unless_it_hangs(|| {
        let (own, others) = (Heard::default(), Heard::default());
        let outer = tracing_subscriber::registry().with(FiberLayer::new()).with(others.clone());
        let theirs = own.clone();
        with_default(outer, || {
            sched::run(move || {
                let fiber = sched::spawn(move || {
                    let inner = tracing_subscriber::registry().with(FiberLayer::new()).with(theirs);
                    sched::tracing::with_default(&Dispatch::new(inner), || {
                        let _entered = info_span!("inner").entered();
                        sched::yield_now();
                        info!("own");
                        sched::yield_now();
                    });
                    info!("restored");
                });
                for _ in 0..2 {
                    sched::yield_now();
                    info!("other");
                }
                fiber.join().unwrap();
            });
        });
        assert_eq!(own.events(), ["inner: own"]);
        assert_eq!(others.events(), [": other", ": other", ": restored"]);
    });
}

#[test]
fn a_default_subscriber_ends_with_an_unwind() {
    unless_it_hangs(|| {
        sched::run(|| {
            let is_default = || tracing::dispatcher::get_default(Dispatch::is::<Marked>);
            let seen = Rc::new(Cell::new(false));
            let inside = Rc::clone(&seen);
            let fiber = sched::spawn(move || {
                sched::tracing::with_default(&Dispatch::new(Marked), || {
                    let _last = OnDrop(|| inside.set(is_default()));
                    sched::park();
                });
            });
            settle();
            assert!(!is_default());
            fiber.cancel();
            assert!(fiber.join().unwrap_err().is_cancelled());
            assert!(seen.get(), "the destructor still has it");
            assert!(!is_default());
        });
    });
}

/// A subscriber that records nothing.
struct Marked;

impl Subscriber for Marked {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        false
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
