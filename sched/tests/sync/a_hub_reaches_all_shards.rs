//! What is published in a hub reaches each subscriber of each shard; a subscriber that is too slow,
//! or comes too late, learns how much it missed.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::{Census, OnDrop, on_a_shard, settle};
use quickcheck::quickcheck;
use straightline_sched::hub::{Hub, Message, RecvError, Subscriber, TryRecvError};
use straightline_sched::sync::{Barrier, WakeOn, after, select};
use straightline_sched::{self as sched, Config, sim};

quickcheck! {
    /// The model is a list of all messages, with a position in the list for each subscriber.
    fn each_subscriber_sees_what_the_model_says(most: u8, operations: Vec<(u8, u8)>) -> bool {
        on_a_shard(move || agrees_with_the_model(usize::from(most % 4) + 1, &operations))
    }
}

fn agrees_with_the_model(most: usize, operations: &[(u8, u8)]) -> bool {
    let census = Census::default();
    let hub = Hub::new(most);
    let mut subscribers = VecDeque::new();
    let (mut sent, mut missed) = (0, 0);
    for &(kind, pick) in operations {
        let index = usize::from(pick) % subscribers.len().max(1);
        match kind % 6 {
            0 | 1 => {
                sent += 1;
                if hub.publish(census.count(sent)) != sent {
                    return false;
                }
            }
            2 => {
                if let Some((subscriber, next)) = subscribers.get_mut(index)
                    && !sees_what_it_should(subscriber, next, sent, most, &mut missed)
                {
                    return false;
                }
            }
            3 => subscribers.push_back((hub.subscribe(), sent + 1)),
            4 => {
                let seen = u64::from(pick) % (sent + 2); // perhaps one that is not there yet
                subscribers.push_back((hub.subscribe_after(seen), (seen + 1).min(sent + 1)));
            }
            _ => drop(subscribers.remove(index)),
        }
        if hub.subscribers() != subscribers.len() || hub.missed() != missed {
            return false;
        }
        // The hub and its part on this shard keep the same messages, or older ones.
        if census.alive() > 2 * most {
            return false;
        }
    }
    drop((hub, subscribers));
    census.alive() == 0
}

/// Takes one message, and compares it with the message of the model.
fn sees_what_it_should(
    subscriber: &Subscriber<crate::common::Counted<u64>>,
    next: &mut u64,
    sent: u64,
    most: usize,
    missed: &mut u64,
) -> bool {
    let oldest = (sent + 1).saturating_sub(most as u64).max(1);
    match subscriber.try_recv() {
        Ok(message) => {
            *next += 1;
            *next > oldest && message.id() == *next - 1 && (*message).value == *next - 1
        }
        Err(TryRecvError::Lagged(count)) => {
            *missed += count;
            *next += count;
            count > 0 && *next == oldest
        }
        Err(TryRecvError::Empty) => *next == sent + 1,
        Err(TryRecvError::Closed) => false,
    }
}

fn texts(subscriber: &Subscriber<String>) -> Vec<String> {
    std::iter::from_fn(|| subscriber.recv().ok()).map(|text| (*text).clone()).collect()
}

#[test]
fn every_subscriber_of_every_shard_gets_every_message() {
    sim::check(|| {
        let hub = Hub::new(100);
        let ready = Arc::new(Barrier::new(4));
        let shards: Vec<_> = (0..3)
            .map(|_| {
                let (hub, ready) = (hub.clone(), Arc::clone(&ready));
                let root = move || {
                    let subscribers: Vec<_> = (0..3).map(|_| hub.subscribe()).collect();
                    drop(hub);
                    ready.wait().unwrap();
                    let fibers =
                        subscribers.into_iter().map(|own| sched::spawn(move || texts(&own)));
                    let fibers: Vec<_> = fibers.collect();
                    fibers.into_iter().map(|fiber| fiber.join().unwrap()).collect::<Vec<_>>()
                };
                sched::spawn_shard("subscriber", Config::default(), root).unwrap()
            })
            .collect();
        ready.wait().unwrap();
        assert_eq!(hub.subscribers(), 9);
        let expected: Vec<_> = (1..=5).map(|number| format!("message {number}")).collect();
        for _ in 0..5 {
            hub.publish_with(|id| format!("message {id}"));
            sched::yield_now();
        }
        drop(hub);
        for shard in shards {
            let all = shard.join().unwrap().unwrap();
            assert!(all.iter().all(|texts| *texts == expected), "{all:?}");
        }
    });
}

#[test]
fn publishers_on_several_threads_get_numbers_of_their_own() {
    let hub = Hub::new(4_000);
    let all = on_a_shard({
        let hub = hub.clone();
        move || {
            let subscriber = hub.subscribe();
            let publishers: Vec<_> = (0..4)
                .map(|_| {
                    let hub = hub.clone();
                    thread::spawn(move || {
                        for _ in 0..1_000 {
                            hub.publish_with(|id| id);
                        }
                    })
                })
                .collect();
            drop(hub);
            let all = (0..4_000).map(|_| subscriber.recv().unwrap()).collect::<Vec<_>>();
            publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
            all.into_iter().map(|message| (message.id(), *message)).collect::<Vec<_>>()
        }
    });
    assert!(all.iter().zip(1..).all(|(message, number)| *message == (number, number)));
    assert_eq!((hub.newest_id(), hub.missed()), (4_000, 0));
}

