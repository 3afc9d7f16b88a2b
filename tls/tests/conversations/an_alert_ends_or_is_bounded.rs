//! Alerts of the client: fatal ones end the connection, and warnings come in bounded number (RFC
//! 8446 section 6).

use std::io::ErrorKind;

use straightline_tls::{HandshakeFailure, TlsProvider};

use crate::common::alert::{CLOSE_NOTIFY, HANDSHAKE_FAILURE, ILLEGAL_PARAMETER, USER_CANCELED};
use crate::common::client::Version;
use crate::common::echo::{Served, converse, for_each, provoke};
use crate::common::record::{ALERT, Record};

const WARNING: u8 = 1;
const FATAL: u8 = 2;
const FAILED: Served = Served::Failed(ErrorKind::InvalidData);

#[test]
fn a_fatal_alert_ends_the_connection() {
    for_each(|provider, version| {
        // Known ones, and one that no RFC knows.
        for description in [10, 40, 80, 200] {
            let ended = provoke(provider, version, move |client| {
                client.handshake();
                client.send_sealed(ALERT, &[FATAL, description]);
            });
            assert_eq!(ended, (None, FAILED), "alert {description}");
        }
    });
}

#[test]
fn a_fatal_alert_ends_the_handshake() {
    for_each(|provider, version| {
        for description in [42, 48, 80, 200] {
            let ended = provoke(provider, version, move |client| {
                let hello = client.flight();
                client.send_all(&hello);
                client.flight();
                client.send(&Record::alert(FATAL, description));
            });
            assert_eq!(ended, (None, Served::Refused(HandshakeFailure::Alert)));
        }
    });
}

#[test]
fn a_goodbye_in_the_handshake_ends_it() {
    for_each(|provider, version| {
        let (alert, served) = provoke(provider, version, |client| {
            let hello = client.flight();
            client.send_all(&hello);
            client.flight();
            client.send(&Record::alert(FATAL, CLOSE_NOTIFY));
        });
        assert_eq!((alert, served), (None, Served::Refused(HandshakeFailure::Alert)));
    });
}

#[test]
fn an_unknown_level_is_refused() {
    for_each(|provider, version| {
        let ended = provoke(provider, version, |client| {
            client.handshake();
            client.send_sealed(ALERT, &[5, HANDSHAKE_FAILURE]);
        });
        assert_eq!(ended, (Some(ILLEGAL_PARAMETER), FAILED));
    });
}

#[test]
fn warnings_in_a_burst_are_bounded() {
    for_each(|provider, version| {
        let (alert, served) = provoke(provider, version, |client| {
            client.handshake();
            for _ in 0..100 {
                client.send_sealed(ALERT, &[WARNING, USER_CANCELED]);
            }
        });
        assert_ne!(alert, Some(CLOSE_NOTIFY));
        assert_eq!(served, FAILED);
    });
}

#[test]
fn in_tls_1_3_any_other_warning_ends_the_connection() {
    for &provider in TlsProvider::offered() {
        let (alert, served) = provoke(provider, Version::Tls13, |client| {
            client.handshake();
            client.send_sealed(ALERT, &[WARNING, 100]);
        });
        assert!(alert.is_some_and(|alert| alert != CLOSE_NOTIFY), "{alert:?}");
        assert_eq!(served, FAILED);
    }
}

#[test]
fn a_client_may_cancel_and_then_close() {
    for_each(|provider, version| {
        let ended = provoke(provider, version, |client| {
            client.handshake();
            client.send_sealed(ALERT, &[WARNING, USER_CANCELED]);
            client.send_sealed(ALERT, &[WARNING, CLOSE_NOTIFY]);
        });
        assert_eq!(ended, (Some(CLOSE_NOTIFY), Served::Closed));
    });
}

#[test]
fn an_alert_in_pieces_or_of_another_size_is_refused() {
    for_each(|provider, version| {
        for content in [&[][..], &[WARNING], &[WARNING, CLOSE_NOTIFY, WARNING, CLOSE_NOTIFY]] {
            let (alert, served) = provoke(provider, version, |client| {
                client.handshake();
                client.send_sealed(ALERT, content);
            });
            assert!(alert.is_none_or(|alert| alert != CLOSE_NOTIFY), "{content:?}: {alert:?}");
            assert_eq!(served, FAILED, "{content:?}");
        }
    });
}

#[test]
fn an_empty_alert_instead_of_a_hello_is_refused() {
    for_each(|provider, version| {
        let (_, served) = provoke(provider, version, |client| {
            client.send(&Record::new(ALERT, []));
        });
        assert_eq!(served, Served::Refused(HandshakeFailure::NotTls));
    });
}

#[test]
fn what_follows_a_goodbye_is_passed_over() {
    for_each(|provider, version| {
        let ((), served) = converse(provider, version, |client| {
            client.handshake();
            let mut bytes = client.tx().seal(ALERT, &[WARNING, CLOSE_NOTIFY]).bytes();
            bytes.extend(client.tx().seal(23, b"hello").bytes());
            bytes.extend(b"and no record at all");
            client.send_bytes(&bytes);
            assert_eq!(client.receive_alert(), Some(CLOSE_NOTIFY));
        });
        assert_eq!(served, Served::Closed);
    });
}
