//! Unix sockets: a path names at most one listener, and a pair needs none.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use crate::common::SocketPath;
use socket2::{Domain, SockAddr, Socket, Type};
use straightline_net::{UnixListener, UnixStream};
use straightline_sched as sched;

#[test]
fn a_listener_and_a_client_talk() {
    sched::run(|| {
        let path = SocketPath::new();
        let listener = UnixListener::bind(&path).unwrap();
        let server = sched::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            std::io::copy(&mut &stream, &mut &stream).unwrap()
        });
        let mut client = UnixStream::connect(&path).unwrap();
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(path.as_ref()));
        client.write_all(b"straight").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "straight");
        assert_eq!(server.join().unwrap(), 8);
    });
}

#[test]
fn a_path_in_use_cannot_be_bound() {
    sched::run(|| {
        let path = SocketPath::new();
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(path.as_ref()));
        assert_eq!(UnixListener::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn a_path_without_a_listener_refuses() {
    sched::run(|| {
        let path = SocketPath::new();
        assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::NotFound);
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_path_that_is_too_long_is_an_error() {
    sched::run(|| {
        let path = "x".repeat(1_000);
        assert!(UnixListener::bind(&path).is_err());
        assert!(UnixStream::connect(&path).is_err());
    });
}

#[test]
fn a_pair_goes_both_ways_and_ends() {
    sched::run(|| {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let other = sched::spawn(move || {
            let mut question = [0; 8];
            far.read_exact(&mut question).unwrap();
            far.write_all(b"answer").unwrap();
            question
        });
        near.write_all(b"question").unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
        assert_eq!(&other.join().unwrap(), b"question");
    });
}

#[test]
fn a_connect_waits_for_room_in_the_backlog() {
    const CLIENTS: usize = 50;
    sched::run(|| {
        let path = SocketPath::new();
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(5).unwrap();
        let listener = UnixListener::from_std(socket.into()).unwrap();
        let to = path.as_ref().to_owned();
        let clients = sched::spawn(move || {
            for _ in 0..CLIENTS {
                UnixStream::connect(&to).unwrap(); // and closes it: it stays in the backlog
            }
        });
        sched::sleep(Duration::from_millis(1));
        assert!(!clients.is_finished(), "the backlog is bounded");
        for _ in 0..CLIENTS {
            listener.accept().unwrap();
        }
        clients.join().unwrap();
    });
}
