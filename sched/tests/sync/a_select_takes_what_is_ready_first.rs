//! A select ends when one of its sources is ready. It prefers no source, and takes no wake-up from
//! other fibers.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{on_a_shard, settle};
use quickcheck::quickcheck;
use straightline_sched::{
    self as sched, JoinHandle, Source,
    sync::{Flag, Ready, after, at, broadcast, mpsc, oneshot, select},
};

#[test]
fn each_kind_of_thing_ends_it() {
    on_a_shard(|| {
        type Trigger = Box<dyn FnOnce()>;
        for index in 0..5 {
            let (event, other) = (Rc::new(Flag::new()), Rc::new(Flag::new()));
            let (queue, messages) = mpsc::channel(1);
            let (answer, answered) = oneshot::channel();
            let (broadcaster, broadcasts) = broadcast::channel(1);
            let fiber = sched::spawn({
                let other = Rc::clone(&other);
                move || other.wait().unwrap()
            });
            let set = Rc::clone(&event);
            let triggers: [Trigger; 5] = [
                Box::new(move || set.set()),
                Box::new(move || queue.send(()).unwrap()),
                Box::new(move || answer.send(()).unwrap()),
                Box::new(move || assert_eq!(broadcaster.send(()), Ok(1))),
                Box::new(move || other.set()),
            ];
            let selecting =
                sched::spawn(move || select(&[&*event, &messages, &answered, &broadcasts, &fiber]));
            settle();
            assert!(!selecting.is_finished());
            // The other sources are kept until the end, because a channel whose sender is dropped
            // is ready too.
            let mut triggers: Vec<_> = triggers.into_iter().map(Some).collect();
            (triggers[index].take().unwrap())();
            assert_eq!(selecting.join().unwrap(), Ok(index));
        }
    });
}

#[test]
fn a_channel_whose_senders_are_gone_ends_it() {
    on_a_shard(|| {
        let (queue, messages) = mpsc::channel::<()>(1);
        let (answer, answered) = oneshot::channel::<()>();
        let (broadcaster, broadcasts) = broadcast::channel::<()>(1);
        let never = Flag::new();
        sched::spawn(move || {
            settle();
            drop(queue);
            settle();
            drop(answer);
            settle();
            drop(broadcaster);
        });
        assert_eq!(select(&[&never, &messages]), Ok(1));
        assert_eq!(select(&[&never, &answered]), Ok(1));
        assert_eq!(select(&[&never, &broadcasts]), Ok(1));
    });
}

#[test]
fn the_earliest_time_ends_it() {
    on_a_shard(|| {
        let (start, never) = (Instant::now(), Flag::new());
        let timers = [after(Duration::MAX), after(Duration::from_millis(5))];
        assert_eq!(select(&[&never, &timers[0], &timers[1]]), Ok(2));
        assert!(start.elapsed() >= Duration::from_millis(5));
        assert_eq!(select(&[&never, &at(start)]), Ok(1));
    });
}

#[test]
fn a_descriptor_ends_it_as_often_as_something_comes() {
    on_a_shard(|| {
        let (mut near, far) = UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        let (source, stop) = (Source::new(far), Rc::new(Flag::new()));
        assert_eq!(select(&[&Ready::to_write(&source)]), Ok(0));
        let (pass_on, passed_on) = mpsc::unbounded();
        let reader = sched::spawn({
            let stop = Rc::clone(&stop);
            move || {
                while select(&[&*stop, &Ready::to_read(&source)]).unwrap() == 1 {
                    let mut received = Vec::new();
                    match source.inner().read_to_end(&mut received) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        result => panic!("the stream goes on: {result:?}"),
                    }
                    received.into_iter().for_each(|byte| pass_on.send(byte).unwrap());
                }
            }
        });
        for byte in 0..5 {
            near.write_all(&[byte]).unwrap();
            assert_eq!(passed_on.recv(), Ok(byte));
        }
        stop.set();
        reader.join().unwrap();
    });
}

