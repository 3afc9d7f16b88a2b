//! Application data before its time, and handshakes after theirs, end the connection.

use straightline_tls::{HandshakeFailure, TlsProvider};

use crate::common::alert::{
    BAD_RECORD_MAC, CLOSE_NOTIFY, DECRYPT_ERROR, NO_RENEGOTIATION, UNEXPECTED_MESSAGE,
};
use crate::common::client::{Received, Version};
use crate::common::echo::{Served, converse, for_each, provoke};
use crate::common::hello::Hello;
use crate::common::record::{ALERT, DATA, HANDSHAKE, Record};

const REFUSED: Served = Served::Refused(HandshakeFailure::Protocol);
const FAILED: Served = Served::Failed(std::io::ErrorKind::InvalidData);

#[test]
fn plain_data_instead_of_a_hello_is_refused() {
    for_each(|provider, version| {
        let refused = provoke(provider, version, |client| {
            client.send(&Record::new(DATA, *b"hello"));
        });
        let failure = Served::Refused(HandshakeFailure::NotTls);
        assert_eq!(refused, (Some(UNEXPECTED_MESSAGE), failure));
    });
}

#[test]
fn plain_data_before_the_finished_is_refused() {
    for_each(|provider, version| {
        let (alert, served) = provoke(provider, version, |client| {
            let hello = client.flight();
            client.send_all(&hello);
            client.flight();
            client.send(&Record::new(DATA, vec![7; 40]));
        });
        // In TLS 1.3 it is taken for a protected record.
        let expected = match version {
            Version::Tls12 => UNEXPECTED_MESSAGE,
            Version::Tls13 => BAD_RECORD_MAC,
        };
        assert_eq!((alert, served), (Some(expected), REFUSED));
    });
}

#[test]
fn data_under_the_keys_of_the_handshake_is_refused() {
    for_each(|provider, version| {
        let refused = provoke(provider, version, move |client| {
            let hello = client.flight();
            client.send_all(&hello);
            let flight = client.flight();
            if version == Version::Tls12 {
                client.send_all(&flight[..2]); // the key exchange, and the change of ciphers
            }
            let record = client.handshake_tx().seal(DATA, b"too early");
            client.send(&record);
        });
        assert_eq!(refused, (Some(UNEXPECTED_MESSAGE), REFUSED));
    });
}

#[test]
fn plain_data_after_the_handshake_is_refused() {
    for_each(|provider, version| {
        let ended = provoke(provider, version, |client| {
            client.handshake();
            client.send(&Record::new(DATA, vec![7; 40]));
        });
        assert_eq!(ended, (Some(BAD_RECORD_MAC), FAILED));
    });
}

#[test]
fn a_wrong_finished_is_refused() {
    for_each(|provider, version| {
        for byte in [4, 8, 15] {
            let refused = provoke(provider, version, move |client| {
                let hello = client.flight();
                client.send_all(&hello);
                let mut flight = client.flight();
                let finished = flight.pop().expect("a Finished");
                let mut tx = client.handshake_tx();
                let (kind, mut message) = tx.clone().open(&finished).expect("our own record");
                message[byte] ^= 1;
                client.send_all(&flight);
                client.send(&tx.seal(kind, &message));
            });
            assert_eq!(refused, (Some(DECRYPT_ERROR), REFUSED));
        }
    });
}

#[test]
fn a_record_with_any_bit_flipped_is_refused() {
    for_each(|provider, version| {
        let (length, _) = converse(provider, version, |client| {
            client.handshake();
            client.tx().seal(DATA, b"hello").payload.len()
        });
        for index in 0..length {
            let ended = provoke(provider, version, move |client| {
                client.handshake();
                let mut record = client.tx().seal(DATA, b"hello");
                record.payload[index] ^= 1 << (index % 8);
                client.send(&record);
            });
            assert_eq!(ended, (Some(BAD_RECORD_MAC), FAILED), "byte {index}");
        }
    });
}

#[test]
fn a_record_that_is_replayed_is_refused() {
    for_each(|provider, version| {
        let ended = provoke(provider, version, |client| {
            client.handshake();
            let record = client.tx().seal(DATA, b"hello");
            client.send(&record);
            assert_eq!(client.receive_data(), b"hello");
            client.send(&record);
        });
        assert_eq!(ended, (Some(BAD_RECORD_MAC), FAILED));
    });
}

#[test]
fn a_record_that_is_left_out_is_noticed() {
    for_each(|provider, version| {
        let ended = provoke(provider, version, |client| {
            client.handshake();
            let _lost = client.tx().seal(DATA, b"hello");
            client.send_data(b"hello");
        });
        assert_eq!(ended, (Some(BAD_RECORD_MAC), FAILED));
    });
}

#[test]
fn in_tls_1_3_a_second_hello_is_refused() {
    for &provider in TlsProvider::offered() {
        let ended = provoke(provider, Version::Tls13, |client| {
            let hello = Hello::parse(&client.flight()[0]);
            client.send(&hello.record());
            client.handshake();
            client.send_sealed(HANDSHAKE, &hello.message());
        });
        assert_eq!(ended, (Some(UNEXPECTED_MESSAGE), FAILED));
    }
}

#[test]
fn in_tls_1_2_a_renegotiation_is_declined_once_and_then_refused() {
    for &provider in TlsProvider::offered() {
        let (alert, served) = provoke(provider, Version::Tls12, |client| {
            let hello = Hello::parse(&client.flight()[0]);
            client.send(&hello.record());
            client.handshake();
            client.send_sealed(HANDSHAKE, &hello.message());
            assert_eq!(client.receive(), Received::Alert(1, NO_RENEGOTIATION));
            client.send_data(b"hello");
            assert_eq!(client.receive_data(), b"hello");
            client.send_sealed(HANDSHAKE, &hello.message());
            client.send_sealed(HANDSHAKE, &hello.message());
        });
        assert_ne!(alert, Some(CLOSE_NOTIFY));
        assert_eq!(served, FAILED);
    }
}

#[test]
fn messages_of_a_server_are_refused() {
    for_each(|provider, version| {
        for kind in [0, 2, 4, 8, 11, 15, 20] {
            let (alert, served) = provoke(provider, version, move |client| {
                client.handshake();
                client.send_sealed(HANDSHAKE, &[kind, 0, 0, 0]);
            });
            assert!(alert.is_some_and(|alert| alert != CLOSE_NOTIFY), "{kind}: {alert:?}");
            assert_eq!(served, FAILED);
        }
    });
}

#[test]
fn a_conversation_goes_on_after_all_that_is_allowed() {
    for_each(|provider, version| {
        let ((), served) = converse(provider, version, |client| {
            client.handshake();
            for size in [1, 100, 16_384] {
                client.send_data(&vec![7; size]);
                assert_eq!(client.receive_exactly(size), vec![7; size]);
            }
            client.send_sealed(ALERT, &[1, CLOSE_NOTIFY]);
            assert_eq!(client.receive_alert(), Some(CLOSE_NOTIFY));
        });
        assert_eq!(served, Served::Closed);
    });
}
