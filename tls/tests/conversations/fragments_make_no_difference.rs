//! However the bytes of a conversation are cut into records and segments, the conversation is the
//! same.

use quickcheck::{QuickCheck, TestResult};
use rustls::crypto::aws_lc_rs::kx_group;
use straightline_tls::{ClientAuth, HandshakeFailure, TlsConfig, TlsProvider};

use crate::common::alert::{CLOSE_NOTIFY, DECODE_ERROR, HANDSHAKE_FAILURE};
use crate::common::certificate::Certificates;
use crate::common::client::{Client, Received, Version};
use crate::common::echo::{SERVER, Served, converse, converse_with, for_each, pause, provoke};
use crate::common::record::{ALERT, DATA, HANDSHAKE, Record};

/// The first record of the answer to a hello.
fn is_server_hello(received: &Received) -> bool {
    matches!(received, Received::Other(HANDSHAKE, message) if message[0] == 2)
}

fn vanish(client: &mut Client) {
    client.end();
    client.receive_to_end();
}

#[test]
fn a_hello_may_be_split_at_every_byte() {
    for_each(|provider, version| {
        let mut split = 1;
        loop {
            let (length, served) = converse(provider, version, move |client| {
                let bytes = client.flight()[0].bytes();
                let (one, other) = bytes.split_at(split);
                client.send_bytes(one);
                pause();
                client.send_bytes(other);
                assert!(is_server_hello(&client.receive()), "split at {split}");
                vanish(client);
                bytes.len()
            });
            assert_eq!(served, Served::Refused(HandshakeFailure::Closed));
            split += 1;
            if split == length {
                break;
            }
        }
    });
}

#[test]
fn a_hello_may_come_in_records_of_one_byte() {
    for_each(|provider, version| {
        let ((), served) = converse(provider, version, |client| {
            let hello = client.flight().remove(0);
            for byte in &hello.payload {
                client.send(&Record::new(HANDSHAKE, [*byte]));
            }
            assert!(is_server_hello(&client.receive()));
            vanish(client);
        });
        assert_eq!(served, Served::Refused(HandshakeFailure::Closed));
    });
}

/// The records of a flight with their payloads in pieces of `length` bytes.
fn in_pieces(records: &[Record], length: usize) -> Vec<Record> {
    let pieces = |record: &Record| {
        let (kind, payload) = (record.kind, record.payload.clone());
        let length = if kind == HANDSHAKE { length } else { payload.len() };
        payload.chunks(length).map(|piece| Record::new(kind, piece)).collect::<Vec<_>>()
    };
    records.iter().flat_map(pieces).collect()
}

#[test]
fn the_key_exchange_of_tls_1_2_may_come_in_many_records() {
    for &provider in TlsProvider::offered() {
        let ((), served) = converse(provider, Version::Tls12, |client| {
            let hello = client.flight();
            client.send_all(&in_pieces(&hello, 7));
            let mut flight = client.flight();
            let finished = flight.pop().expect("three records");
            for record in in_pieces(&flight, 1) {
                client.send(&record);
            }
            pause();
            client.send(&finished);
            client.receive_finished();
            client.send_data(b"hello");
            assert_eq!(client.receive_data(), b"hello");
            client.send_sealed(ALERT, &[1, CLOSE_NOTIFY]);
            assert_eq!(client.receive_alert(), Some(CLOSE_NOTIFY));
        });
        assert_eq!(served, Served::Closed);
    }
}

fn with_client_auth(provider: TlsProvider) -> TlsConfig {
    let certificates = Certificates::shared();
    TlsConfig::builder()
        .certificate_pem(&certificates.chain_pem, &certificates.key_pem)
        .client_auth(ClientAuth::Optional)
        .client_roots_pem(&certificates.root_pem)
        .provider(provider)
        .build()
        .expect("a good configuration")
}

/// The client has no certificate: its flight is an empty `Certificate` and a Finished.
fn with_a_last_flight(
    provider: TlsProvider,
    resend: impl Fn(&mut Client, &[u8]) + 'static,
) -> Served {
    let connect = || Client::connect(SERVER, Version::Tls13);
    let ((), served) = converse_with(&with_client_auth(provider), connect, move |client| {
        let hello = client.flight();
        client.send_all(&hello);
        let flight = client.flight();
        let (kind, messages) = client.handshake_tx().open(&flight[1]).expect("a record");
        // An empty certificate, and a Finished.
        assert_eq!((kind, messages[0], messages[8]), (HANDSHAKE, 11, 20));
        resend(client, &messages);
        client.send_data(b"hello");
        assert_eq!(client.receive_data(), b"hello");
        client.send_sealed(ALERT, &[1, CLOSE_NOTIFY]);
        assert_eq!(client.receive_alert(), Some(CLOSE_NOTIFY));
    });
    served
}

