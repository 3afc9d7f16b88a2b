//! A simulation fails if it cannot go on, leaves something behind, or does not end. The failure
//! names the fibers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use straightline_sched as sched;
use straightline_sched::sim::{self, Check, Failure, FailureKind, Sim};
use straightline_sched::sync::mpsc;

fn failure(root: impl FnOnce() + 'static) -> Failure {
    Sim::new(1).run(root).expect_err("a failure")
}

fn message(body: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(body)).expect_err("a panic");
    let constant = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    constant.or_else(|| payload.downcast_ref().cloned()).expect("a text")
}

#[test]
fn a_deadlock_names_the_fibers_and_what_they_wait_for() {
    let failure = failure(|| {
        let (sender, receiver) = mpsc::channel::<()>(1);
        let waiter = sched::FiberBuilder::new().name("waiter").spawn(move || receiver.recv());
        let result = waiter.expect("a stack").join(); // the sender is still here
        drop((sender, result));
    });
    let FailureKind::Deadlock(fibers) = failure.kind() else { panic!("{failure}") };
    assert_eq!(fibers.len(), 2);
    let text = failure.to_string();
    assert!(text.starts_with("seed 1, after 0.0000"), "{text}");
    assert!(text.contains("fiber `waiter`") && text.contains("Receiver::recv"), "{text}");
    assert!(text.contains("fiber `root`") && text.contains("the end of fiber `waiter`"), "{text}");
}

#[test]
fn a_deadlock_of_all_shards_names_the_shard() {
    let failure = failure(|| {
        let shard = sched::spawn_shard("other", sched::Config::default(), sched::park);
        let _ = shard.expect("a stack").join();
    });
    let text = failure.to_string();
    assert!(text.contains("shard 1: fiber `root`"), "{text}");
}

#[test]
fn fibers_that_are_left_are_a_leak() {
    let failure = failure(|| drop(sched::FiberBuilder::new().name("stray").spawn(sched::park)));
    let FailureKind::Leak(fibers) = failure.kind() else { panic!("{failure}") };
    assert!(fibers.len() == 1 && fibers[0].contains("fiber `stray`"), "{failure}");
}

#[test]
fn a_ticking_fiber_that_is_left_is_a_leak() {
    let tick = || {
        loop {
            sched::sleep(Duration::from_secs(1));
        }
    };
    let failure = failure(move || drop(sched::spawn(tick)));
    assert!(matches!(failure.kind(), FailureKind::Leak(_)), "{failure}");
    assert!(failure.at() >= Duration::from_secs(60));
}

#[test]
fn fibers_that_end_a_little_later_are_none() {
    let linger = || drop(sched::spawn(|| sched::sleep(Duration::from_secs(59))));
    assert!(Sim::new(1).run(linger).is_ok());
}

#[test]
fn what_is_listed_at_the_end_is_a_leak() {
    let failure = failure(|| sim::on_end(|| vec!["a file".to_owned()]));
    let FailureKind::Leak(what) = failure.kind() else { panic!("{failure}") };
    assert_eq!(what, &["a file"]);
}

#[test]
fn a_loop_without_an_end_is_found() {
    let simulation = Sim::new(1).turns_max(1_000).run(|| {
        loop {
            sched::yield_now();
        }
    });
    let failure: Failure = simulation.map(|(): ()| ()).expect_err("a failure");
    assert!(matches!(failure.kind(), FailureKind::Endless(_)), "{failure}");
}

#[test]
fn a_panic_is_the_callers() {
    let payload = catch_unwind(|| sim::run(1, || std::panic::panic_any(5_u8))).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&5_u8));
    // The thread can run another simulation, or a real shard, afterwards.
    assert_eq!(sim::run(1, || 6), 6);
    assert_eq!(sched::run(|| 7), 7);
}

#[test]
fn a_panic_of_an_event_is_reported_and_fibers_unwind() {
    let alive = Rc::new(());
    let held = Rc::clone(&alive);
    let failure = failure(move || {
        sim::after(Duration::from_secs(1), || panic!("an event"));
        sched::park();
        drop(held);
    });
    assert!(failure.to_string().contains("panic: an event"), "{failure}");
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
fn a_failed_simulation_leaves_no_fiber() {
    let alive = Rc::new(());
    let held = Rc::clone(&alive);
    let failed = failure(move || {
        let child = Rc::clone(&held);
        drop(sched::spawn(move || {
            sched::park();
            drop(child);
        }));
        sched::park();
        drop(held);
    });
    assert!(matches!(failed.kind(), FailureKind::Deadlock(_)));
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
fn a_check_tells_the_seed_and_the_trace() {
    let text = message(|| {
        Check::new().seeds(1_000).run(|| {
            let drawn = sched::random_u64() % 10;
            sim::trace(|| format!("draws {drawn}"));
            assert_ne!(drawn, 3, "drew a three");
        });
    });
    assert!(text.contains("SIM_SEED="), "{text}");
    assert!(text.contains("drew a three"), "{text}");
    assert!(text.contains("root#1: draws 3"), "{text}");
    assert!(!text.contains("does not determine"), "{text}");
}

#[test]
fn a_check_leaves_out_of_a_plan_what_is_not_needed() {
    let text = message(|| {
        Check::new().seeds(1_000).run(|| {
            let plan = sim::plan(|random| (0..20).map(|_| random.below(100)).collect());
            let small = plan.iter().filter(|number| **number < 10).count();
            assert!(small < 3, "three small numbers");
        });
    });
    assert!(text.contains("3 of the 20 elements of its plans are needed"), "{text}");
    assert_eq!(text.matches(": plan: ").count(), 3, "{text}");
}

#[test]
fn a_check_notices_what_the_seed_does_not_determine() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static FIRST: AtomicBool = AtomicBool::new(true);
    let text = message(|| {
        Check::new().seeds(1).run(|| assert!(!FIRST.swap(false, Ordering::Relaxed)));
    });
    assert!(text.contains("the seed does not determine it"), "{text}");
}

#[test]
fn a_simulation_has_its_thread_to_itself() {
    let text = message(|| sim::run(1, || sim::run(2, || ())));
    assert!(text.contains("inside of"), "{text}");
    let nested = || catch_unwind(|| sched::run_with(sched::Config::default(), || ())).is_err();
    assert!(sim::run(1, nested));
    let nested = || message(|| sim::run(1, || ())).contains("inside of");
    assert!(sched::run(nested));
}
