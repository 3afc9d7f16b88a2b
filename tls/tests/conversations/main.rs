//! Conversations: a client breaks the rules of the protocol, or uses them to the full. The server
//! answers with the alert that the RFC names or goes on, ends in time, and leaves nothing behind.

#![cfg(any(feature = "mbedtls", feature = "aws-lc-rs"))]

#[path = "../common/mod.rs"]
mod common;

mod a_change_of_ciphers_has_its_place;
mod a_good_conversation_is_served;
mod a_hello_is_understood_or_refused;
mod a_key_update_is_followed;
mod a_record_is_what_it_says;
mod an_alert_ends_or_is_bounded;
mod data_comes_after_the_handshake;
mod each_direction_ends_on_its_own;
mod fragments_make_no_difference;
mod no_nonce_comes_twice;
