//! What a `ClientHello` may contain, and the alert for what it must not (RFC 8446 section 4.1.2).

use rustls::crypto::aws_lc_rs::kx_group;
use straightline_tls::{HandshakeFailure, TlsProvider};

use crate::common::alert::{
    DECODE_ERROR, HANDSHAKE_FAILURE, ILLEGAL_PARAMETER, PROTOCOL_VERSION, UNEXPECTED_MESSAGE,
};
use crate::common::client::{Client, Received, Version};
use crate::common::echo::{SERVER, Served, config, converse, converse_with, for_each, provoke};
use crate::common::hello::{Hello, KEY_SHARE, SUPPORTED_GROUPS, SUPPORTED_VERSIONS, push};
use crate::common::record::{HANDSHAKE, Record};

/// Values that clients send so that servers learn to pass over what they do not know (RFC 8701).
const GREASE: u16 = 0x0a0a;
const OTHER_GREASE: u16 = 0xfafa;

/// Sends a hello that `change` has changed. Returns the alert that comes back, and the failure.
fn refusal(
    provider: TlsProvider,
    version: Version,
    change: impl FnOnce(&mut Hello) + 'static,
) -> (Option<u8>, Served) {
    provoke(provider, version, move |client| {
        let mut hello = Hello::parse(&client.flight()[0]);
        change(&mut hello);
        client.send(&hello.record());
    })
}

/// In both versions, for each provider, the changed hello is refused with that alert.
fn assert_refused(
    alert: u8,
    failure: HandshakeFailure,
    change: impl Fn(&mut Hello, Version) + Copy + 'static,
) {
    for_each(|provider, version| {
        let refused = refusal(provider, version, move |hello| change(hello, version));
        assert_eq!(refused, (Some(alert), Served::Refused(failure)));
    });
}

/// As [`assert_refused`], in TLS 1.3 only.
fn assert_refused_13(
    alert: u8,
    failure: HandshakeFailure,
    change: impl Fn(&mut Hello) + Copy + 'static,
) {
    for &provider in TlsProvider::offered() {
        let refused = refusal(provider, Version::Tls13, change);
        assert_eq!(refused, (Some(alert), Served::Refused(failure)));
    }
}

#[test]
fn what_is_unknown_is_passed_over_beside_what_is_known() {
    for_each(|provider, version| {
        let ((), served) = converse(provider, version, move |client| {
            let mut hello = Hello::parse(&client.flight()[0]);
            hello.suites.insert(0, GREASE);
            hello.suites.push(OTHER_GREASE);
            hello.extensions.insert(0, (GREASE, Vec::new()));
            hello.extensions.push((OTHER_GREASE, vec![0]));
            let groups = hello.extension(SUPPORTED_GROUPS);
            groups.splice(2..2, GREASE.to_be_bytes());
            groups[1] += 2;
            if version == Version::Tls13 {
                let versions = hello.extension(SUPPORTED_VERSIONS);
                versions.splice(1..1, GREASE.to_be_bytes());
                versions[0] += 2;
                let shares = hello.extension(KEY_SHARE);
                shares.splice(2..2, [0x0a, 0x0a, 0, 1, 0]);
                shares[1] += 5;
            }
            client.send(&hello.record());
            let answer = client.receive();
            assert!(matches!(&answer, Received::Other(HANDSHAKE, it) if it[0] == 2), "{answer:?}");
            client.end();
            client.receive_to_end();
        });
        assert_eq!(served, Served::Refused(HandshakeFailure::Closed));
    });
}

#[test]
fn unknown_cipher_suites_alone_are_refused() {
    let failure = HandshakeFailure::NoSharedParameters;
    assert_refused(HANDSHAKE_FAILURE, failure, |hello, _| {
        hello.suites = vec![GREASE, OTHER_GREASE];
    });
}

#[test]
fn cipher_suites_of_finite_fields_alone_are_refused() {
    let failure = HandshakeFailure::NoSharedParameters;
    // TLS_DHE_RSA_WITH_AES_128_GCM_SHA256, and its neighbour.
    assert_refused(HANDSHAKE_FAILURE, failure, |hello, _| hello.suites = vec![0x009e, 0x009f]);
}

