//! Timeouts, `select`, `arm` and `wait_until` of a TLS stream.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use straightline_net::{MemoryStream, Transport};
use straightline_sched::{self as sched, Interest, sim};
use straightline_tls::{TlsProvider, TlsStream};

use crate::common::echo::config;
use crate::common::pair::pair;

const SOON: Duration = Duration::from_millis(100);

fn simulate(test: impl Fn(TlsProvider) + Copy + 'static) {
    for &provider in TlsProvider::offered() {
        sim::run(7, move || test(provider));
    }
}

/// How long `wait` takes, in milliseconds of virtual time.
fn time<T>(wait: impl FnOnce() -> T) -> (T, u128) {
    let began = sched::now();
    let result = wait();
    (result, (sched::now() - began).as_millis())
}

#[test]
fn a_read_has_its_timeout() {
    simulate(|provider| {
        let (mut client, mut server) = pair(provider, 1 << 16);
        client.set_read_timeout(Some(SOON));
        let (read, millis) = time(|| client.read(&mut [0; 10]));
        assert_eq!(read.expect_err("no data").kind(), ErrorKind::TimedOut);
        assert_eq!(millis, 100);
        server.write_all(b"late").expect("a reader");
        let mut read = [0; 4];
        client.read_exact(&mut read).expect("the stream is as it was");
        assert_eq!(&read, b"late");
    });
}

#[test]
fn a_write_has_its_timeout() {
    simulate(|provider| {
        let (mut client, mut server) = pair(provider, 1_000);
        client.set_write_timeout(Some(SOON));
        let (written, millis) = time(|| client.write_all(&vec![7; 200_000]));
        assert_eq!(written.expect_err("no room").kind(), ErrorKind::TimedOut);
        // The first write had accepted its bytes: the second one tells.
        assert_eq!(millis, 200);
        // Whole records come: the connection is in order up to where it was left.
        let reading = sched::spawn(move || {
            let mut count = 0;
            let mut buffer = vec![0; 20_000];
            loop {
                match server.read(&mut buffer) {
                    Ok(0) => break Ok(count),
                    Ok(more) => count += more,
                    Err(error) => break Err(error.kind()),
                }
            }
        });
        client.set_write_timeout(None);
        client.close().expect("a reader");
        let count = reading.join().expect("no panic").expect("a goodbye");
        assert!(count >= 1_000, "{count} bytes");
    });
}

#[test]
fn a_close_has_the_timeout_of_a_write() {
    simulate(|provider| {
        let (client, _server) = pair(provider, 1_000);
        assert_eq!(client.try_write(&[7; 5_000]).expect("it is kept"), 5_000);
        client.set_write_timeout(Some(SOON));
        let (closed, millis) = time(|| client.close());
        assert_eq!(closed.expect_err("no room").kind(), ErrorKind::TimedOut);
        assert_eq!(millis, 100);
    });
}

#[test]
fn a_wait_has_its_time_also_while_output_waits() {
    simulate(|provider| {
        let (client, _server) = pair(provider, 1_000);
        assert!(client.try_read(&mut [0]).is_err(), "tickets only");
        client.try_write(&[7; 5_000]).expect("it is kept");
        let until = sched::now() + SOON;
        let (is_ready, millis) = time(|| client.wait_until(Interest::Read, Some(until)));
        assert!(!is_ready.expect("a stream in memory"));
        assert_eq!(millis, 100);
    });
}

#[test]
fn before_its_handshake_a_stream_is_not_connected() {
    simulate(|provider| {
        let (_near, far) = MemoryStream::pair(1_000);
        let mut stream = TlsStream::server(far, &config(provider));
        assert_eq!(stream.read(&mut [0]).expect_err("no").kind(), ErrorKind::NotConnected);
        assert_eq!(stream.write(&[0]).expect_err("no").kind(), ErrorKind::NotConnected);
        assert!(stream.info().is_none());
        stream.close().expect("nothing to say");
    });
}