#[test]
fn several_messages_may_come_in_one_record() {
    for &provider in TlsProvider::offered() {
        let served = with_a_last_flight(provider, |client, messages| {
            let record = client.handshake_tx().seal(HANDSHAKE, messages);
            client.send(&record);
        });
        assert_eq!(served, Served::Closed);
    }
}

#[test]
fn several_encrypted_messages_may_come_in_records_of_one_byte() {
    for &provider in TlsProvider::offered() {
        let served = with_a_last_flight(provider, |client, messages| {
            let mut tx = client.handshake_tx();
            for byte in messages {
                let record = tx.seal(HANDSHAKE, &[*byte]);
                client.send(&record);
                pause();
            }
        });
        assert_eq!(served, Served::Closed);
    }
}

#[test]
fn a_record_amid_the_parts_of_a_message_is_refused() {
    for &provider in TlsProvider::offered() {
        let connect = || Client::connect(SERVER, Version::Tls13);
        let (alert, served) = converse_with(&with_client_auth(provider), connect, |client| {
            let hello = client.flight();
            client.send_all(&hello);
            let flight = client.flight();
            let mut tx = client.handshake_tx();
            let (_, message) = tx.clone().open(&flight[1]).expect("a certificate");
            let part = tx.seal(HANDSHAKE, &message[..2]);
            client.send(&part);
            let warning = tx.seal(ALERT, &[1, 90]);
            client.send(&warning);
            client.receive_alert()
        });
        assert_eq!(alert, None); // rustls has no alert for this
        assert_eq!(served, Served::Refused(HandshakeFailure::Protocol));
    }
}

#[test]
fn an_empty_handshake_record_is_refused() {
    for_each(|provider, version| {
        let (alert, served) = provoke(provider, version, |client| {
            client.send(&Record::new(HANDSHAKE, []));
        });
        assert_eq!(alert, Some(DECODE_ERROR));
        assert_eq!(served, Served::Refused(HandshakeFailure::Protocol));
    });
}

#[test]
fn a_record_beyond_the_limit_is_refused_by_its_header() {
    for_each(|provider, version| {
        let (alert, served) = provoke(provider, version, |client| {
            client.send_bytes(&[22, 3, 3, 0xff, 0xff]);
        });
        // RFC 8446 section 5.1 would have record_overflow.
        assert_eq!(alert, Some(DECODE_ERROR));
        assert_eq!(served, Served::Refused(HandshakeFailure::Protocol));
    });
}

#[test]
fn a_protected_record_beyond_the_limit_is_refused_by_its_header() {
    for_each(|provider, version| {
        let (alert, served) = provoke(provider, version, |client| {
            client.handshake();
            client.send_bytes(&[23, 3, 3, 0xff, 0xff]);
        });
        assert_eq!(alert, Some(DECODE_ERROR));
        assert_eq!(served, Served::Failed(std::io::ErrorKind::InvalidData));
    });
}

#[test]
fn a_message_that_says_it_has_16_mib_is_refused_at_once() {
    for_each(|provider, version| {
        let (alert, served) = provoke(provider, version, |client| {
            client.send(&Record::new(HANDSHAKE, [1, 0xff, 0xff, 0xff, 3, 3]));
        });
        assert_eq!((alert, served), (None, Served::Refused(HandshakeFailure::Protocol)));
    });
}

/// A peer must not make the server hold more than half a megabyte.
#[test]
fn a_message_in_one_byte_records_is_refused_before_it_is_large() {
    for_each(|provider, version| {
        let (alert, served) = provoke(provider, version, |client| {
            client.send(&Record::new(HANDSHAKE, [1, 0, 0xff, 0xff]));
            let piece: Vec<_> = (0..1_000).flat_map(|_| [22, 3, 3, 0, 1, 0]).collect();
            for _ in 0..100 {
                client.send_bytes(&piece);
            }
        });
        assert!(matches!(alert, None | Some(DECODE_ERROR | HANDSHAKE_FAILURE)), "{alert:?}");
        assert_eq!(served, Served::Refused(HandshakeFailure::Protocol));
    });
}

#[test]
fn a_client_may_leave_at_every_byte_of_its_hello() {
    for_each(|provider, version| {
        let (length, _) = converse(provider, version, |client| client.flight()[0].bytes().len());
        for cut in 0..length {
            let (alert, served) = provoke(provider, version, move |client| {
                let bytes = client.flight()[0].bytes();
                client.send_bytes(&bytes[..cut]);
                client.end();
            });
            assert_eq!(alert, None, "cut at {cut}");
            let expected = match cut {
                0 => Served::LeftAtOnce,
                _ => Served::Refused(HandshakeFailure::Closed),
            };
            assert_eq!(served, expected, "cut at {cut}");
        }
    });
}

