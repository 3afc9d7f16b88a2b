//! Key updates, also many and in odd pieces, are followed and answered within bounds (RFC 8446
//! section 4.6.3).

use std::io::{ErrorKind, Write};
use std::time::Duration;

use straightline_sched as sched;
use straightline_tls::{HandshakeFailure, TlsProvider};

use crate::common::alert::{CLOSE_NOTIFY, DECODE_ERROR, ILLEGAL_PARAMETER, UNEXPECTED_MESSAGE};
use crate::common::client::{Client, Received, Version};
use crate::common::echo::{Served, converse, converse_by, echo, pause, provoke};
use crate::common::record::{ALERT, DATA, HANDSHAKE};

const NOT_REQUESTED: [u8; 5] = [24, 0, 0, 1, 0];
const REQUESTED: [u8; 5] = [24, 0, 0, 1, 1];
const FAILED: Served = Served::Failed(ErrorKind::InvalidData);

fn update(client: &mut Client, message: &[u8]) {
    client.send_sealed(HANDSHAKE, message);
    client.tx().update();
}

/// The server's own update, and its tickets before it.
fn receive_update(client: &mut Client) {
    loop {
        match client.receive() {
            Received::Other(HANDSHAKE, message) if message[0] == 24 => {
                assert_eq!(message, NOT_REQUESTED);
                break client.rx().update();
            }
            Received::Other(HANDSHAKE, message) if message[0] == 4 => {}
            other => panic!("{other:?} in place of a key update"),
        }
    }
}

fn hello(client: &mut Client) {
    client.send_data(b"hello");
    assert_eq!(client.receive_data(), b"hello");
}

fn close(client: &mut Client) {
    client.send_sealed(ALERT, &[1, CLOSE_NOTIFY]);
    assert_eq!(client.receive_alert(), Some(CLOSE_NOTIFY));
}

#[test]
fn the_clients_key_changes() {
    for &provider in TlsProvider::offered() {
        let ((), served) = converse(provider, Version::Tls13, |client| {
            client.handshake();
            for _ in 0..100 {
                update(client, &NOT_REQUESTED);
                hello(client);
            }
            close(client);
        });
        assert_eq!(served, Served::Closed);
    }
}

#[test]
fn the_servers_key_changes_too_if_the_client_asks() {
    for &provider in TlsProvider::offered() {
        let ((), served) = converse(provider, Version::Tls13, |client| {
            client.handshake();
            for _ in 0..100 {
                update(client, &REQUESTED);
                client.send_data(b"hello");
                // The answer comes before the next data (RFC 8446 section 4.6.3).
                receive_update(client);
                assert_eq!(client.receive_data(), b"hello");
            }
            close(client);
        });
        assert_eq!(served, Served::Closed);
    }
}

/// RFC 8446 section 4.6.3: several requests may have one answer.
#[test]
fn a_burst_of_requests_is_answered_and_bounded() {
    for &provider in TlsProvider::offered() {
        let (answers, served) = converse(provider, Version::Tls13, |client| {
            client.handshake();
            let mut bytes = Vec::new();
            for _ in 0..1_000 {
                bytes.extend(client.tx().seal(HANDSHAKE, &REQUESTED).bytes());
                client.tx().update();
            }
            client.send_bytes(&bytes);
            client.receive_to_end().len()
        });
        assert_eq!(served, FAILED);
        assert!(answers < 100, "{answers} records");
    }
}

#[test]
fn a_short_burst_is_followed() {
    for &provider in TlsProvider::offered() {
        for message in [NOT_REQUESTED, REQUESTED] {
            let ((), served) = converse(provider, Version::Tls13, move |client| {
                client.handshake();
                let mut bytes = Vec::new();
                for _ in 0..30 {
                    bytes.extend(client.tx().seal(HANDSHAKE, &message).bytes());
                    client.tx().update();
                }
                bytes.extend(client.tx().seal(DATA, b"hello").bytes());
                client.send_bytes(&bytes);
                if message == REQUESTED {
                    receive_update(client);
                    // There may be more than one answer.
                    loop {
                        match client.receive() {
                            Received::Other(..) => client.rx().update(),
                            received => {
                                break assert_eq!(received, Received::Data(b"hello".into()));
                            }
                        }
                    }
                } else {
                    assert_eq!(client.receive_data(), b"hello");
                }
                close(client);
            });
            assert_eq!(served, Served::Closed);
        }
    }
}

