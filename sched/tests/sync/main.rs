//! Locks, channels and the other types that fibers share.

#[path = "../common/mod.rs"]
mod common;

mod a_cancel_loses_no_message;
mod a_cell_is_filled_once;
mod a_channel_is_a_queue;
mod a_future_is_a_thing_to_select_on;
mod a_hub_reaches_all_shards;
mod a_lock_is_never_poisoned;
mod a_mutex_goes_to_the_longest_waiter;
mod a_notification_is_never_lost;
mod a_select_takes_what_is_ready_first;
mod all_waiters_pass_when_it_has_happened;
mod an_answer_comes_once;
mod every_receiver_gets_every_message;
mod no_permit_is_lost_or_made;
mod readers_share_and_a_writer_does_not;
