//! Whatever fibers acquire and release, and whichever fibers are cancelled or abandoned meanwhile,
//! a semaphore behaves like a counter with a queue.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::common::{brittle, on_a_shard, settle};
use quickcheck::quickcheck;
use straightline_sched::{
    self as sched, JoinHandle, Lease,
    sync::{AcquireError, Flag, Semaphore, TryAcquireError},
};

/// The kind of an operation, and a number that gives its amount or chooses its fiber.
type Operation = (u8, u8);

quickcheck! {
    /// Every fiber may run after each operation. So the model determines which fiber holds how many
    /// permits.
    fn permits_go_where_the_model_says(operations: Vec<Operation>) -> bool {
        on_a_shard(move || {
            let (mut real, mut model) = (Real::new(), Model::new());
            operations.into_iter().all(|operation| {
                real.apply(operation);
                settle();
                model.apply(operation);
                real.holders() == model.holders && real.semaphore.available_permits() == model.free
            })
        })
    }

    /// Here fibers do not always run after an operation, so there are more races. Still the sum of
    /// the permits is right, and no fiber waits for permits that are free.
    fn no_race_makes_or_loses_a_permit(operations: Vec<Operation>) -> bool {
        on_a_shard(move || {
            let mut real = Real::new();
            for (kind, amount) in operations {
                real.apply((kind, amount));
                if amount % 4 == 0 {
                    sched::yield_now();
                }
                if real.out() > real.total {
                    return false;
                }
            }
            real.fibers.iter().for_each(|_| settle());
            let free = real.semaphore.available_permits();
            let front = real.pending().first().map(|fiber| fiber.need);
            let fits = real.out() + free == real.total && front.is_none_or(|need| need > free);
            // After all fibers have ended, every permit has come back.
            for fiber in &real.fibers {
                fiber.handle.cancel();
            }
            settle();
            fits && real.semaphore.available_permits() == real.total
        })
    }
}

/// The fibers that asked for permits, in this order, and the permits that they got.
struct Real {
    semaphore: Rc<Semaphore>,
    total: usize,
    fibers: Vec<Asking>,
    /// The names and permits of the fibers that hold permits, in the order in which they got them.
    holders: Rc<RefCell<Vec<(usize, usize)>>>,
}

struct Asking {
    name: usize,
    need: usize,
    handle: JoinHandle<()>,
    release: Rc<Flag>,
    lease: Lease,
}

impl Real {
    fn new() -> Self {
        let semaphore = Rc::new(Semaphore::new(PERMITS));
        Self { semaphore, total: PERMITS, fibers: Vec::new(), holders: Rc::default() }
    }

    fn apply(&mut self, (kind, amount): Operation) {
        let pick = usize::from(amount);
        match kind % 6 {
            0 | 1 => self.ask(pick % (PERMITS + 2)),
            2 => {
                let held = self.holders();
                if let Some((name, _)) = held.get(pick % held.len().max(1)) {
                    self.fibers[*name].release.set();
                }
            }
            3 => {
                if let Some(fiber) = self.fibers.get(pick % self.fibers.len().max(1)) {
                    fiber.handle.cancel();
                }
            }
            4 => {
                let waiting = self.pending();
                if let Some(fiber) = waiting.get(pick % waiting.len().max(1)) {
                    fiber.lease.end(); // the fiber is abandoned at its wait
                }
            }
            _ => {
                self.semaphore.add_permits(1);
                self.total += 1;
            }
        }
    }

    fn ask(&mut self, need: usize) {
        /// Records that its fiber holds the permits, until it is dropped.
        struct Held(Rc<RefCell<Vec<(usize, usize)>>>, usize);
        impl Drop for Held {
            fn drop(&mut self) {
                self.0.borrow_mut().retain(|holder| holder.0 != self.1);
            }
        }
        let (name, release) = (self.fibers.len(), Rc::new(Flag::new()));
        let lease = Lease::new();
        let handle = sched::spawn({
            let (semaphore, holders) = (Rc::clone(&self.semaphore), Rc::clone(&self.holders));
            let (release, lease) = (Rc::clone(&release), lease.clone());
            move || {
                brittle(&lease, || {
                    let _permit = semaphore.acquire(need).expect("the fiber may wait");
                    holders.borrow_mut().push((name, need));
                    let _held = Held(holders, name);
                    release.wait().expect("the fiber may wait");
                });
            }
        });
        self.fibers.push(Asking { name, need, handle, release, lease });
    }

