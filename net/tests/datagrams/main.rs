//! Datagrams.

#[path = "../common/mod.rs"]
mod common;

mod a_refused_datagram_is_one_error;
mod datagrams_arrive_as_they_were_sent;