#[test]
fn a_message_of_another_thread_wakes_a_waiting_subscriber() {
    on_a_shard(|| {
        let (hub, got) = (Hub::new(1), Arc::new(AtomicU64::new(0)));
        let subscriber = hub.subscribe();
        let publisher = thread::spawn({
            let (hub, got) = (hub.clone(), Arc::clone(&got));
            move || {
                for number in 0..1_000 {
                    hub.publish(number);
                    // So each message finds the subscriber waiting, or about to wait.
                    while got.load(Ordering::Acquire) <= number {
                        thread::yield_now();
                    }
                }
            }
        });
        for number in 0..1_000 {
            assert_eq!(subscriber.recv().map(|message| *message), Ok(number));
            got.store(number + 1, Ordering::Release);
        }
        publisher.join().unwrap();
    });
}

#[test]
fn two_fibers_may_wait_for_one_subscriber() {
    on_a_shard(|| {
        let hub = Hub::new(8);
        let subscriber = std::rc::Rc::new(hub.subscribe());
        let fibers: Vec<_> = (0..2)
            .map(|_| {
                let subscriber = std::rc::Rc::clone(&subscriber);
                sched::spawn(move || subscriber.recv().map(|message| *message))
            })
            .collect();
        settle();
        hub.publish(1);
        hub.publish(2);
        let mut got: Vec<_> = fibers.into_iter().map(|fiber| fiber.join().unwrap()).collect();
        got.sort_by_key(|got| got.ok());
        assert_eq!(got, [Ok(1), Ok(2)]);
    });
}

#[test]
fn a_subscriber_in_a_select_and_one_that_rests_are_woken() {
    on_a_shard(|| {
        let hub = Hub::new(8);
        let (own, selected) = (hub.subscribe(), hub.subscribe());
        let mut wake = None;
        let resting = sched::spawn_stackless(move || {
            let wake = wake.get_or_insert_with(WakeOn::new);
            loop {
                match own.try_recv() {
                    Ok(message) if *message == "last" => return std::ops::ControlFlow::Break(()),
                    Err(TryRecvError::Empty) if wake.arm(&own) => {}
                    Err(TryRecvError::Empty) => return std::ops::ControlFlow::Continue(()),
                    _ => {}
                }
            }
        });
        let long = after(Duration::from_secs(600));
        for text in ["first", "last"] {
            settle();
            hub.publish(text);
            assert_eq!(select(&[&long, &selected]), Ok(1));
            assert_eq!(selected.try_recv().map(|message| *message), Ok(text));
        }
        resting.join().unwrap();
    });
}

#[test]
fn a_cancelled_wait_takes_nothing() {
    on_a_shard(|| {
        let hub = Hub::new(8);
        let subscriber = std::rc::Rc::new(hub.subscribe());
        let waiting = sched::spawn({
            let subscriber = std::rc::Rc::clone(&subscriber);
            move || subscriber.recv().map(drop)
        });
        settle();
        hub.publish("kept");
        waiting.cancel();
        assert!(waiting.join().unwrap_err().is_cancelled());
        assert_eq!(subscriber.recv().map(|message| *message), Ok("kept"));
    });
}

#[test]
fn a_closed_hub_gives_what_is_left() {
    on_a_shard(|| {
        let hub = Hub::new(8);
        let (early, other) = (hub.subscribe(), hub.clone());
        hub.publish(1);
        drop(hub);
        other.publish(2);
        let late = other.subscribe_after(0);
        drop(other);
        for subscriber in [early, late] {
            let all = [(); 3].map(|()| subscriber.recv().map(|message| *message));
            assert_eq!(all, [Ok(1), Ok(2), Err(RecvError::Closed)]);
        }
    });
}

/// A message whose destructor publishes.
struct Echo(Option<Hub<u32>>);

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(hub) = &self.0 {
            hub.publish(7);
        }
    }
}

#[test]
fn the_destructor_of_a_message_may_publish() {
    on_a_shard(|| {
        let (hub, echoes) = (Hub::new(1), Hub::new(8));
        let (_own, echo) = (hub.subscribe(), echoes.subscribe());
        for _ in 0..3 {
            hub.publish(Echo(Some(echoes.clone())));
        }
        assert_eq!(echo.recv().map(|message| *message), Ok(7));
        drop(hub);
    });
}

#[test]
fn nothing_is_left_when_the_subscribers_are_gone() {
    let (hub, census) = (Hub::new(2), Census::default());
    on_a_shard({
        let (hub, census) = (hub.clone(), census.clone());
        move || {
            let ended = OnDrop(|| ());
            for round in 0..3_u64 {
                let subscribers: Vec<_> = (0..10).map(|_| hub.subscribe()).collect();
                for number in 0..5 {
                    hub.publish(census.count(number));
                }
                assert!(
                    subscribers[0].try_recv().is_err_and(|error| error == TryRecvError::Lagged(3))
                );
                assert_eq!((hub.subscribers(), hub.missed()), (10, 3 * (round + 1)));
            }
            drop(ended);
        }
    });
    assert_eq!(hub.subscribers(), 0);
    // The shard has ended, so nothing is sent to it; the hub's own two messages are left.
    hub.publish(census.count(9));
    assert_eq!(census.alive(), 2);
    drop(hub);
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_thread_without_a_shard_publishes_and_does_not_subscribe() {
    let hub: Hub<u8> = Hub::new(1);
    assert_eq!(hub.publish(1), 1);
    let refused = catch_unwind(AssertUnwindSafe(|| drop(hub.subscribe())));
    assert!(refused.is_err());
}

fn is_send<T: Send + Sync>(_: &T) {}

#[test]
fn handles_and_messages_cross_threads() {
    let hub = Hub::new(1);
    is_send(&hub);
    let message: Message<u8> = on_a_shard(move || {
        hub.publish(3);
        hub.subscribe_after(0).recv().unwrap()
    });
    is_send(&message);
    assert_eq!(*message.into_value(), 3);
}
