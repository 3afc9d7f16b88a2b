//! A connection that was reset, or whose peer is gone, is an error: no signal and no hang.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use socket2::SockRef;
use straightline_net::{TcpListener, TcpStream, UnixStream};
use straightline_sched as sched;

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(address).expect("somebody listens");
    (client, listener.accept().expect("somebody connected").0)
}

/// Closes with a reset.
#[allow(clippy::needless_pass_by_value)] // it is consumed: closed
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option of a socket");
}

/// Lets the shard take in the events that are there.
fn take_in_events() {
    (0..3).for_each(|_| sched::sleep(Duration::from_millis(1)));
}

#[test]
fn a_reset_before_the_read_is_an_error() {
    sched::run(|| {
        let (client, mut server) = tcp_pair();
        reset(client);
        let error = server.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    })
    .unwrap();
}

#[test]
fn a_reset_during_the_read_is_an_error() {
    sched::run(|| {
        let (mut client, mut server) = tcp_pair();
        let reader = sched::spawn(move || {
            let mut byte = [0];
            server.read_exact(&mut byte).unwrap();
            server.read_exact(&mut byte)
        });
        client.write_all(b"!").unwrap();
        take_in_events();
        assert!(!reader.is_finished());
        reset(client);
        let error = reader.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    })
    .unwrap();
}

#[test]
fn a_reset_ends_the_wait_for_room() {
    sched::run(|| {
        let (client, mut server) = tcp_pair();
        let writer = sched::spawn(move || server.write_all(&vec![0; 64 << 20]));
        take_in_events();
        assert!(!writer.is_finished(), "nobody reads, so there is no room");
        reset(client);
        let error = writer.join().unwrap().unwrap_err();
        assert!(is_gone(error.kind()), "{error}");
    })
    .unwrap();
}

#[test]
fn a_write_to_a_closed_peer_fails_in_the_end() {
    sched::run(|| {
        let (client, mut server) = tcp_pair();
        drop(client);
        // The first one provokes the reset.
        let error = server.write_all(&vec![0; 64 << 20]).unwrap_err();
        assert!(is_gone(error.kind()), "{error}");
        let error = server.write_all(b"!").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    })
    .unwrap();
}

#[test]
fn a_write_to_a_closed_unix_peer_fails_at_once() {
    sched::run(|| {
        let (near, mut far) = UnixStream::pair().unwrap();
        drop(near);
        let error = far.write_all(b"!").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let error = far.write_vectored(&[std::io::IoSlice::new(b"!")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    })
    .unwrap();
}

#[test]
fn a_unix_peer_that_goes_ends_the_wait_for_room() {
    sched::run(|| {
        let (near, mut far) = UnixStream::pair().unwrap();
        let writer = sched::spawn(move || far.write_all(&vec![0; 64 << 20]));
        take_in_events();
        assert!(!writer.is_finished());
        drop(near);
        let error = writer.join().unwrap().unwrap_err();
        assert!(is_gone(error.kind()), "{error}");
    })
    .unwrap();
}

#[test]
fn a_broken_connection_breaks_no_other() {
    sched::run(|| {
        let (mut client, mut server) = tcp_pair();
        let (broken, mut other) = tcp_pair();
        let reader = sched::spawn(move || {
            let mut byte = [0];
            server.read_exact(&mut byte).map(|()| byte[0])
        });
        reset(broken);
        assert!(other.read(&mut [0]).is_err());
        client.write_all(b"!").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), b'!');
    })
    .unwrap();
}

fn is_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
