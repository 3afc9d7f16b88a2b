//! A deadline or a cancel that unwinds a call leaves a stream that fails clearly, or goes on.

use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use straightline_net::{MemoryStream, Transport};
use straightline_sched::{self as sched, deadline, sim};
use straightline_tls::{HandshakeLimits, TlsProvider, TlsStream};

use crate::common::certificate::Certificates;
use crate::common::echo::{config, echo};
use crate::common::pair::{connector, pair};

const SOON: Duration = Duration::from_millis(100);

#[test]
fn a_deadline_in_a_handshake_makes_the_stream_fail() {
    for &provider in TlsProvider::offered() {
        sim::run(7, move || {
            let (near, far) = MemoryStream::pair(1 << 16);
            near.try_write(&[22, 3, 1]).expect("room");
            let stream = TlsStream::server(far, &config(provider));
            deadline(SOON, || stream.handshake()).expect_err("half a hello");
            let failed = [
                (&stream).read(&mut [0]).expect_err("no session"),
                (&stream).write(&[0]).expect_err("no session"),
                stream.handshake().expect_err("no session"),
            ];
            assert!(failed.iter().all(|error| error.kind() == ErrorKind::NotConnected));
            drop(stream);
            assert_eq!((&near).read(&mut [0]).expect("an end"), 0);
        });
    }
}

/// Wherever the deadline is in the handshake.
#[test]
fn a_deadline_at_any_time_leaves_nothing() {
    for &provider in TlsProvider::offered() {
        for micros in [0, 1, 3, 10, 30, 50, 70, 100, 150, 200, 300, 500, 1_000, 2_000, 4_000, 8_000]
        {
            sim::run(micros, move || {
                let (near, far) = MemoryStream::pair(200);
                let config = config(provider);
                let server = sched::spawn(move || {
                    let accept = || TlsStream::accept(far, &config).map(|stream| echo(&stream));
                    deadline(Duration::from_micros(micros), accept).is_ok()
                });
                let client =
                    connector(provider).connect("localhost", near).and_then(|mut client| {
                        client.write_all(b"hello")?;
                        client.read_exact(&mut [0; 5])?;
                        client.close()
                    });
                let is_served = server.join().expect("no panic");
                assert!(client.is_ok() || !is_served, "{client:?}");
            });
        }
    }
}

#[test]
fn a_deadline_in_a_read_loses_nothing() {
    for &provider in TlsProvider::offered() {
        sim::run(7, move || {
            let (mut client, mut server) = pair(provider, 50);
            let writing = sched::spawn(move || {
                for _ in 0..20 {
                    sched::sleep(Duration::from_millis(7));
                    server.write_all(b"0123456789")?;
                }
                server.close()
            });
            let mut read = Vec::new();
            let mut unwound = 0;
            while read.len() < 200 {
                let mut buffer = [0; 7];
                match deadline(Duration::from_millis(3), || client.read(&mut buffer)) {
                    Ok(count) => read.extend_from_slice(&buffer[..count.expect("no error")]),
                    Err(_) => unwound += 1,
                }
            }
            assert_eq!(read, b"0123456789".repeat(20));
            assert!(unwound > 10, "{unwound} unwinds");
            assert_eq!(client.read(&mut [0]).expect("a goodbye"), 0);
            writing.join().expect("no panic").expect("a reader");
        });
    }
}

#[test]
fn a_deadline_in_a_write_cuts_between_whole_records() {
    for &provider in TlsProvider::offered() {
        sim::run(7, move || {
            let (mut client, mut server) = pair(provider, 1_000);
            deadline(SOON, || client.write_all(&vec![7; 200_000]))
                .expect_err("no room")
                .to_string();
            let reading = sched::spawn(move || {
                let mut read = Vec::new();
                server.read_to_end(&mut read).map(|_| read)
            });
            client.write_all(&[8; 10]).expect("a reader");
            client.close().expect("a reader");
            let read = reading.join().expect("no panic").expect("a goodbye");
            let (rest, last) = read.split_at(read.len() - 10);
            assert!(rest.iter().all(|byte| *byte == 7) && !rest.is_empty());
            assert_eq!(last, [8; 10]);
        });
    }
}

/// With a slow provider the step is on another thread when the fiber is cancelled. Its place among
/// those that compute is free again.
#[test]
fn a_cancel_while_a_handshake_computes_frees_its_place() {
    for &provider in TlsProvider::offered() {
        sched::run(move || {
            let certificates = Certificates::shared();
            let config = straightline_tls::TlsConfig::builder()
                .certificate_pem(&certificates.chain_pem, &certificates.key_pem)
                .handshake_limits(HandshakeLimits::default().with_running(1))
                .provider(provider)
                .build()
                .expect("a good configuration");
            let connector = Rc::new(connector(provider));
            for turns in 0..10 {
                let (near, far) = MemoryStream::pair(1 << 16);
                let config = config.clone();
                let server = sched::spawn(move || TlsStream::accept(far, &config).map(drop));
                let connector = Rc::clone(&connector);
                let client = sched::spawn(move || connector.connect("localhost", near).map(drop));
                for _ in 0..turns {
                    sched::yield_now();
                }
                server.cancel();
                let _ = server.join();
                let _ = client.join().expect("no panic");
            }
            let (near, far) = MemoryStream::pair(1 << 16);
            let server = sched::spawn(move || TlsStream::accept(far, &config).map(drop));
            let client = connector.connect("localhost", near).map(drop);
            server.join().expect("no panic").expect("a place");
            client.expect("a place");
        });
    }
}
