//! While a fiber unwinds, the blocking calls of sockets do not wait. They do what is possible
//! without a wait, and return.

use std::io::{self, BufWriter, Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use crate::common::{OnDrop, SocketPath, on_a_shard};
use straightline_net::{TcpListener, TcpStream, UnixStream};
use straightline_sched as sched;

/// What `call` returns in a destructor of a fiber that panics.
fn in_a_destructor<T: 'static>(mut call: impl FnMut() -> T + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let fiber = sched::spawn(move || {
        let _guard = OnDrop(move || drop(sender.send(call())));
        panic!("broken");
    });
    assert!(fiber.join().expect_err("a panic").is_panic());
    receiver.recv().expect("the destructor has run")
}

#[test]
fn a_read_that_would_wait_is_an_error() {
    sched::run(|| {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        far.write_all(b"!").unwrap();
        let (first, second): (io::Result<_>, io::Result<_>) =
            in_a_destructor(move || (near.read(&mut [0; 8]), near.read(&mut [0; 8])));
        assert_eq!(first.unwrap(), 1);
        assert!(second.is_err());
    });
}

#[test]
fn an_accept_that_would_wait_is_an_error() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(in_a_destructor(move || listener.accept().map(drop)).is_err());
    });
}

#[test]
fn a_farewell_that_fits_is_sent() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        in_a_destructor(move || client.write_all(b"farewell")).unwrap();
        let mut received = String::new();
        server.read_to_string(&mut received).unwrap();
        assert_eq!(received, "farewell");
    });
}

#[test]
fn a_write_that_does_not_fit_is_an_error() {
    sched::run(|| {
        let (mut near, _far) = UnixStream::pair().unwrap();
        assert!(in_a_destructor(move || near.write_all(&vec![0; 64 << 20])).is_err());
    });
}

#[test]
fn a_connect_to_a_full_unix_listener_is_an_error() {
    let path = SocketPath::new();
    let address = socket2::SockAddr::unix(&path).unwrap();
    let listener =
        socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    listener.bind(&address).unwrap();
    listener.listen(0).unwrap();
    let first = std::os::unix::net::UnixStream::connect(&path).unwrap(); // the backlog is full

    // If the test hangs, its shard is left running: a loop that never waits cannot be cancelled.
    let is_refused =
        on_a_shard(move || in_a_destructor(move || UnixStream::connect(&path).is_err()));
    assert!(is_refused);
    drop((first, listener));
}

/// A stream that has no room, and its other end.
fn full_stream() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair");
    while near.try_write(&[0; 4_096]).is_ok() {}
    (near, far)
}

#[test]
fn what_a_buffer_loses_to_a_deadline_is_counted() {
    sched::run(|| {
        let (near, _far) = full_stream();
        let mut buffer = BufWriter::new(near);
        buffer.write_all(b"never to be seen").unwrap();
        let in_time = sched::deadline(Duration::from_millis(5), || buffer.flush());
        assert!(in_time.is_err());
        drop(buffer); // a drop after an unwind writes nothing
        assert_eq!(sched::stats().writes_unwound, 1);
    });
}

#[test]
fn what_an_unwinding_fiber_cannot_write_is_counted() {
    sched::run(|| {
        let (near, _far) = full_stream();
        let mut buffer = BufWriter::new(near);
        buffer.write_all(b"never to be seen").unwrap();
        let fiber = sched::spawn(move || {
            let _buffer = buffer;
            sched::park();
        });
        sched::yield_now();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert_eq!(sched::stats().writes_unwound, 1);
        // A write that finds room does not count, and neither does a write that returns an error.
        let (mut near, _far) = UnixStream::pair().unwrap();
        near.write_all(b"!").unwrap();
        let (mut near, _far) = full_stream();
        near.set_write_timeout(Some(Duration::from_millis(1))).unwrap();
        assert!(near.write_all(b"!").is_err());
        assert_eq!(sched::stats().writes_unwound, 1);
    });
}