    fn holders(&self) -> Vec<(usize, usize)> {
        self.holders.borrow().clone()
    }

    fn out(&self) -> usize {
        self.holders.borrow().iter().map(|holder| holder.1).sum()
    }

    fn pending(&self) -> Vec<&Asking> {
        let holders = self.holders();
        let waits = |fiber: &&Asking| {
            !fiber.handle.is_finished() && holders.iter().all(|holder| holder.0 != fiber.name)
        };
        self.fibers.iter().filter(waits).collect()
    }
}

struct Model {
    free: usize,
    asked: usize,
    waiting: VecDeque<(usize, usize)>,
    holders: Vec<(usize, usize)>,
}

impl Model {
    fn new() -> Self {
        Self { free: PERMITS, asked: 0, waiting: VecDeque::new(), holders: Vec::new() }
    }

    fn apply(&mut self, (kind, amount): Operation) {
        let pick = usize::from(amount);
        match kind % 6 {
            0 | 1 => {
                self.waiting.push_back((self.asked, pick % (PERMITS + 2)));
                self.asked += 1;
            }
            2 => {
                if !self.holders.is_empty() {
                    let (_, count) = self.holders.remove(pick % self.holders.len());
                    self.free += count;
                }
            }
            3 => {
                let name = pick % self.asked.max(1);
                self.waiting.retain(|waiter| waiter.0 != name);
                let holds = |holder: &(usize, usize)| holder.0 == name;
                if let Some(position) = self.holders.iter().position(holds) {
                    self.free += self.holders.remove(position).1;
                }
            }
            4 => {
                if !self.waiting.is_empty() {
                    self.waiting.remove(pick % self.waiting.len());
                }
            }
            _ => self.free += 1,
        }
        while self.waiting.front().is_some_and(|front| front.1 <= self.free) {
            let front = self.waiting.pop_front().expect("there is a front");
            self.free -= front.1;
            self.holders.push(front);
        }
    }
}

#[test]
fn a_big_request_is_not_starved_by_small_ones() {
    on_a_shard(|| {
        let semaphore = Rc::new(Semaphore::new(3));
        let first = semaphore.acquire(1).unwrap();
        let big = sched::spawn({
            let semaphore = Rc::clone(&semaphore);
            move || semaphore.acquire(3).unwrap().count()
        });
        settle();
        assert_eq!(semaphore.try_acquire(1).unwrap_err(), TryAcquireError::NoPermits);
        drop(first);
        assert_eq!(big.join().unwrap(), 3);
    });
}

#[test]
fn a_close_turns_all_fibers_away() {
    on_a_shard(|| {
        let semaphore = Rc::new(Semaphore::new(1));
        let held = semaphore.acquire(1).unwrap();
        let waiter = sched::spawn({
            let semaphore = Rc::clone(&semaphore);
            move || semaphore.acquire(1).map(|permit| permit.count())
        });
        settle();
        semaphore.close();
        assert_eq!(waiter.join().unwrap(), Err(AcquireError::Closed));
        assert_eq!(semaphore.try_acquire(1).unwrap_err(), TryAcquireError::Closed);
        drop(held);
        assert_eq!(semaphore.available_permits(), 1);
        assert_eq!(semaphore.acquire(1).unwrap_err(), AcquireError::Closed);
    });
}

/// Too many permits are an error of `add_permits`, and not of the release of a permit, which may be
/// in a destructor.
#[test]
fn there_are_never_too_many_permits() {
    let semaphore = Semaphore::new(usize::MAX);
    let permit = semaphore.try_acquire(1).unwrap();
    let added = catch_unwind(AssertUnwindSafe(|| semaphore.add_permits(1)));
    assert!(added.is_err());
    drop(permit);
    assert_eq!(semaphore.available_permits(), usize::MAX);
    semaphore.try_acquire(5).unwrap().forget();
    semaphore.add_permits(5);
    assert_eq!(semaphore.available_permits(), usize::MAX);
}

#[test]
fn a_forgotten_permit_does_not_come_back() {
    let semaphore = Semaphore::new(2);
    semaphore.try_acquire(1).unwrap().forget();
    assert_eq!(semaphore.available_permits(), 1);
}

const PERMITS: usize = 4;