#[test]
fn none_of_several_that_are_always_ready_is_forgotten() {
    on_a_shard(|| {
        let events: [Flag; 3] = Default::default();
        events.iter().for_each(Flag::set);
        let mut counts = [0; 3];
        for _ in 0..300 {
            counts[select(&[&events[0], &events[1], &events[2]]).unwrap()] += 1;
        }
        assert!(counts.iter().all(|&count| count > 80), "{counts:?}");
    });
}

#[test]
fn none_is_forgotten_by_two_fibers_that_take_turns() {
    on_a_shard(|| {
        let counts: Vec<_> = (0..2)
            .map(|_| {
                sched::spawn(|| {
                    let events: [Flag; 2] = Default::default();
                    events.iter().for_each(Flag::set);
                    let mut counts = [0; 2];
                    for _ in 0..200 {
                        counts[select(&[&events[0], &events[1]]).unwrap()] += 1;
                        sched::yield_now();
                    }
                    counts
                })
            })
            .collect();
        for fiber in counts {
            let counts = fiber.join().unwrap();
            assert!(counts.iter().all(|&count| count > 60), "{counts:?}");
        }
    });
}

#[test]
fn a_select_that_takes_nothing_leaves_the_wake_up_to_a_receiver() {
    on_a_shard(|| {
        for selects_first in [true, false] {
            let (sender, receiver) = mpsc::channel(1);
            let receiver = Rc::new(receiver);
            let selecting = || {
                let receiver = Rc::clone(&receiver);
                sched::spawn(move || {
                    select(&[&*receiver]).unwrap();
                })
            };
            let receiving = || {
                let receiver = Rc::clone(&receiver);
                sched::spawn(move || receiver.recv().unwrap())
            };
            let (select, receive);
            if selects_first {
                select = selecting();
                settle();
                receive = receiving();
            } else {
                receive = receiving();
                settle();
                select = selecting();
            }
            settle();
            sender.send("taken").unwrap();
            assert_eq!(receive.join().unwrap(), "taken");
            // Another fiber may have taken the message that the select saw. The select must see the
            // next one.
            settle();
            sender.send("left").unwrap();
            select.join().unwrap();
        }
    });
}

#[test]
fn a_cancelled_select_leaves_nothing_behind() {
    on_a_shard(|| {
        let (sender, receiver) = mpsc::channel(1);
        let receiver = Rc::new(receiver);
        let fibers: Vec<JoinHandle<_>> = (0..2)
            .map(|_| {
                let receiver = Rc::clone(&receiver);
                sched::spawn(move || select(&[&*receiver, &after(Duration::MAX)]))
            })
            .collect();
        settle();
        sender.send("kept").unwrap();
        fibers[0].cancel();
        let mut ends = fibers.into_iter().map(JoinHandle::join);
        assert!(ends.next().unwrap().unwrap_err().is_cancelled());
        assert_eq!(ends.next().unwrap().unwrap(), Ok(0));
        assert_eq!(receiver.try_recv(), Ok("kept"));
    });
}

#[test]
fn two_may_select_on_one_descriptor() {
    on_a_shard(|| {
        let (mut near, far) = UnixStream::pair().unwrap();
        let source = Rc::new(Source::new(far));
        let fibers: Vec<_> = (0..2)
            .map(|_| {
                let source = Rc::clone(&source);
                sched::spawn(move || select(&[&Ready::to_read(&source)]))
            })
            .collect();
        settle();
        // One edge wakes both fibers, whether or not the first fiber reads all of the data.
        near.write_all(b"for two").unwrap();
        assert!(fibers.into_iter().all(|fiber| fiber.join().unwrap() == Ok(0)));
    });
}

