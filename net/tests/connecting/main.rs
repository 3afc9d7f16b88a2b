//! Connects and listeners, their addresses and their options.

#[path = "../common/mod.rs"]
mod common;

mod a_connect_says_why_it_failed;
mod a_connect_takes_the_quickest_address;
mod a_group_shares_one_address;
mod a_unix_socket_has_a_path;
mod accepted_streams_inherit_their_options;
mod listeners_are_inherited_once;