#[test]
fn unknown_groups_alone_are_refused() {
    let failure = HandshakeFailure::NoSharedParameters;
    assert_refused(HANDSHAKE_FAILURE, failure, |hello, version| {
        // A reserved one, and ffdhe2048.
        *hello.extension(SUPPORTED_GROUPS) = vec![0, 4, 0x0a, 0x0a, 1, 0];
        if version == Version::Tls13 {
            *hello.extension(KEY_SHARE) = vec![0, 5, 0x0a, 0x0a, 0, 1, 0];
        }
    });
}

#[test]
fn an_extension_that_comes_twice_is_refused() {
    assert_refused(ILLEGAL_PARAMETER, HandshakeFailure::Protocol, |hello, _| {
        let first = hello.extensions[0].clone();
        hello.extensions.push(first);
    });
}

#[test]
fn compression_is_refused() {
    let failure = HandshakeFailure::NoSharedParameters;
    assert_refused(ILLEGAL_PARAMETER, failure, |hello, _| hello.compressions = vec![1]);
}

#[test]
fn an_old_version_is_refused() {
    for version in [0x0300, 0x0301, 0x0302] {
        assert_refused(PROTOCOL_VERSION, HandshakeFailure::Version, move |hello, _| {
            hello.version = version;
            hello.extensions.retain(|(kind, _)| *kind != SUPPORTED_VERSIONS);
        });
    }
}

#[test]
fn unknown_versions_alone_are_refused() {
    assert_refused_13(PROTOCOL_VERSION, HandshakeFailure::Version, |hello| {
        *hello.extension(SUPPORTED_VERSIONS) = vec![4, 0x0a, 0x0a, 3, 2];
    });
}

#[test]
fn a_hello_of_ssl_2_is_refused() {
    for_each(|provider, version| {
        let refused = provoke(provider, version, |client| {
            client.send_bytes(&[0x80, 0x2e, 1, 0, 2, 0, 3, 0, 0, 0, 16, 1, 0, 0x80]);
        });
        let failure = Served::Refused(HandshakeFailure::NotTls);
        assert_eq!(refused, (Some(UNEXPECTED_MESSAGE), failure));
    });
}

#[test]
fn a_hello_without_what_it_needs_is_refused() {
    const SIGNATURE_ALGORITHMS: u16 = 13;
    for missing in [SIGNATURE_ALGORITHMS, KEY_SHARE, SUPPORTED_GROUPS] {
        for &provider in TlsProvider::offered() {
            let (told, served) = refusal(provider, Version::Tls13, move |hello| {
                hello.extensions.retain(|(kind, _)| *kind != missing);
            });
            // RFC 8446 section 9.2 would have missing_extension.
            assert_eq!(told, Some(HANDSHAKE_FAILURE), "without {missing}");
            assert!(matches!(served, Served::Refused(_)));
        }
    }
}

#[test]
fn bytes_behind_the_last_extension_are_refused() {
    for_each(|provider, version| {
        let refused = provoke(provider, version, |client| {
            let mut message = Hello::parse(&client.flight()[0]).message();
            message.push(0);
            message[3] = message[3].wrapping_add(1);
            assert_ne!(message[3], 0, "a carry");
            client.send(&Record::new(HANDSHAKE, message));
        });
        let failure = Served::Refused(HandshakeFailure::Protocol);
        assert_eq!(refused, (Some(DECODE_ERROR), failure));
    });
}

