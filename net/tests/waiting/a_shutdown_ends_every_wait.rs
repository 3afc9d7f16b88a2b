//! A shutdown of a socket ends the calls that wait for it, and the calls that begin afterwards.
//! They return what the standard library's blocking calls return. Where the system returns
//! `WouldBlock` for ever, a loop of waits does not keep the thread: other fibers run, and deadlines
//! expire.

#![cfg(target_os = "linux")] // elsewhere a listener or a UDP socket has no shutdown

use std::io::{ErrorKind, Read, Write};
use std::net;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener as StdUnixListener};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{SocketPath, on_a_shard};
use rustix::net::{Shutdown, shutdown};
use straightline_net::{TcpListener, UdpSocket, UnixListener, UnixStream};
use straightline_sched::{self as sched, Interest, Source};

/// Another descriptor of the same socket, as another process may have it.
fn another(socket: &impl AsFd) -> OwnedFd {
    socket.as_fd().try_clone_to_owned().expect("a descriptor")
}

/// A UDP socket that is its own peer, and another descriptor of it.
fn datagrams() -> (Rc<UdpSocket>, OwnedFd) {
    let socket = net::UdpSocket::bind("127.0.0.1:0").expect("the loopback works");
    socket.connect(socket.local_addr().expect("the socket is bound")).expect("the loopback works");
    let other = another(&socket);
    (Rc::new(UdpSocket::from_std(socket).expect("a socket")), other)
}

/// A Unix listener whose file is already removed, and another descriptor of it.
fn unix_listener() -> (Rc<UnixListener>, OwnedFd) {
    let listener = StdUnixListener::bind(SocketPath::new()).expect("a path of our own");
    let other = another(&listener);
    (Rc::new(UnixListener::from_std(listener).expect("a listener")), other)
}

/// Starts `wait`, shuts the socket down while `wait` waits, and returns the result of `wait`.
fn while_it_waits<T: 'static>(
    socket: &OwnedFd,
    how: Shutdown,
    wait: impl FnOnce() -> T + 'static,
) -> T {
    let waiter = sched::spawn(wait);
    (0..3).for_each(|_| sched::yield_now());
    shutdown(socket, how).expect("an open socket");
    waiter.join().expect("the fiber returns")
}

#[test]
fn of_datagrams_there_is_an_end() {
    for how in [Shutdown::Read, Shutdown::Both] {
        on_a_shard(move || {
            let (socket, other) = datagrams();
            let waiting = Rc::clone(&socket);
            let count = while_it_waits(&other, how, move || waiting.recv(&mut [0; 8]));
            assert_eq!(count.expect("an end"), 0);
            // The calls that follow get the end as well.
            assert_eq!(socket.recv(&mut [0; 8]).expect("an end"), 0);
            assert_eq!(socket.peek(&mut [0; 8]).expect("an end"), 0);
            assert_eq!(socket.try_recv(&mut [0; 8]).expect("an end"), 0);
            // An end has no sender, so the standard library returns an error.
            let error = socket.recv_from(&mut [0; 8]).expect_err("an end has no sender");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let error = socket.try_recv_from(&mut [0; 8]).expect_err("an end has no sender");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        });
    }
}

