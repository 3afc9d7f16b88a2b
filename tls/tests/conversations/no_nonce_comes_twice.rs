//! The records of the server have rising sequence numbers, so no nonce is used twice with a key
//! (RFC 8446 section 5.3).

use std::collections::HashSet;
use std::io::Write;

use straightline_net::TcpStream;
use straightline_tls::{TlsProvider, TlsStream};

use crate::common::alert::CLOSE_NOTIFY;
use crate::common::client::{Received, Version};
use crate::common::echo::{converse_by, for_each, pause};
use crate::common::record::{ALERT, HANDSHAKE};

/// The client opens each record with the next sequence number only, so a record with a number that
/// is not the next one could not be read.
#[test]
fn the_servers_records_are_numbered_in_order() {
    for_each(|provider, version| {
        let act = |mut stream: TlsStream<TcpStream>| {
            for size in 1..300 {
                stream.write_all(&vec![7; size * 100]).expect("a reader");
            }
            stream.close().expect("a reader");
        };
        let (sequence, ()) = converse_by(provider, version, act, |client| {
            client.handshake();
            let all = client.receive_to_end();
            let is_sealed = |received: &Received| matches!(received, Received::Sealed(_));
            assert!(!all.iter().any(is_sealed));
            assert_eq!(all[all.len() - 2..], [Received::Alert(1, CLOSE_NOTIFY), Received::End]);
            client.rx().sequence
        });
        assert!(sequence > 300);
    });
}

/// In TLS 1.2 a part of the nonce is on the wire.
#[test]
fn the_nonces_on_the_wire_differ() {
    for &provider in TlsProvider::offered() {
        let act = |mut stream: TlsStream<TcpStream>| {
            for _ in 0..300 {
                stream.write_all(b"hello").expect("a reader");
            }
            stream.close().expect("a reader");
        };
        let (nonces, ()) = converse_by(provider, Version::Tls12, act, |client| {
            client.handshake();
            let mut nonces = Vec::new();
            while let Ok(record) = client.record() {
                nonces.push(record.payload[..8].to_vec());
            }
            nonces
        });
        assert_eq!(nonces.len(), 301);
        assert_eq!(nonces.iter().collect::<HashSet<_>>().len(), 301);
    }
}

#[test]
fn they_are_numbered_anew_under_a_new_key() {
    for &provider in TlsProvider::offered() {
        let act = |mut stream: TlsStream<TcpStream>| {
            std::io::Read::read(&mut stream, &mut [0; 10]).expect("a request");
            for _ in 0..100 {
                stream.write_all(b"hello").expect("a reader");
                pause();
            }
            crate::common::echo::echo(&stream)
        };
        let (updates, served) = converse_by(provider, Version::Tls13, act, |client| {
            client.handshake();
            client.send_data(b"go");
            let (mut updates, mut data) = (0, 0);
            while data < 100 {
                match client.receive() {
                    Received::Data(more) => {
                        data += 1;
                        assert_eq!(more, b"hello");
                        if data % 10 == 0 {
                            client.send_sealed(HANDSHAKE, &[24, 0, 0, 1, 1]);
                            client.tx().update();
                            client.send_data(b"");
                        }
                    }
                    Received::Other(HANDSHAKE, message) if message[0] == 24 => {
                        updates += 1;
                        client.rx().update();
                    }
                    Received::Other(..) => {}
                    other => panic!("{other:?}"),
                }
            }
            client.send_sealed(ALERT, &[1, CLOSE_NOTIFY]);
            client.receive_to_end();
            updates
        });
        assert!(served.is_ok(), "{served:?}");
        println!("{updates} updates");
    }
}
