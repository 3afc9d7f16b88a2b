//! Unix sockets, where they differ from TCP.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use straightline_net::{UnixListener, UnixStream};
use straightline_sched as sched;

use crate::both::{kind, on_both, read_to_end};
use crate::common::{SocketPath, pattern};

#[test]
fn a_path_is_listened_on() {
    on_both(|| {
        let path = SocketPath::new();
        assert_eq!(kind(UnixStream::connect(&path)), ErrorKind::NotFound);
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(kind(UnixListener::bind(&path)), ErrorKind::AddrInUse);
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(path.as_ref()));
        assert_eq!(kind(listener.try_accept()), ErrorKind::WouldBlock);
        let mut client = UnixStream::connect(&path).unwrap();
        let (mut server, peer) = listener.accept().unwrap();
        assert!(peer.is_unnamed());
        assert!(client.local_addr().unwrap().is_unnamed());
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(path.as_ref()));
        client.write_all(b"ping").unwrap();
        let mut text = [0; 4];
        server.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"ping");
    });
}

#[test]
fn what_is_written_is_there_at_once() {
    on_both(|| {
        let (mut one, other) = UnixStream::pair().unwrap();
        one.write_all(b"x").unwrap();
        assert_eq!(other.try_read(&mut [0; 8]).unwrap(), 1);
        drop(one);
        assert_eq!(other.try_read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn a_write_to_a_closed_peer_is_a_broken_pipe_at_once() {
    on_both(|| {
        let (mut one, other) = UnixStream::pair().unwrap();
        drop(other);
        for _ in 0..2 {
            assert_eq!(kind(one.write(b"x")), ErrorKind::BrokenPipe);
        }
        assert_eq!(one.read(&mut [0]).unwrap(), 0);
        assert!(one.peer_addr().is_ok() || kind(one.peer_addr()) == ErrorKind::NotConnected);
    });
}

#[test]
fn a_close_with_unread_data_is_a_reset() {
    on_both(|| {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.write_all(b"this is not read!").unwrap();
        other.write_all(b"last words").unwrap();
        drop(other);
        let mut text = [0; 10];
        one.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"last words");
        assert_eq!(kind(one.read(&mut [0])), ErrorKind::ConnectionReset);
        assert_eq!(one.read(&mut [0]).unwrap(), 0);
        assert_eq!(kind(one.write(b"x")), ErrorKind::BrokenPipe);
    });
}

#[test]
fn each_direction_is_shut_down_by_itself() {
    on_both(|| {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        assert_eq!(other.read(&mut [0]).unwrap(), 0);
        assert_eq!(kind(one.write(b"x")), ErrorKind::BrokenPipe);
        other.write_all(b"!").unwrap();
        assert_eq!(one.read(&mut [0; 8]).unwrap(), 1);
        // A write to an end whose read side is shut down fails.
        one.shutdown(Shutdown::Read).unwrap();
        assert_eq!(kind(other.write(b"x")), ErrorKind::BrokenPipe);
        assert_eq!(one.read(&mut [0; 8]).unwrap(), 0);
        drop(other);
        one.shutdown(Shutdown::Both).unwrap(); // no error on a Unix socket
    });
}

#[test]
fn all_of_it_arrives_in_order() {
    on_both(|| {
        let (mut one, other) = UnixStream::pair().unwrap();
        let writer = sched::spawn(move || one.write_all(&pattern(600_000)));
        assert!(read_to_end(other) == pattern(600_000));
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn a_listener_that_closes_resets_the_clients_in_its_queue() {
    on_both(|| {
        let path = SocketPath::new();
        let listener = UnixListener::bind(&path).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        drop(listener);
        let read = client.read(&mut [0]);
        assert!(
            matches!(&read, Err(error) if error.kind() == ErrorKind::ConnectionReset),
            "{read:?}"
        );
        assert_eq!(kind(client.write(b"x")), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_full_backlog_is_waited_for() {
    on_both(|| {
        let path = SocketPath::new();
        let listener = UnixListener::bind(&path).unwrap();
        let place = path.as_ref().to_owned();
        let connecting = sched::spawn(move || {
            (0..400).map(|_| UnixStream::connect(&place).unwrap()).collect::<Vec<_>>().len()
        });
        for _ in 0..400 {
            listener.accept().unwrap();
        }
        assert_eq!(connecting.join().unwrap(), 400);
    });
}
