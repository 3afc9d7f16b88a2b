//! When the process has no room for another stack, a spawn fails, and the running fibers go on.
//!
//! The test has a process to itself, because the stacks of a process are counted together.

#![cfg(target_os = "linux")]

use std::cell::Cell;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::own_process::in_a_process;
use straightline_sched as sched;

#[test]
fn one_stack_too_many_is_quota_exceeded_until_some_are_free() {
    in_a_process(|| {
        // With stacks this large, a few thousand of them use up the address space for stacks.
        let config = sched::Config::default().with_stack_bytes(4 << 30);
        sched::run_with(config, || {
            let activations = Rc::new(Cell::new(0));
            let resting = sched::spawn_stackless({
                let activations = Rc::clone(&activations);
                move || {
                    activations.set(activations.get() + 1);
                    ControlFlow::Continue(())
                }
            });
            sched::yield_now();

            let held = Rc::new(());
            let mut fibers = Vec::new();
            let error = loop {
                let held = Rc::clone(&held);
                let spawned = sched::FiberBuilder::new().spawn(move || {
                    sched::park();
                    drop(held);
                });
                match spawned {
                    Ok(fiber) => fibers.push(fiber),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
            assert!(fibers.len() > 1_000);
            assert_eq!(Rc::strong_count(&held), 1 + fibers.len(), "the refused one was dropped");

            // Neither a message nor a resting fiber gets a stack now, and both wait for one.
            let arrived = Arc::new(AtomicBool::new(false));
            let sent = sched::ShardHandle::current().spawn({
                let arrived = Arc::clone(&arrived);
                move || arrived.store(true, Ordering::Relaxed)
            });
            sent.unwrap();
            resting.fiber().unpark();
            (0..500).for_each(|_| sched::yield_now());
            assert!(!arrived.load(Ordering::Relaxed));
            assert_eq!(activations.get(), 1);

            // The wake-up that frees a stack comes after the message that waits for a stack.
            let first = fibers.swap_remove(0);
            let woken = first.fiber();
            std::thread::spawn(move || woken.unpark()).join().unwrap();
            (0..500).for_each(|_| sched::yield_now());
            let overtook = first.is_finished();

            fibers.iter().for_each(|fiber| fiber.fiber().unpark());
            for fiber in fibers {
                fiber.join().unwrap();
            }
            first.fiber().unpark();
            first.join().unwrap();
            assert_eq!(Rc::strong_count(&held), 1);
            while !arrived.load(Ordering::Relaxed) || activations.get() < 2 {
                sched::yield_now();
            }
            assert_eq!(sched::spawn(|| 5).join().unwrap(), 5);
            assert!(overtook, "a wake-up waited for a stack that only it could free");
        })
        .unwrap();
    });
}
