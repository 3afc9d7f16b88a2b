//! Each type works between the fibers of two shards and a plain thread.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crate::common::{Census, own_process::in_a_process, unless_it_hangs};
use straightline_sched::{
    self as sched,
    sync::{
        Barrier, Condvar, Flag, Mutex, OnceCell, RwLock, Semaphore, WaitGroup, broadcast, mpsc,
        oneshot, select,
    },
};

/// Runs `work` in two fibers of each of two shards and on a plain thread, each with its number.
fn everywhere(work: impl Fn(usize) + Send + Sync + 'static) {
    begin_everywhere(work).into_iter().for_each(|thread| thread.join().expect("no panic"));
}

fn begin_everywhere(work: impl Fn(usize) + Send + Sync + 'static) -> Vec<JoinHandle<()>> {
    let work = Arc::new(work);
    let on_a_shard = |first: usize| {
        let work = Arc::clone(&work);
        move || {
            let run = move || {
                let fibers: Vec<_> = (first..first + 2)
                    .map(|number| {
                        let work = Arc::clone(&work);
                        sched::spawn(move || work(number))
                    })
                    .collect();
                for fiber in fibers {
                    fiber.join().expect("no panic");
                }
            };
            sched::run(run);
        }
    };
    let shards = [on_a_shard(0), on_a_shard(2)].map(thread::spawn);
    let plain = thread::spawn(move || work(THE_THREAD));
    shards.into_iter().chain([plain]).collect()
}

#[test]
fn a_mutex_keeps_them_apart() {
    unless_it_hangs(|| {
        let mutex = Arc::new(Mutex::new(0));
        everywhere({
            let mutex = Arc::clone(&mutex);
            move |_| {
                for _ in 0..ROUNDS {
                    let mut total = mutex.lock().unwrap();
                    let before = *total;
                    thread::yield_now();
                    *total = before + 1;
                }
            }
        });
        assert_eq!(*mutex.lock().unwrap(), PARTIES * ROUNDS);
    });
}

#[test]
fn a_rwlock_shows_no_half_done_work() {
    unless_it_hangs(|| {
        let lock = Arc::new(RwLock::new((0, 0)));
        everywhere({
            let lock = Arc::clone(&lock);
            move |number| {
                for round in 0..ROUNDS {
                    if (round + number) % 3 == 0 {
                        let mut pair = lock.write().unwrap();
                        pair.0 += 1;
                        thread::yield_now();
                        pair.1 += 1;
                    } else {
                        let pair = lock.read().unwrap();
                        assert_eq!(pair.0, pair.1);
                    }
                }
            }
        });
        assert!(lock.try_write().is_some());
    });
}

#[test]
fn a_semaphore_lets_in_no_more_than_it_may() {
    unless_it_hangs(|| {
        let (semaphore, inside) = (Arc::new(Semaphore::new(3)), AtomicUsize::new(0));
        everywhere({
            let semaphore = Arc::clone(&semaphore);
            move |number| {
                for round in 0..ROUNDS {
                    let permit = semaphore.acquire((round + number) % 3 + 1).unwrap();
                    let count = permit.count();
                    assert!(inside.fetch_add(count, Ordering::SeqCst) + count <= 3);
                    thread::yield_now();
                    inside.fetch_sub(count, Ordering::SeqCst);
                }
            }
        });
        assert_eq!(semaphore.available_permits(), 3);
    });
}

#[test]
fn a_condition_wakes_whose_turn_it_is() {
    unless_it_hangs(|| {
        let turn = Arc::new((Mutex::new(0), Condvar::new()));
        everywhere(move |number| {
            for _ in 0..ROUNDS {
                let mut next = turn.0.lock().unwrap();
                turn.1.wait_while(&mut next, |next| *next % PARTIES != number).unwrap();
                *next += 1;
                turn.1.notify_all();
            }
        });
    });
}

