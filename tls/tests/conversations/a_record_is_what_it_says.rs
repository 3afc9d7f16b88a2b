//! Lengths, types, padding and protection of records (RFC 8446 section 5): what is wrong ends the
//! connection with the alert for it.

use std::io::ErrorKind;
use std::time::Duration;

use straightline_sched::{self as sched, deadline};
use straightline_tls::TlsProvider;

use crate::common::alert::{BAD_RECORD_MAC, CLOSE_NOTIFY, DECODE_ERROR, RECORD_OVERFLOW};
use crate::common::client::{Received, Version};
use crate::common::echo::{Served, converse, converse_by, echo, for_each, provoke};
use crate::common::record::{ALERT, DATA, HANDSHAKE, Record};

const FAILED: Served = Served::Failed(ErrorKind::InvalidData);

/// The largest plaintext (RFC 8446 section 5.1).
const PLAIN_BYTES_MAX: usize = 1 << 14;

/// Sends a record of TLS 1.3 with that inner plaintext.
fn inner(provider: TlsProvider, inner: Vec<u8>) -> (Option<u8>, Served) {
    provoke(provider, Version::Tls13, move |client| {
        client.handshake();
        let record = client.tx().seal_inner(inner);
        client.send(&record);
    })
}

#[test]
fn padding_up_to_the_limit_is_passed_over() {
    for &provider in TlsProvider::offered() {
        let ((), served) = converse(provider, Version::Tls13, |client| {
            client.handshake();
            for padding in [1, 255, 256, PLAIN_BYTES_MAX - 5] {
                let inner = [&b"hello"[..], &[DATA], &vec![0; padding]].concat();
                let record = client.tx().seal_inner(inner);
                client.send(&record);
                assert_eq!(client.receive_data(), b"hello");
            }
            let goodbye = [vec![1, CLOSE_NOTIFY, ALERT], vec![0; 1_000]].concat();
            let record = client.tx().seal_inner(goodbye);
            client.send(&record);
            assert_eq!(client.receive_alert(), Some(CLOSE_NOTIFY));
        });
        assert_eq!(served, Served::Closed);
    }
}

#[test]
fn more_padding_is_an_overflow() {
    for &provider in TlsProvider::offered() {
        let ended = inner(provider, [&b"hello"[..], &[DATA], &[0; PLAIN_BYTES_MAX - 4]].concat());
        assert_eq!(ended, (Some(RECORD_OVERFLOW), FAILED));
    }
}

#[test]
fn padding_alone_is_refused() {
    for &provider in TlsProvider::offered() {
        for padding in [0, 1, 100, PLAIN_BYTES_MAX] {
            let ended = inner(provider, vec![0; padding]);
            // RFC 8446 section 5.4 would have unexpected_message; rustls has no alert for this.
            assert_eq!(ended, (None, FAILED), "{padding} bytes");
        }
    }
}

#[test]
fn a_full_record_is_taken_and_one_byte_more_is_an_overflow() {
    for_each(|provider, version| {
        let ended = provoke(provider, version, |client| {
            client.handshake();
            client.send_data(&[7; PLAIN_BYTES_MAX]);
            assert_eq!(client.receive_exactly(PLAIN_BYTES_MAX), vec![7; PLAIN_BYTES_MAX]);
            client.send_data(&vec![7; PLAIN_BYTES_MAX + 1]);
        });
        assert_eq!(ended, (Some(RECORD_OVERFLOW), FAILED));
    });
}

#[test]
fn an_unknown_type_is_refused() {
    for_each(|provider, version| {
        for kind in [0, 19, 24, 25, 99, 255] {
            let (alert, served) = provoke(provider, version, move |client| {
                client.handshake();
                match version {
                    Version::Tls13 if kind != 0 => client.send_sealed(kind, b"hello"),
                    _ => client.send(&Record::new(kind, [7; 40])),
                }
            });
            assert!(alert.is_none_or(|alert| alert != CLOSE_NOTIFY), "{kind}: {alert:?}");
            assert_eq!(served, FAILED, "type {kind}");
        }
    });
}

#[test]
fn an_unknown_message_is_refused() {
    for_each(|provider, version| {
        for kind in [3, 77, 254] {
            let (alert, served) = provoke(provider, version, move |client| {
                client.handshake();
                client.send_sealed(HANDSHAKE, &[kind, 0, 0, 1, 7]);
            });
            assert!(alert.is_some_and(|alert| alert != CLOSE_NOTIFY), "{kind}: {alert:?}");
            assert_eq!(served, FAILED, "message {kind}");
        }
    });
}

