//! What a shard does with the messages of other threads.

use super::deadlock::{tell_circles, tell_if_stuck};
use super::inspect::list_fibers_with_backtraces;
use super::lease::look_at_end;
use super::mailbox::Message;
use super::shard::Shard;
use super::spawn::spawn_sent;
use super::wake::cancel;

pub(super) fn read_mail(shard: &Shard, messages: Vec<Message>) {
    shard.counters.messages.add(messages.len() as u64);
    for message in messages {
        read_message(shard, message);
    }
    let mut deferred = shard.deferred.borrow_mut();
    while !deferred.is_empty() {
        // A refused spawn would drop the closure: make sure of a stack before.
        if shard.reserve_stack().is_err() {
            shard.starved.set(true);
            return;
        }
        if let Some(body) = deferred.pop_front() {
            let spawned = spawn_sent(shard, body);
            debug_assert!(spawned.is_ok(), "the pool has a stack in reserve");
        }
    }
}

pub(super) fn read_message(shard: &Shard, message: Message) {
    match message {
        Message::Unpark(key) => shard.unpark_key(key),
        Message::Wake(key) => shard.wake_key(key),
        Message::Cancel(key) => {
            let fiber = shard.fibers.borrow().get(key).cloned();
            fiber.into_iter().for_each(|fiber| cancel(shard, &fiber));
        }
        Message::LookAtEnd(key) => look_at_end(shard, key),
        Message::Forget(source) => shard.forget_source(source),
        Message::Housekeep => {
            shard.trimming.set(true);
            shard.publish_stacks();
            tell_circles(shard);
            tell_if_stuck(shard);
        }
        Message::Inspect(question) => {
            question.answer(|max| list_fibers_with_backtraces(shard, max))
        }
        Message::Spawn(sent) => shard.deferred.borrow_mut().push_back(sent),
    }
}
