//! A `close_notify` ends one direction (RFC 8446 section 6.1); the end of the socket without one is
//! an error.

use std::io::{ErrorKind, Read, Write};

use straightline_net::TcpStream;
use straightline_tls::TlsStream;

use crate::common::alert::CLOSE_NOTIFY;
use crate::common::client::Received;
use crate::common::echo::{converse_by, for_each, pause};
use crate::common::record::{ALERT, DATA, Record};

const ANSWER_BYTES: usize = 300_000;

#[test]
fn a_client_that_has_said_goodbye_gets_the_whole_answer() {
    for_each(|provider, version| {
        let act = |mut stream: TlsStream<TcpStream>| {
            let mut asked = Vec::new();
            stream.read_to_end(&mut asked).expect("a goodbye");
            pause();
            stream.write_all(&vec![7; ANSWER_BYTES]).expect("the client still reads");
            stream.close().expect("the client still reads");
            asked
        };
        let ((), asked) = converse_by(provider, version, act, |client| {
            client.handshake();
            client.send_data(b"hello");
            client.send_sealed(ALERT, &[1, CLOSE_NOTIFY]);
            assert_eq!(client.receive_exactly(ANSWER_BYTES), vec![7; ANSWER_BYTES]);
            assert_eq!(client.receive_alert(), Some(CLOSE_NOTIFY));
        });
        assert_eq!(asked, b"hello");
    });
}

#[test]
fn a_client_can_still_send_when_the_server_has_said_goodbye() {
    for_each(|provider, version| {
        let act = |mut stream: TlsStream<TcpStream>| {
            stream.close().expect("a reader");
            stream.close().expect("a second time means nothing");
            let refused = stream.write(b"late").expect_err("nothing comes after the goodbye");
            assert_eq!(refused.kind(), ErrorKind::BrokenPipe);
            let mut asked = Vec::new();
            stream.read_to_end(&mut asked).expect("a goodbye");
            asked
        };
        let ((), asked) = converse_by(provider, version, act, |client| {
            client.handshake();
            assert_eq!(client.receive_alert(), Some(CLOSE_NOTIFY));
            for _ in 0..100 {
                client.send_data(&[7; 1_000]);
            }
            client.send_sealed(ALERT, &[1, CLOSE_NOTIFY]);
        });
        assert_eq!(asked, vec![7; 100_000]);
    });
}

#[test]
fn garbage_after_the_servers_goodbye_is_an_error() {
    for_each(|provider, version| {
        let act = |mut stream: TlsStream<TcpStream>| {
            stream.close().expect("a reader");
            stream.read(&mut [0; 10]).map_err(|error| error.kind())
        };
        let ((), read) = converse_by(provider, version, act, |client| {
            client.handshake();
            assert_eq!(client.receive_alert(), Some(CLOSE_NOTIFY));
            client.send(&Record::new(DATA, [7; 40]));
            client.receive_to_end();
        });
        assert_eq!(read, Err(ErrorKind::InvalidData));
    });
}

#[test]
fn an_end_without_a_goodbye_is_told_from_one() {
    for_each(|provider, version| {
        let act = |mut stream: TlsStream<TcpStream>| {
            let mut data = Vec::new();
            let error = stream.read_to_end(&mut data).expect_err("no goodbye");
            let again = stream.read(&mut [0; 10]).expect_err("no goodbye");
            stream.write_all(b"late").expect("the other direction is open");
            stream.close().expect("the other direction is open");
            (data, error.kind(), again.kind())
        };
        let ((), ended) = converse_by(provider, version, act, |client| {
            client.handshake();
            client.send_data(b"hello");
            client.end();
            assert_eq!(client.receive_data(), b"late");
            assert_eq!(client.receive_alert(), Some(CLOSE_NOTIFY));
        });
        assert_eq!(ended, (b"hello".to_vec(), ErrorKind::UnexpectedEof, ErrorKind::UnexpectedEof));
    });
}

#[test]
fn an_end_within_a_record_is_cut() {
    for_each(|provider, version| {
        let act = |mut stream: TlsStream<TcpStream>| {
            let mut data = Vec::new();
            let error = stream.read_to_end(&mut data).expect_err("no goodbye");
            (data, error.kind())
        };
        let ((), ended) = converse_by(provider, version, act, |client| {
            client.handshake();
            client.send_data(b"hello");
            let record = client.tx().seal(ALERT, &[1, CLOSE_NOTIFY]).bytes();
            client.send_bytes(&record[..record.len() - 1]);
            client.end();
            client.receive_to_end();
        });
        assert_eq!(ended, (b"hello".to_vec(), ErrorKind::UnexpectedEof));
    });
}

#[test]
fn a_stream_that_is_dropped_says_no_goodbye() {
    for_each(|provider, version| {
        let ((), ()) = converse_by(provider, version, drop, |client| {
            client.handshake();
            let all = client.receive_to_end();
            let is_alert = |received: &Received| matches!(received, Received::Alert(..));
            assert!(!all.iter().any(is_alert), "{all:?}");
        });
    });
}
