//! A shard whose driver fails ends. It takes no more closures or fibers, and threads that wait for
//! it get an error.
//!
//! The test has a process to itself: it breaks the drivers of all shards of its process.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::fd::AsRawFd;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;

use crate::common::{own_process::in_a_process, unless_it_hangs};
use straightline_sched::sync::oneshot;
use straightline_sched::{self as sched, Config, ShardHandle, SpawnError};

#[test]
fn a_closure_and_a_spawn_that_come_after_it_are_refused() {
    in_a_process(|| {
        unless_it_hangs(|| {
            let held = Arc::new(());
            let ((sender, receiver), (ran, end)) = (oneshot::channel::<()>(), oneshot::channel());
            let (handle_sender, handle) = channel();
            let reached = Arc::new(Barrier::new(2));
            let waiter = thread::spawn(move || receiver.recv());
            let shard = sched::spawn_shard("breaks", Config::default(), {
                let (held, reached) = (Arc::clone(&held), Arc::clone(&reached));
                move || {
                    // One fiber waits and holds the sender of a channel that another thread
                    // receives from. The other fiber waits in an uncancellable section.
                    sched::spawn(move || {
                        let _sender = sender;
                        sched::park();
                    });
                    sched::spawn({
                        let held = Arc::clone(&held);
                        move || {
                            sched::uncancellable(|| (0..u64::MAX).for_each(|_| sched::park()));
                            drop(held);
                        }
                    });
                    sched::yield_now();
                    handle_sender.send(ShardHandle::current()).unwrap();
                    reached.wait(); // until a closure has been sent
                    break_driver();
                    sched::park();
                }
            });
            let handle = handle.recv().unwrap();
            let closure = {
                let held = Arc::clone(&held);
                move || {
                    let _ = ran.send(Arc::strong_count(&held));
                }
            };
            handle.spawn(closure).unwrap();
            reached.wait();
            let payload = shard.unwrap().join().unwrap_err();
            let message = payload.downcast_ref::<String>().expect("a text");
            assert!(message.contains("waiting for events failed"), "{message}");
            assert!(waiter.join().unwrap().is_err());
            let _ = end.recv(); // the closure ran or was dropped
            assert_eq!(handle.spawn(|| ()), Err(SpawnError::Closed));
            // The frames of the uncancellable fiber stay for ever.
            assert_eq!(Arc::strong_count(&held), 2);
        });
    });
}

/// Makes the next wait of each driver fail, as if other code had closed the driver's descriptor.
fn break_driver() {
    let null = fs::File::open("/dev/null").expect("a null device");
    let null = null.as_raw_fd();
    for entry in fs::read_dir("/proc/self/fd").expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = fs::read_link(&path).unwrap_or_default();
        if target.to_string_lossy().contains("eventpoll") {
            let number = path.file_name().and_then(|name| name.to_str()).expect("a number");
            let number = number.parse().expect("a number");
            // SAFETY: the number stays open, as another file. Its owner gets an error.
            assert_eq!(unsafe { libc::dup2(null, number) }, number);
        }
    }
}