#[test]
fn a_burst_of_empty_handshake_records_is_refused() {
    for_each(|provider, version| {
        let (alert, served) = provoke(provider, version, |client| {
            client.handshake();
            for _ in 0..100 {
                client.send_sealed(HANDSHAKE, &[]);
            }
        });
        assert_ne!(alert, Some(CLOSE_NOTIFY));
        assert_eq!(served, FAILED);
    });
}

#[test]
fn a_record_too_short_for_its_protection_is_refused() {
    for_each(|provider, version| {
        for length in [0, 1, 15, 16] {
            let (alert, served) = provoke(provider, version, move |client| {
                client.handshake();
                client.send(&Record::new(DATA, vec![7; length]));
            });
            let is_named = matches!(alert, Some(BAD_RECORD_MAC | DECODE_ERROR));
            assert!(is_named, "{length} bytes: {alert:?}");
            assert_eq!(served, FAILED);
        }
    });
}

#[test]
fn some_empty_records_are_passed_over() {
    for_each(|provider, version| {
        let ((), served) = converse(provider, version, |client| {
            client.handshake();
            for _ in 0..20 {
                client.send_data(b"");
            }
            client.send_data(b"hello");
            assert_eq!(client.receive_data(), b"hello");
            client.send_sealed(ALERT, &[1, CLOSE_NOTIFY]);
            assert_eq!(client.receive_alert(), Some(CLOSE_NOTIFY));
        });
        assert_eq!(served, Served::Closed);
    });
}

#[test]
fn a_burst_of_empty_records_is_refused() {
    for_each(|provider, version| {
        let (alert, served) = provoke(provider, version, |client| {
            client.handshake();
            for _ in 0..1_000 {
                client.send_data(b"");
            }
        });
        assert_ne!(alert, Some(CLOSE_NOTIFY));
        assert_eq!(served, FAILED);
    });
}

/// The server's other fibers run while a client sends records with hardly anything in them.
#[test]
fn a_flood_of_small_records_leaves_the_shard_to_others() {
    for_each(|provider, version| {
        let act = |stream| {
            let ticks = std::rc::Rc::new(std::cell::Cell::new(0_u64));
            let ticking = sched::spawn({
                let ticks = std::rc::Rc::clone(&ticks);
                move || {
                    loop {
                        ticks.update(|count| count + 1);
                        sched::yield_now();
                    }
                }
            });
            let echoed = echo(&stream);
            ticking.cancel();
            let _ = ticking.join();
            assert!(echoed.is_ok(), "{echoed:?}");
            ticks.get()
        };
        let ((), ticks) = converse_by(provider, version, act, |client| {
            client.handshake();
            let mut bytes = Vec::new();
            for round in 0..20_000 {
                let content: &[u8] = if round % 20 == 0 { b"x" } else { b"" };
                bytes.extend(client.tx().seal(DATA, content).bytes());
            }
            bytes.extend(client.tx().seal(ALERT, &[1, CLOSE_NOTIFY]).bytes());
            client.send_bytes(&bytes);
            let echoed = deadline(Duration::from_secs(60), || client.receive_exactly(1_000));
            assert_eq!(echoed.expect("in time"), [b'x'; 1_000]);
        });
        assert!(ticks > 10, "{ticks} turns");
    });
}

#[test]
fn a_message_that_never_ends_holds_little_memory() {
    for_each(|provider, version| {
        let (sent, served) = converse(provider, version, |client| {
            client.handshake();
            // The header of a message of 65,280 bytes, and then that message, in records of a byte.
            let mut bytes = [4, 0, 0xff, 0].into_iter().chain(std::iter::repeat(0));
            let mut sent = 0;
            for _ in 0..4_000 {
                let record = client.tx().seal(HANDSHAKE, &[bytes.next().expect("no end")]);
                sent += record.bytes().len();
                client.send(&record);
            }
            sent
        });
        assert!(sent > 80_000);
        assert_eq!(served, FAILED);
    });
}

#[test]
fn a_broken_record_behind_data_is_answered_with_its_alert() {
    for_each(|provider, version| {
        let (alerts, served) = converse(provider, version, |client| {
            client.handshake();
            let mut bytes = client.tx().seal(DATA, b"hello").bytes();
            let mut broken = client.tx().seal(DATA, b"hello").bytes();
            *broken.last_mut().expect("a tag") ^= 1;
            bytes.extend(broken);
            // In one segment: the server finds the second while it answers the first.
            client.send_bytes(&bytes);
            let received = client.receive_to_end();
            received.into_iter().filter(|one| matches!(one, Received::Alert(_, _))).count()
        });
        assert_eq!((alerts, served), (1, FAILED));
    });
}