#[test]
fn a_barrier_holds_all_back_until_the_last() {
    unless_it_hangs(|| {
        let (barrier, arrived) = (Barrier::new(PARTIES), AtomicUsize::new(0));
        let leaders = Arc::new(AtomicUsize::new(0));
        everywhere({
            let leaders = Arc::clone(&leaders);
            move |_| {
                for round in 1..=ROUNDS {
                    arrived.fetch_add(1, Ordering::SeqCst);
                    let is_leader = barrier.wait().unwrap().is_leader();
                    assert!(arrived.load(Ordering::SeqCst) >= round * PARTIES);
                    leaders.fetch_add(usize::from(is_leader), Ordering::SeqCst);
                }
            }
        });
        assert_eq!(leaders.load(Ordering::SeqCst), ROUNDS);
    });
}

#[test]
fn an_event_and_a_wait_group_see_all_of_them() {
    unless_it_hangs(|| {
        let (start, group) = (Arc::new(Flag::new()), WaitGroup::new());
        let passed = Arc::new(AtomicUsize::new(0));
        let threads = begin_everywhere({
            let (start, passed) = (Arc::clone(&start), Arc::clone(&passed));
            let members = Mutex::new(vec![group.clone(); PARTIES]);
            move |_| {
                let member = members.lock().unwrap().pop();
                start.wait().unwrap();
                passed.fetch_add(1, Ordering::SeqCst);
                drop(member);
            }
        });
        assert_eq!(passed.load(Ordering::SeqCst), 0);
        start.set();
        group.wait().unwrap();
        assert_eq!(passed.load(Ordering::SeqCst), PARTIES);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_cell_is_filled_by_one_of_them() {
    unless_it_hangs(|| {
        for _ in 0..20 {
            let (cell, runs) = (Arc::new(OnceCell::new()), Arc::new(AtomicUsize::new(0)));
            everywhere({
                let (cell, runs) = (Arc::clone(&cell), Arc::clone(&runs));
                move |number| {
                    let initialise = || {
                        if number != THE_THREAD {
                            sched::yield_now();
                        }
                        runs.fetch_add(1, Ordering::SeqCst);
                        number
                    };
                    let value = *cell.get_or_init(initialise).unwrap();
                    assert_eq!(cell.get(), Some(&value));
                }
            });
            assert_eq!(runs.load(Ordering::SeqCst), 1);
        }
    });
}

#[test]
fn a_channel_carries_each_message_once() {
    unless_it_hangs(|| {
        for bound in [1, 3, usize::MAX] {
            let census = Census::default();
            let (sender, receiver) = mpsc::channel(bound);
            let threads = begin_everywhere({
                let census = census.clone();
                move |number| {
                    for round in 0..ROUNDS {
                        assert!(sender.send(census.count((number, round))).is_ok());
                    }
                }
            });
            // Several of them also receive.
            let receiver = Arc::new(receiver);
            let taken = Arc::new(Mutex::new(Vec::new()));
            everywhere({
                let taken = Arc::clone(&taken);
                move |_| {
                    for message in &*receiver {
                        taken.lock().unwrap().push(message.value);
                    }
                }
            });
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let taken = taken.lock().unwrap();
            assert_eq!(taken.len(), PARTIES * ROUNDS);
            assert_eq!(taken.iter().collect::<HashSet<_>>().len(), PARTIES * ROUNDS);
            assert_eq!(census.alive(), 0);
        }
    });
}

#[test]
fn one_receiver_gets_each_senders_messages_in_order() {
    unless_it_hangs(|| {
        let (sender, receiver) = mpsc::channel(2);
        let threads = begin_everywhere(move |number| {
            (0..ROUNDS).for_each(|round| sender.send((number, round)).unwrap());
        });
        let next = sched::run_with(sched::Config::default(), move || {
            let mut next = [0; PARTIES];
            for (number, round) in receiver {
                assert_eq!(round, next[number]);
                next[number] += 1;
            }
            next
        });
        assert_eq!(next.unwrap(), [ROUNDS; PARTIES]);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn each_answer_finds_the_fiber_that_asked() {
    unless_it_hangs(|| {
        let (ask, asked) = mpsc::channel::<(usize, oneshot::Sender<usize>)>(2);
        let server = thread::spawn(move || {
            for (question, answer) in asked {
                answer.send(question * 2).unwrap();
            }
        });
        everywhere(move |number| {
            for round in 0..ROUNDS {
                let (sender, receiver) = oneshot::channel();
                ask.send((number * ROUNDS + round, sender)).unwrap();
                assert_eq!(receiver.recv(), Ok((number * ROUNDS + round) * 2));
            }
        });
        server.join().unwrap();
    });
}

#[test]
fn a_broadcast_reaches_all_of_them() {
    unless_it_hangs(|| {
        let (sender, first) = broadcast::channel(ROUNDS);
        let receivers = (0..PARTIES).map(|_| sender.subscribe()).collect::<Vec<_>>();
        drop(first);
        let receivers = Mutex::new(receivers);
        let threads = begin_everywhere(move |_| {
            let receiver = receivers.lock().unwrap().pop().unwrap();
            assert!(receiver.iter().eq(0..ROUNDS));
        });
        (0..ROUNDS).for_each(|round| assert_eq!(sender.send(round), Ok(PARTIES)));
        drop(sender);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_select_works_wherever_it_is_called() {
    unless_it_hangs(|| {
        let ((one, first), (two, second)) = (mpsc::channel(1), mpsc::channel(1));
        let (first, second) = (Arc::new(first), Arc::new(second));
        let taken = Arc::new(AtomicUsize::new(0));
        let threads = begin_everywhere({
            let taken = Arc::clone(&taken);
            move |_| {
                let mut open = vec![Arc::clone(&first), Arc::clone(&second)];
                while let [_, ..] = open[..] {
                    let index = match &open[..] {
                        [one, two] => select(&[&**one, &**two]).unwrap(),
                        _ => select(&[&*open[0]]).unwrap(),
                    };
                    match open[index].try_recv() {
                        Ok(()) => {
                            taken.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(mpsc::TryRecvError::Empty) => {}
                        Err(mpsc::TryRecvError::Disconnected) => drop(open.remove(index)),
                    }
                }
            }
        });
        for _ in 0..ROUNDS {
            one.send(()).unwrap();
            two.send(()).unwrap();
        }
        drop((one, two));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(taken.load(Ordering::SeqCst), 2 * ROUNDS);
    });
}

#[test]
fn cancels_of_fibers_that_compete_with_threads_lose_nothing() {
    unless_it_hangs(|| {
        let (census, (sender, receiver)) = (Census::default(), mpsc::channel(2));
        let receiver = Arc::new(receiver);
        let taken = Arc::new(AtomicUsize::new(0));
        let shard = thread::spawn({
            let (receiver, taken) = (Arc::clone(&receiver), Arc::clone(&taken));
            move || {
                sched::run(move || {
                    for _ in 0..ROUNDS {
                        let (receiver, taken) = (Arc::clone(&receiver), Arc::clone(&taken));
                        let fiber = sched::spawn(move || {
                            for message in &*receiver {
                                taken.fetch_add(1, Ordering::SeqCst);
                                drop(message);
                            }
                        });
                        (0..10).for_each(|_| sched::yield_now());
                        fiber.cancel();
                        drop(fiber.join());
                    }
                });
            }
        });
        let plain = thread::spawn({
            let (receiver, taken) = (Arc::clone(&receiver), Arc::clone(&taken));
            move || {
                for message in &*receiver {
                    taken.fetch_add(1, Ordering::SeqCst);
                    drop(message);
                }
            }
        });
        for number in 0..20 * ROUNDS {
            assert!(sender.send(census.count(number)).is_ok());
        }
        drop(sender);
        shard.join().unwrap();
        plain.join().unwrap();
        assert_eq!(taken.load(Ordering::SeqCst), 20 * ROUNDS);
        assert_eq!(census.alive(), 0);
    });
}

/// Two fibers of two shards, and a thread.
const PARTIES: usize = 5;

/// The number of the thread.
const THE_THREAD: usize = 4;

const ROUNDS: usize = 200;

#[cfg(target_os = "linux")]
#[test]
fn a_shard_without_a_descriptor_for_its_driver_is_an_error_at_once() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    in_a_process(|| {
        // Descriptors that are open stay open.
        let few = Rlimit { current: Some(3), maximum: Some(3) };
        setrlimit(Resource::Nofile, few).expect("a lower limit");
        let error =
            sched::spawn_shard("late", sched::Config::default(), || ()).expect_err("no descriptor");
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()), "{error}");
    });
}
