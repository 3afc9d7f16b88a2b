//! What servers and clients are configured with: files, certificates, names, trust, tickets.

#![cfg(any(feature = "mbedtls", feature = "aws-lc-rs"))]
#![allow(clippy::unwrap_used, reason = "clippy does not see that the helpers are of tests")]

mod a_broken_pair_does_not_replace_the_old_one;
mod a_certificate_is_chosen_by_name;
mod a_set_up_error_names_the_file_and_what_is_wrong;
mod a_simulated_handshake_is_the_same_in_each_run;
mod clients_check_servers;
mod common;
mod keys_of_all_formats_are_read;
mod oddities_are_warnings;
mod servers_check_clients;
mod sessions_are_resumed_with_tickets;
mod settings_that_contradict_are_refused;
