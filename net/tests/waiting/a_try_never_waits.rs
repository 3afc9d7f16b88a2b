//! `try_accept` and `try_read` take a client or data that has arrived, and never wait.

use std::io::{ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use crate::common::{SocketPath, tcp_pair};
use straightline_net::{TcpListener, TcpStream, UnixListener, UnixStream};
use straightline_sched::{self as sched, Interest};

#[test]
fn a_try_where_nothing_is_would_block() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (client, _server) = tcp_pair();
        let (near, _far) = UnixStream::pair().unwrap();
        for _ in 0..3 {
            assert_eq!(listener.try_accept().unwrap_err().kind(), ErrorKind::WouldBlock);
            assert_eq!(client.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
            assert_eq!(near.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    });
}

#[test]
fn a_try_needs_no_fiber() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(listener.try_accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
    let near = UnixStream::from_std(near).unwrap();
    far.write_all(b"!").unwrap();
    assert_eq!(near.try_read(&mut [0; 8]).unwrap(), 1);
}

#[test]
fn a_try_finds_a_client_that_is_there() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_, peer) = loop {
            match listener.try_accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    listener.wait_readable().unwrap();
                }
                result => break result.unwrap(),
            }
        };
        assert_eq!(peer, client.local_addr().unwrap());
    });
}

#[test]
fn a_try_after_a_wait_finds_what_came() {
    sched::run(|| {
        let (mut client, server) = tcp_pair();
        let reader = sched::spawn(move || {
            let (mut received, mut buffer) = (Vec::new(), [0; 16]);
            loop {
                match server.try_read(&mut buffer) {
                    Ok(0) => return received,
                    Ok(count) => received.extend_from_slice(&buffer[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        server.wait_readable().unwrap();
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        for number in 0..100 {
            client.write_all(&[number]).unwrap();
            if number % 10 == 0 {
                sched::sleep(Duration::from_millis(1));
            }
        }
        drop(client);
        assert!(reader.join().unwrap().into_iter().eq(0..100));
    });
}

#[test]
fn a_try_sees_what_came_after_one_that_found_nothing() {
    sched::run(|| {
        let (near, mut far) = UnixStream::pair().unwrap();
        assert_eq!(near.try_read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        far.write_all(b"late").unwrap();
        assert_eq!(near.try_read(&mut [0; 8]).unwrap(), 4, "four bytes are there");
    });
}

#[test]
fn a_try_sees_what_came_after_one_that_came_back_short() {
    sched::run(|| {
        let (mut client, server) = tcp_pair();
        client.write_all(b"early").unwrap();
        server.wait_readable().unwrap();
        assert_eq!(server.try_read(&mut [0; 8]).unwrap(), 5);
        client.write_all(b"late").unwrap();
        let mut tries = 0..1_000;
        let count = loop {
            match server.try_read(&mut [0; 8]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // The loopback may take a moment to deliver it.
                    assert!(tries.next().is_some(), "four bytes are there");
                    sched::sleep(Duration::from_millis(1));
                }
                result => break result.unwrap(),
            }
        };
        assert_eq!(count, 4);
    });
}

#[test]
fn an_activation_reads_what_it_was_woken_for() {
    sched::run(|| {
        let (mut client, server) = tcp_pair();
        let received = Rc::new(std::cell::RefCell::new(Vec::new()));
        let fiber = sched::spawn_stackless({
            let received = Rc::clone(&received);
            move || {
                let mut buffer = [0; 4];
                loop {
                    match server.try_read(&mut buffer) {
                        Ok(0) => return ControlFlow::Break(()),
                        Ok(count) => received.borrow_mut().extend_from_slice(&buffer[..count]),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::WouldBlock);
                            if server.arm(Interest::Read).unwrap() {
                                return ControlFlow::Continue(());
                            }
                        }
                    }
                }
            }
        });
        for number in 0..50 {
            client.write_all(&[number; 3]).unwrap();
            fiber.fiber().unpark(); // an activation with nothing to read does no harm
            sched::sleep(Duration::from_micros(100));
        }
        drop(client);
        fiber.join().unwrap();
        assert!(received.take().chunks(3).eq((0..50).map(|number| [number; 3])));
    });
}

#[test]
fn a_unix_listener_does_not_wait_either() {
    sched::run(|| {
        let path = SocketPath::new();
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.try_accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        let mut client = UnixStream::connect(&path).unwrap();
        listener.wait_readable().unwrap();
        let (mut server, _) = listener.try_accept().unwrap();
        client.write_all(b"!").unwrap();
        server.read_exact(&mut [0]).unwrap();
        assert_eq!(listener.try_accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}