#[test]
fn a_key_to_resume_with_has_to_come_last() {
    assert_refused_13(ILLEGAL_PARAMETER, HandshakeFailure::Protocol, |hello| {
        const PRE_SHARED_KEY: u16 = 41;
        const PSK_KEY_EXCHANGE_MODES: u16 = 45;
        let mut identity = Vec::new();
        push(&mut identity, 2, b"a ticket");
        identity.extend_from_slice(&[0; 4]);
        let mut content = Vec::new();
        push(&mut content, 2, &identity);
        push(&mut content, 2, &[&[32][..], &[0; 32]].concat());
        hello.extensions.retain(|(kind, _)| *kind != PSK_KEY_EXCHANGE_MODES);
        hello.extensions.insert(0, (PSK_KEY_EXCHANGE_MODES, vec![1, 1]));
        hello.extensions.insert(1, (PRE_SHARED_KEY, content));
    });
}

#[test]
fn another_message_than_a_hello_is_refused() {
    for_each(|provider, version| {
        for kind in [0, 2, 4, 8, 11, 15, 16, 20, 24, 99] {
            let (alert, served) = provoke(provider, version, move |client| {
                client.send(&Record::new(HANDSHAKE, [kind, 0, 0, 1, 0]));
            });
            // A message that is not even well-formed, or one that is not its turn.
            let is_named = matches!(alert, Some(DECODE_ERROR | UNEXPECTED_MESSAGE));
            assert!(is_named, "{alert:?} to {kind}");
            assert_eq!(served, Served::Refused(HandshakeFailure::Protocol));
        }
    });
}

/// A client whose first share is for a group that the server does not have.
fn asked_again(
    provider: TlsProvider,
    change: impl FnOnce(&mut Hello) + 'static,
) -> (Option<u8>, Served) {
    let groups = vec![kx_group::MLKEM768, kx_group::X25519];
    let connect = || Client::with_groups(SERVER, Version::Tls13, groups);
    converse_with(&config(provider), connect, |client| {
        let hello = client.flight();
        client.send_all(&hello);
        let second = client.flight();
        client.send(&second[0]);
        let mut hello = Hello::parse(&second[1]);
        change(&mut hello);
        client.send(&hello.record());
        client.receive_alert()
    })
}

#[test]
fn a_second_hello_without_the_share_that_was_asked_for_is_refused() {
    for &provider in TlsProvider::offered() {
        let refused = asked_again(provider, |hello| {
            let mut share = vec![0, 0x17]; // P-256, which the server has, and did not ask for
            push(&mut share, 2, &[4; 65]);
            let mut content = Vec::new();
            push(&mut content, 2, &share);
            *hello.extension(KEY_SHARE) = content;
        });
        let failure = Served::Refused(HandshakeFailure::Protocol);
        assert_eq!(refused, (Some(ILLEGAL_PARAMETER), failure));
    }
}

#[test]
fn a_second_hello_with_other_cipher_suites_is_refused() {
    for &provider in TlsProvider::offered() {
        let refused = asked_again(provider, |hello| hello.suites = vec![0x1302]);
        let failure = Served::Refused(HandshakeFailure::Protocol);
        assert_eq!(refused, (Some(ILLEGAL_PARAMETER), failure));
    }
}

#[test]
fn a_share_that_is_no_point_is_refused() {
    for_each(|provider, version| {
        let (alert, served) = match version {
            Version::Tls13 => refusal(provider, version, |hello| {
                let mut share = vec![0, 0x17];
                push(&mut share, 2, &[4; 65]);
                let mut content = Vec::new();
                push(&mut content, 2, &share);
                *hello.extension(SUPPORTED_GROUPS) = vec![0, 2, 0, 0x17];
                *hello.extension(KEY_SHARE) = content;
            }),
            Version::Tls12 => provoke(provider, version, |client| {
                let hello = client.flight();
                client.send_all(&hello);
                client.flight();
                // The point of order 1 of X25519 makes a shared secret of zeros.
                client.send(&Record::new(HANDSHAKE, [&[16, 0, 0, 33, 32][..], &[0; 32]].concat()));
            }),
        };
        assert_eq!(alert, Some(ILLEGAL_PARAMETER));
        // Mbed TLS does not say whose fault it is.
        let failures = [HandshakeFailure::Protocol, HandshakeFailure::Other];
        assert!(failures.map(Served::Refused).contains(&served), "{served:?}");
    });
}
