//! A `ChangeCipherSpec` is passed over where TLS 1.3 allows it (RFC 8446 section 5), has its one
//! place in TLS 1.2 (RFC 5246 section 7.1), and ends the connection everywhere else.

use straightline_tls::{HandshakeFailure, TlsProvider};

use crate::common::alert::{DECODE_ERROR, UNEXPECTED_MESSAGE};
use crate::common::client::{Client, Version};
use crate::common::echo::{Served, for_each, provoke};
use crate::common::record::{CHANGE_CIPHER_SPEC, HANDSHAKE, Record};

fn change() -> Record {
    Record::new(CHANGE_CIPHER_SPEC, [1])
}

const REFUSED: Served = Served::Refused(HandshakeFailure::Protocol);

/// Sends the hello, and waits for the server's flight. Returns the client's next one.
fn begin(client: &mut Client) -> Vec<Record> {
    let hello = client.flight();
    client.send_all(&hello);
    client.flight()
}

#[test]
fn the_first_record_is_none() {
    for_each(|provider, version| {
        let refused = provoke(provider, version, |client| client.send(&change()));
        let failure = Served::Refused(HandshakeFailure::NotTls);
        assert_eq!(refused, (Some(UNEXPECTED_MESSAGE), failure));
    });
}

#[test]
fn in_tls_1_3_one_may_come_in_the_handshake_and_means_nothing() {
    for &provider in TlsProvider::offered() {
        for count in [0, 1, 2] {
            let ended = provoke(provider, Version::Tls13, move |client| {
                let flight = begin(client);
                let changes = vec![change(); count];
                client.send_all(&changes);
                client.send(flight.last().expect("a Finished"));
                client.send_data(b"hello");
                assert_eq!(client.receive_data(), b"hello");
                client.send_sealed(21, &[1, 0]);
            });
            assert_eq!(ended, (Some(0), Served::Closed));
        }
    }
}

#[test]
fn in_tls_1_3_a_burst_of_them_is_refused() {
    for &provider in TlsProvider::offered() {
        let refused = provoke(provider, Version::Tls13, |client| {
            begin(client);
            client.send_all(&vec![change(); 100]);
        });
        assert_eq!(refused, (None, REFUSED)); // rustls has no alert for this
    }
}

#[test]
fn in_tls_1_3_another_byte_is_refused() {
    for &provider in TlsProvider::offered() {
        for payload in [vec![], vec![0], vec![2], vec![1, 1]] {
            let (alert, served) = provoke(provider, Version::Tls13, move |client| {
                begin(client);
                client.send(&Record::new(CHANGE_CIPHER_SPEC, payload));
            });
            assert!(matches!(alert, Some(UNEXPECTED_MESSAGE | DECODE_ERROR)), "{alert:?}");
            assert_eq!(served, REFUSED);
        }
    }
}

#[test]
fn in_tls_1_3_a_protected_one_is_refused() {
    for &provider in TlsProvider::offered() {
        let refused = provoke(provider, Version::Tls13, |client| {
            begin(client);
            let record = client.handshake_tx().seal(CHANGE_CIPHER_SPEC, &[1]);
            client.send(&record);
        });
        assert_eq!(refused, (Some(UNEXPECTED_MESSAGE), REFUSED));
    }
}

#[test]
fn none_comes_after_the_handshake() {
    for_each(|provider, version| {
        let ended = provoke(provider, version, |client| {
            client.handshake();
            client.send(&change());
        });
        let failed = Served::Failed(std::io::ErrorKind::InvalidData);
        assert_eq!(ended, (Some(UNEXPECTED_MESSAGE), failed));
    });
}

#[test]
fn in_tls_1_2_one_before_the_key_exchange_is_refused() {
    for &provider in TlsProvider::offered() {
        let refused = provoke(provider, Version::Tls12, |client| {
            begin(client);
            client.send(&change());
        });
        assert_eq!(refused, (Some(UNEXPECTED_MESSAGE), REFUSED));
    }
}

#[test]
fn in_tls_1_2_another_byte_is_refused() {
    for &provider in TlsProvider::offered() {
        for payload in [vec![], vec![2], vec![1, 1]] {
            let (alert, served) = provoke(provider, Version::Tls12, move |client| {
                let flight = begin(client);
                client.send(&flight[0]);
                client.send(&Record::new(CHANGE_CIPHER_SPEC, payload));
            });
            assert!(matches!(alert, Some(UNEXPECTED_MESSAGE | DECODE_ERROR)), "{alert:?}");
            assert_eq!(served, REFUSED);
        }
    }
}

#[test]
fn in_tls_1_2_a_second_one_is_refused() {
    for &provider in TlsProvider::offered() {
        let (alert, served) = provoke(provider, Version::Tls12, |client| {
            let flight = begin(client);
            client.send(&flight[0]);
            client.send_all(&[change(), change()]);
        });
        assert_eq!((alert, served), (Some(UNEXPECTED_MESSAGE), REFUSED));
    }
}

#[test]
fn in_tls_1_2_a_finished_without_one_is_refused() {
    for &provider in TlsProvider::offered() {
        let (alert, served) = provoke(provider, Version::Tls12, |client| {
            let flight = begin(client);
            let (_, finished) = client.handshake_tx().open(&flight[2]).expect("a Finished");
            client.send(&flight[0]);
            client.send(&Record::new(HANDSHAKE, finished));
        });
        assert_eq!((alert, served), (Some(UNEXPECTED_MESSAGE), REFUSED));
    }
}
