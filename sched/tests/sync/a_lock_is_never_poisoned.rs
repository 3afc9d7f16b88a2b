//! A holder that panics or is cancelled releases its lock. The data stays as the holder left it.

use std::panic::resume_unwind;
use std::rc::Rc;

use crate::common::{on_a_shard, settle};
use straightline_sched::{
    self as sched,
    sync::{Condvar, Mutex, RwLock},
};

fn broken() {
    resume_unwind(Box::new("broken"));
}

#[test]
fn a_mutex_is_free_after_its_holder_unwound() {
    on_a_shard(|| {
        for end in [broken, sched::park] {
            let mutex = Rc::new(Mutex::new(0));
            let holder = sched::spawn({
                let mutex = Rc::clone(&mutex);
                move || {
                    let mut guard = mutex.lock().unwrap();
                    *guard = 1;
                    end();
                    *guard = 2;
                }
            });
            let waiter = sched::spawn({
                let mutex = Rc::clone(&mutex);
                move || *mutex.lock().unwrap()
            });
            settle();
            holder.cancel();
            assert!(holder.join().is_err());
            assert_eq!(waiter.join().unwrap(), 1);
            assert_eq!(mutex.try_lock().as_deref(), Some(&1));
        }
    });
}

#[test]
fn a_rwlock_is_free_after_its_writer_or_reader_unwound() {
    on_a_shard(|| {
        for end in [broken, sched::park] {
            let lock = Rc::new(RwLock::new(0));
            for writes in [true, false] {
                let holder = sched::spawn({
                    let lock = Rc::clone(&lock);
                    move || {
                        if writes {
                            let mut guard = lock.write().unwrap();
                            *guard += 1;
                            end();
                            *guard += 10;
                        } else {
                            let _guard = lock.read().unwrap();
                            end();
                        }
                    }
                });
                settle();
                holder.cancel();
                assert!(holder.join().is_err());
                assert_eq!(lock.try_write().as_deref(), Some(&1));
            }
        }
    });
}

#[test]
fn a_wait_for_a_condition_that_is_cancelled_leaves_the_mutex_to_the_others() {
    on_a_shard(|| {
        let shared = Rc::new((Mutex::new(0), Condvar::new()));
        let waiter = sched::spawn({
            let shared = Rc::clone(&shared);
            move || {
                let mut guard = shared.0.lock().unwrap();
                shared.1.wait(&mut guard).unwrap();
            }
        });
        settle();
        // Cancels the waiter while another fiber holds the lock. The waiter takes the lock once
        // more, and then releases it.
        let mut guard = shared.0.lock().unwrap();
        waiter.cancel();
        settle();
        assert!(!waiter.is_finished());
        *guard += 1;
        drop(guard);
        assert!(waiter.join().unwrap_err().is_cancelled());
        assert_eq!(shared.0.try_lock().as_deref(), Some(&1));
    });
}