#[test]
fn a_call_that_begins_after_the_shutdown_ends_as_well() {
    on_a_shard(|| {
        let (socket, other) = datagrams();
        shutdown(&other, Shutdown::Read).expect("an open socket");
        assert_eq!(socket.recv(&mut [0; 8]).expect("an end"), 0);
        let (listener, other) = unix_listener();
        shutdown(&other, Shutdown::Both).expect("an open socket");
        let error = listener.accept().map(drop).expect_err("the listener is shut down");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_datagram_that_was_there_before_is_received() {
    on_a_shard(|| {
        let (socket, other) = datagrams();
        socket.send(b"before").expect("the loopback works");
        shutdown(&other, Shutdown::Read).expect("an open socket");
        assert_eq!(socket.recv(&mut [0; 8]).expect("a datagram"), 6);
        assert_eq!(socket.recv(&mut [0; 8]).expect("an end"), 0);
    });
}

#[test]
fn a_listener_says_that_it_listens_no_more() {
    on_a_shard(|| {
        let (listener, other) = unix_listener();
        let waiting = Rc::clone(&listener);
        let accepted = while_it_waits(&other, Shutdown::Both, move || waiting.accept().map(drop));
        assert_eq!(accepted.expect_err("no client comes").kind(), ErrorKind::InvalidInput);
        for _ in 0..200 {
            let error = listener.try_accept().map(drop).expect_err("no client comes");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            listener.wait_readable().expect("a wait is no error");
        }
        let tcp = Rc::new(TcpListener::bind("127.0.0.1:0").expect("a port"));
        let (waiting, other) = (Rc::clone(&tcp), another(&*tcp));
        let accepted = while_it_waits(&other, Shutdown::Both, move || waiting.accept().map(drop));
        assert_eq!(accepted.expect_err("no client comes").kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_client_in_the_queue_of_a_listener_is_accepted() {
    on_a_shard(|| {
        let path = SocketPath::new();
        let listener = StdUnixListener::bind(&path).expect("a path of our own");
        let other = another(&listener);
        let mut client =
            std::os::unix::net::UnixStream::connect(&path).expect("the listener is open");
        let listener = UnixListener::from_std(listener).expect("a listener");
        shutdown(&other, Shutdown::Both).expect("an open socket");
        let (mut stream, _) = listener.accept().expect("the client");
        client.write_all(b"!").expect("an open stream");
        assert_eq!(stream.read(&mut [0; 8]).expect("what was sent"), 1);
        assert!(listener.accept().is_err());
    });
}

/// The loop in the documentation of `Source`, over a socket that never returns an end or an error.
fn receive(source: &Source<UnixDatagram>) -> std::io::Result<usize> {
    loop {
        match source.inner().recv(&mut [0; 8]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => source.wait(Interest::Read)?,
            result => return result,
        }
    }
}

#[test]
fn a_loop_over_a_source_does_not_keep_the_thread() {
    on_a_shard(|| {
        let (near, _far) = UnixDatagram::pair().expect("a pair");
        near.set_nonblocking(true).expect("a socket");
        let other = another(&near);
        let source = Source::new(near);
        let start = sched::stats().turns;
        let waiter = sched::spawn(move || {
            let in_time = sched::deadline(Duration::from_millis(300), || receive(&source));
            (in_time.is_ok(), source.is_read_closed())
        });
        sched::yield_now();
        shutdown(&other, Shutdown::Both).expect("an open socket");
        // Other fibers run meanwhile, and the deadline expires.
        assert_eq!(waiter.join().expect("the fiber returns"), (false, true));
        let turns = sched::stats().turns - start;
        assert!(turns < 2_000, "the loop waits between two tries: {turns} turns");
    });
}

#[test]
fn a_task_and_an_activation_that_only_look_let_others_run() {
    on_a_shard(|| {
        let (near, _far) = UnixDatagram::pair().expect("a pair");
        near.set_nonblocking(true).expect("a socket");
        let other = another(&near);
        let source = Rc::new(Source::new(near));
        let polled = Rc::clone(&source);
        let task = sched::spawn(move || {
            sched::deadline(Duration::from_millis(50), || {
                sched::block_on(std::future::poll_fn(|cx| {
                    while polled.poll_ready(Interest::Read, cx).is_ready() {}
                    std::task::Poll::<()>::Pending
                }))
            })
            .is_err()
        });
        let armed = Rc::clone(&source);
        let activations = sched::spawn_stackless(move || {
            while matches!(armed.arm(Interest::Read), Ok(false)) {}
            std::ops::ControlFlow::Continue(())
        });
        sched::yield_now();
        shutdown(&other, Shutdown::Read).expect("an open socket");
        assert!(task.join().expect("its deadline fires"));
        activations.cancel();
        assert!(
            activations.join().expect_err("the fiber rests when it is cancelled").is_cancelled()
        );
    });
}

/// A socket of a kind that `number` chooses: a call that waits for it, and another descriptor of
/// it.
fn any_socket(number: u64) -> (Rc<dyn Fn() -> bool>, OwnedFd) {
    match number % 4 {
        0 => {
            let (socket, other) = datagrams();
            (Rc::new(move || socket.recv(&mut [0; 8]).is_ok()), other)
        }
        1 => {
            let (listener, other) = unix_listener();
            (Rc::new(move || listener.accept().is_ok()), other)
        }
        2 => {
            let listener = net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let other = another(&listener);
            let listener = TcpListener::from_std(listener).expect("a listener");
            (Rc::new(move || listener.accept().is_ok()), other)
        }
        _ => {
            let (near, far) = std::os::unix::net::UnixStream::pair().expect("a pair");
            let other = another(&near);
            let near = UnixStream::from_std(near).expect("a stream");
            (
                Rc::new(move || {
                    far.as_fd().try_clone_to_owned().is_ok() && (&near).read(&mut [0; 8]).is_ok()
                }),
                other,
            )
        }
    }
}

#[test]
fn every_wait_ends_whatever_is_shut_down_under_it() {
    on_a_shard(|| {
        for round in 0..400 {
            let (wait, other) = any_socket(round);
            let draw = |below: u64| sched::random_u64() % below;
            let waiters: Vec<_> = (0..=draw(3))
                .map(|_| {
                    let (wait, time) = (Rc::clone(&wait), Duration::from_micros(draw(3_000)));
                    let has_deadline = draw(2) == 0;
                    sched::spawn(move || {
                        // The deadline, the cancel or the shutdown may end the wait. The test only
                        // requires that it ends.
                        let _ = if has_deadline {
                            sched::deadline(time, || wait())
                        } else {
                            Ok(wait())
                        };
                    })
                })
                .collect();
            (0..draw(4)).for_each(|_| sched::yield_now());
            if draw(3) == 0 {
                waiters[0].cancel();
            }
            let how = if draw(2) == 0 { Shutdown::Read } else { Shutdown::Both };
            // A second shutdown fails if the socket is not connected any more.
            let _ = shutdown(&other, how);
            // A call that begins after the shutdown.
            let late = sched::spawn(move || {
                wait();
            });
            for waiter in waiters.into_iter().chain([late]) {
                let ended = waiter.join();
                assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()));
            }
        }
    });
}
