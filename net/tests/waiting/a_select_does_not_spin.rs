//! A `select` on a socket that the system reports as ready, and that has nothing: the fiber looks
//! once or twice, finds an end or an error, or waits.

#![cfg(target_os = "linux")] // a shutdown of a UDP socket, and its error queue, are Linux's

use std::io::ErrorKind;
use std::net;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream};
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};
use straightline_net::{UdpSocket, UnixListener};
use straightline_sched::sync::{after, select};
use straightline_sched::{self as sched, DriverKind};

use crate::common::{SocketPath, on_a_shard};

#[test]
fn a_datagram_socket_that_was_shut_down_has_an_end() {
    on_a_shard(|| {
        let socket = net::UdpSocket::bind("127.0.0.1:0").expect("the loopback works");
        socket.connect(socket.local_addr().expect("it is bound")).expect("the loopback works");
        let socket = UdpSocket::from_std(socket).expect("a socket");
        let other = socket.as_fd().try_clone_to_owned().expect("a descriptor");
        shutdown(other, Shutdown::Read).expect("an open socket");
        let mut looks = 0;
        loop {
            assert_eq!(select(&[&socket.readable()]), Ok(0));
            looks += 1;
            match socket.try_recv(&mut [0; 8]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => assert!(looks < 4),
                result => break assert_eq!(result.expect("an end"), 0),
            }
        }
    });
}

#[test]
fn a_unix_listener_that_was_shut_down_has_an_error() {
    on_a_shard(|| {
        let listener = StdUnixListener::bind(SocketPath::new()).expect("a path of our own");
        let other = listener.as_fd().try_clone_to_owned().expect("a descriptor");
        let listener = UnixListener::from_std(listener).expect("a listener");
        shutdown(other, Shutdown::Both).expect("an open socket");
        expect_end(&listener);
    });
}

#[test]
fn a_unix_listener_that_was_shut_down_behind_a_connection_has_an_error() {
    on_a_shard(|| {
        let path = SocketPath::new();
        let listener = StdUnixListener::bind(&path).expect("a path of our own");
        let other = listener.as_fd().try_clone_to_owned().expect("a descriptor");
        let listener = UnixListener::from_std(listener).expect("a listener");
        for _ in 0..2 {
            let _client = UnixStream::connect(&path).expect("there is room in the queue");
            drop(listener.try_accept().expect("it is in the queue"));
        }
        assert_eq!(listener.try_accept().expect_err("none").kind(), ErrorKind::WouldBlock);
        let _client = UnixStream::connect(&path).expect("there is room in the queue");
        drop(listener.try_accept().expect("it is in the queue"));
        shutdown(other, Shutdown::Both).expect("an open socket");
        expect_end(&listener);
    });
}

/// The listener has an error, which is found after a few looks.
fn expect_end(listener: &UnixListener) {
    let mut looks = 0;
    loop {
        assert_eq!(select(&[&listener.readable()]), Ok(0));
        looks += 1;
        match listener.try_accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => assert!(looks < 4),
            result => break drop(result.expect_err("an end")),
        }
    }
}

#[test]
fn an_error_queue_that_no_program_reads_is_not_ready_for_ever() {
    on_a_shard(|| {
        // No socket has this port: the system's answer to a datagram goes into the error queue.
        let closed = net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = closed.local_addr().expect("it is bound");
        drop(closed);
        let socket = net::UdpSocket::bind("127.0.0.1:0").expect("the loopback works");
        socket.connect(address).expect("the loopback works");
        keep_errors(&socket);
        let socket = UdpSocket::from_std(socket).expect("a socket");
        socket.send(b"x").expect("there is room");
        let limit = after(Duration::from_millis(100));
        let (mut looks, mut errors) = (0, 0);
        while select(&[&socket.readable(), &limit]) == Ok(0) {
            looks += 1;
            let error = socket.try_recv(&mut [0; 8]).expect_err("no datagram comes");
            errors += u32::from(error.kind() == ErrorKind::ConnectionRefused);
        }
        assert_eq!(errors, 1);
        // A oneshot driver reports the queue at each wait: see `docs/drivers.md`.
        if sched::driver_kind() == Some(DriverKind::Epoll) {
            assert!(looks < 10, "it looked {looks} times, so it did not wait");
        }
    });
}

/// Makes the system keep the errors of a socket in its error queue (`IP_RECVERR`).
#[allow(unsafe_code)]
fn keep_errors(socket: &net::UdpSocket) {
    let on: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of_val(&on)).expect("a small number");
    // SAFETY: the value is an int that lives through the call, and `size` is its size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_RECVERR,
            (&raw const on).cast(),
            size,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