#[test]
fn a_fiber_may_be_watched_by_many_and_joined() {
    on_a_shard(|| {
        let go = Rc::new(Flag::new());
        let watched = Rc::new(sched::spawn({
            let go = Rc::clone(&go);
            move || go.wait().map(|()| 5)
        }));
        let watchers: Vec<_> = (0..3)
            .map(|_| {
                let watched = Rc::clone(&watched);
                sched::spawn(move || select(&[&*watched]))
            })
            .collect();
        settle();
        watchers[0].cancel();
        settle();
        go.set();
        let ends = watchers.into_iter().map(|fiber| fiber.join().ok());
        assert!(ends.eq([None, Some(Ok(0)), Some(Ok(0))]));
        assert_eq!(Rc::into_inner(watched).unwrap().join().unwrap(), Ok(5));
    });
}

#[test]
#[should_panic(expected = "a select of nothing")]
fn a_select_of_nothing_panics() {
    let _ = select(&[]);
}

quickcheck! {
    /// Selects and receivers on two channels, in any mixture, take all messages.
    fn no_receiver_sleeps_beside_a_message(takers: Vec<u8>, sends: Vec<(bool, u8)>) -> bool {
        on_a_shard(move || {
            let (channels, receivers): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel(1)).unzip();
            let receivers: Vec<_> = receivers.into_iter().map(Rc::new).collect();
            // One fiber selects on both channels until the end, so that all messages can be taken.
            let fibers: Vec<_> = takers
                .into_iter()
                .chain([0])
                .map(|kind| {
                    let receivers = receivers.clone();
                    sched::spawn(move || take(kind, &receivers))
                })
                .collect();
            let total = sends.len();
            for (number, (second, turns)) in sends.into_iter().enumerate() {
                channels[usize::from(second)].send(number).unwrap();
                (0..turns % 3).for_each(|_| sched::yield_now());
            }
            drop(channels);
            let mut all: Vec<_> =
                fibers.into_iter().flat_map(|fiber| fiber.join().unwrap()).collect();
            all.sort_unstable();
            all.into_iter().eq(0..total)
        })
    }
}

/// Takes messages until the senders are dropped: from the first channel, from the second, or from
/// either with a select.
fn take(kind: u8, receivers: &[Rc<mpsc::Receiver<usize>>]) -> Vec<usize> {
    match kind % 3 {
        1 => receivers[0].iter().collect(),
        2 => receivers[1].iter().collect(),
        _ => {
            let (mut taken, mut open) = (Vec::new(), receivers.to_vec());
            while !open.is_empty() {
                let sources: Vec<&dyn sched::sync::Selectable> =
                    open.iter().map(|receiver| &**receiver as _).collect();
                let index = select(&sources).expect("the fiber may wait");
                match open[index].try_recv() {
                    Ok(message) => taken.push(message),
                    Err(mpsc::TryRecvError::Empty) => {}
                    Err(mpsc::TryRecvError::Disconnected) => drop(open.remove(index)),
                }
            }
            taken
        }
    }
}

#[test]
fn many_selects_watch_one_flag_and_come_and_go() {
    on_a_shard(|| {
        const FIBERS: usize = 300;
        let stop = Arc::new(Flag::new());
        let ended = Rc::new(Cell::new(0));
        let mut inboxes = Vec::new();
        let fibers: Vec<_> = (0..FIBERS)
            .map(|_| {
                let (sender, messages) = mpsc::channel(1);
                let (stop, ended) = (stop.reader(), Rc::clone(&ended));
                inboxes.push(sender);
                sched::spawn(move || {
                    let mut received = 0;
                    // The same thing may be named twice.
                    while select(&[&messages, &stop, &stop]).unwrap() == 0 {
                        received += messages.try_recv().map_or(0, |()| 1);
                    }
                    ended.set(ended.get() + 1);
                    received
                })
            })
            .collect();
        for round in 0..3 {
            // Each message takes a registration back and makes a new one.
            inboxes.iter().skip(round).step_by(3).for_each(|inbox| inbox.send(()).unwrap());
            settle();
        }
        assert_eq!(ended.get(), 0);
        stop.set();
        let received: usize = fibers.into_iter().map(|fiber| fiber.join().unwrap()).sum();
        assert_eq!((received, ended.get()), (FIBERS, FIBERS));
        assert!(stop.reader().is_set());
        assert_eq!(stop.reader().wait(), Ok(()));
    });
}