#[test]
fn a_client_may_leave_at_every_byte_of_its_last_flight() {
    for_each(|provider, version| {
        let cut_after = |cut: Option<usize>| {
            converse(provider, version, move |client| {
                let hello = client.flight();
                client.send_all(&hello);
                let bytes: Vec<u8> = client.flight().iter().flat_map(Record::bytes).collect();
                client.send_bytes(&bytes[..cut.unwrap_or(bytes.len() - 1)]);
                vanish(client);
                bytes.len()
            })
        };
        let (length, _) = cut_after(None);
        for cut in 0..length {
            let (_, served) = cut_after(Some(cut));
            assert_eq!(served, Served::Refused(HandshakeFailure::Closed), "cut at {cut}");
        }
    });
}

/// A whole conversation through a way that cuts the client's bytes anywhere.
fn cut_anywhere(provider: TlsProvider, version: Version, cuts: &[u8]) -> Vec<u8> {
    let cuts = cuts.to_vec();
    let (echoed, served) = converse(provider, version, move |client| {
        converse_in(client, &mut Cutter { cuts, next: 0 });
        client.receive_exactly(3 * 500)
    });
    assert_eq!(served, Served::Closed);
    echoed
}

/// Says how long the next fragment is, and whether a pause comes behind it.
pub(crate) struct Cutter {
    cuts: Vec<u8>,
    next: usize,
}

impl Cutter {
    fn send(&mut self, client: &mut Client, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let cut = self.cuts.get(self.next % self.cuts.len().max(1)).copied().unwrap_or(255);
            self.next += 1;
            let count = usize::from(cut).clamp(1, bytes.len());
            client.send_bytes(&bytes[..count]);
            if cut % 3 == 0 {
                pause();
            }
            bytes = &bytes[count..];
        }
    }
}

fn converse_in(client: &mut Client, cutter: &mut Cutter) {
    while client.is_handshaking() {
        let flight = client.flight();
        let bytes: Vec<u8> = flight.iter().flat_map(Record::bytes).collect();
        cutter.send(client, &bytes);
        if flight.len() > 1 && flight[1].kind != DATA {
            client.receive_finished();
        }
    }
    let mut bytes = Vec::new();
    for byte in [b'a', b'b', b'c'] {
        bytes.extend(client.tx().seal(DATA, &[byte; 500]).bytes());
    }
    bytes.extend(client.tx().seal(ALERT, &[1, CLOSE_NOTIFY]).bytes());
    cutter.send(client, &bytes);
}

#[test]
fn any_split_of_a_conversation_gives_the_same() {
    let expected = [[b'a'; 500], [b'b'; 500], [b'c'; 500]].concat();
    for_each(|provider, version| {
        let expected = expected.clone();
        QuickCheck::new().tests(25).quickcheck(Property(Box::new(move |cuts: Vec<u8>| {
            TestResult::from_bool(cut_anywhere(provider, version, &cuts) == expected)
        })));
    });
}

/// A closure as a property of quickcheck, which takes plain functions only.
struct Property(Box<dyn Fn(Vec<u8>) -> TestResult>);

impl quickcheck::Testable for Property {
    fn result(&self, source: &mut quickcheck::Gen) -> TestResult {
        (self.0)(quickcheck::Arbitrary::arbitrary(source))
    }
}

#[test]
fn a_second_hello_may_come_in_pieces_too() {
    for &provider in TlsProvider::offered() {
        let groups = vec![kx_group::MLKEM768, kx_group::X25519];
        let connect = || Client::with_groups(SERVER, Version::Tls13, groups);
        let config = crate::common::echo::config(provider);
        let ((), served) = converse_with(&config, connect, |client| {
            let first = client.flight();
            client.send_all(&in_pieces(&first, 100));
            let second = client.flight();
            assert_eq!(second.len(), 2, "a change of ciphers and a hello");
            client.send(&second[0]);
            client.send_all(&in_pieces(&second[1..], 3));
            client.handshake();
            client.send_data(b"hello");
            assert_eq!(client.receive_data(), b"hello");
            client.send_sealed(ALERT, &[1, CLOSE_NOTIFY]);
            assert_eq!(client.receive_alert(), Some(CLOSE_NOTIFY));
        });
        assert_eq!(served, Served::Closed);
    }
}
