//! The harness itself: a client that breaks no rule is served, with each provider and each version.

use crate::common::alert::CLOSE_NOTIFY;
use crate::common::echo::{Served, converse, for_each};
use crate::common::record::ALERT;

#[test]
fn data_comes_back_and_both_sides_close() {
    for_each(|provider, version| {
        let ((), served) = converse(provider, version, |client| {
            client.handshake();
            client.send_data(b"hello");
            assert_eq!(client.receive_data(), b"hello");
            client.send_sealed(ALERT, &[1, CLOSE_NOTIFY]);
            assert_eq!(client.receive_alert(), Some(CLOSE_NOTIFY));
        });
        assert_eq!(served, Served::Closed);
    });
}

#[test]
fn a_stream_that_ends_without_a_goodbye_is_cut() {
    for_each(|provider, version| {
        let ((), served) = converse(provider, version, |client| {
            client.handshake();
            client.send_data(b"hello");
            client.end();
            assert_eq!(client.receive_data(), b"hello");
            assert_eq!(client.receive_alert(), None);
        });
        assert_eq!(served, Served::Failed(std::io::ErrorKind::UnexpectedEof));
    });
}