#[test]
fn a_malformed_one_is_refused() {
    let malformed = [
        (vec![24, 0, 0, 1, 2], ILLEGAL_PARAMETER),
        (vec![24, 0, 0, 1, 255], ILLEGAL_PARAMETER),
        (vec![24, 0, 0, 0], DECODE_ERROR),
        (vec![24, 0, 0, 2, 0, 0], DECODE_ERROR),
    ];
    for &provider in TlsProvider::offered() {
        for (message, alert) in malformed.clone() {
            let described = format!("{message:?}");
            let ended = provoke(provider, Version::Tls13, move |client| {
                client.handshake();
                client.send_sealed(HANDSHAKE, &message);
            });
            assert_eq!(ended, (Some(alert), FAILED), "{described}");
        }
    }
}

/// RFC 8446 section 5.1: a message before a change of keys ends its record.
#[test]
fn another_message_behind_it_in_its_record_is_refused() {
    for &provider in TlsProvider::offered() {
        let ended = provoke(provider, Version::Tls13, |client| {
            client.handshake();
            client.send_sealed(HANDSHAKE, &[NOT_REQUESTED, NOT_REQUESTED].concat());
        });
        assert_eq!(ended, (Some(UNEXPECTED_MESSAGE), FAILED));
    }
}

#[test]
fn one_before_the_finished_is_refused() {
    for &provider in TlsProvider::offered() {
        let ended = provoke(provider, Version::Tls13, |client| {
            let hello = client.flight();
            client.send_all(&hello);
            client.flight();
            let record = client.handshake_tx().seal(HANDSHAKE, &NOT_REQUESTED);
            client.send(&record);
        });
        let failure = Served::Refused(HandshakeFailure::Protocol);
        assert_eq!(ended, (Some(UNEXPECTED_MESSAGE), failure));
    }
}

#[test]
fn tls_1_2_has_none() {
    for &provider in TlsProvider::offered() {
        let (alert, served) = provoke(provider, Version::Tls12, |client| {
            client.handshake();
            client.send_sealed(HANDSHAKE, &NOT_REQUESTED);
        });
        assert!(alert.is_some_and(|alert| alert != CLOSE_NOTIFY), "{alert:?}");
        assert_eq!(served, FAILED);
    }
}

#[test]
fn it_may_come_in_pieces_while_the_server_writes() {
    for &provider in TlsProvider::offered() {
        for message in [NOT_REQUESTED, REQUESTED] {
            let act = |stream| {
                // The server writes meanwhile, and each fiber wants the session.
                let (reader, mut writer) = straightline_net::split(stream);
                let writing = sched::spawn(move || {
                    for _ in 0..20 {
                        sched::sleep(Duration::from_millis(7)); // of virtual time
                        writer.write_all(b"tick")?;
                    }
                    std::io::Result::Ok(())
                });
                let echoed = echo(reader.get_ref());
                (writing.join().expect("no panic").is_ok(), echoed.is_ok())
            };
            let ((), ended) = converse_by(provider, Version::Tls13, act, move |client| {
                client.handshake();
                for byte in message {
                    client.send_sealed(HANDSHAKE, &[byte]);
                    pause();
                }
                client.tx().update();
                client.send_data(b"hello");
                let mut data = Vec::new();
                while data.len() < 20 * 4 + 5 {
                    match client.receive() {
                        Received::Data(more) => data.extend(more),
                        Received::Other(HANDSHAKE, message) if message[0] == 24 => {
                            client.rx().update();
                        }
                        Received::Other(..) => {}
                        other => panic!("{other:?}"),
                    }
                }
                close(client);
            });
            assert_eq!(ended, (true, true));
        }
    }
}
