//! What a shard does with the messages of other threads.

use super::deadlock::{report_circles, report_if_stuck};
use super::inspect::list_fibers_with_backtraces;
use super::lease::look_at_end;
use super::mailbox::Message;
use super::shard::Shard;
use super::sources::forget_source;
use super::spawn::spawn_sent;
use super::wake::cancel;

pub(super) fn drain_mailbox(shard: &Shard, messages: Vec<Message>) {
    shard.counters.messages.add(messages.len() as u64);
    for message in messages {
        handle_message(shard, message);
    }
    while shard.inbox.has_deferred() {
        // A refused spawn would drop the closure: check that there is a stack first.
        if shard.stacks.reserve().is_err() {
            shard.stacks.record_wanted();
            return;
        }
        if let Some(body) = shard.inbox.pop_deferred() {
            let spawned = spawn_sent(shard, body);
            debug_assert!(spawned.is_ok(), "the pool has a stack in reserve");
        }
    }
}

pub(super) fn handle_message(shard: &Shard, message: Message) {
    match message {
        Message::Unpark(key) => shard.unpark_key(key),
        Message::Wake(key) => shard.wake_key(key),
        Message::Cancel(key) => {
            let fiber = shard.fibers.get(key);
            fiber.into_iter().for_each(|fiber| cancel(shard, &fiber));
        }
        Message::LookAtEnd(key) => look_at_end(shard, key),
        Message::Forget(source) => forget_source(shard, source),
        Message::Maintain => {
            shard.stacks.ask_for_trim();
            shard.stacks.publish();
            report_circles(shard);
            report_if_stuck(shard);
        }
        Message::Inspect(question) => {
            question.answer(|max| list_fibers_with_backtraces(shard, max));
        }
        Message::Spawn(sent) => shard.inbox.defer(sent),
    }
}
