//! A read or write that waits too long fails with `TimedOut`, and the socket works as before.

use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::common::tcp_pair;
use straightline_net::{UdpSocket, UnixStream};
use straightline_sched as sched;

const SHORT: Duration = Duration::from_millis(5);

#[test]
fn a_read_times_out_again_and_again() {
    sched::run(|| {
        let (mut near, mut far) = tcp_pair();
        near.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(near.read_timeout().unwrap(), Some(SHORT));
        for round in 0..3 {
            let start = Instant::now();
            let error = near.read(&mut [0; 8]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(start.elapsed() >= SHORT);
            far.write_all(&[round]).unwrap();
            // This read has no timeout, because a slow machine may deliver the data late.
            near.set_read_timeout(None).unwrap();
            let mut buffer = [9; 8];
            assert_eq!(near.read(&mut buffer).unwrap(), 1);
            assert_eq!(buffer[0], round);
            near.set_read_timeout(Some(SHORT)).unwrap();
        }
    });
}

#[test]
fn wakeups_that_mean_something_else_do_not_prolong_it() {
    sched::run(|| {
        let (mut near, _far) = UnixStream::pair().unwrap();
        near.set_read_timeout(Some(SHORT)).unwrap();
        let reader = sched::spawn(move || near.read(&mut [0]));
        // If each of them began the wait anew, this would never end.
        while !reader.is_finished() {
            reader.fiber().unpark();
            sched::sleep(SHORT / 10);
        }
        assert_eq!(reader.join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn a_write_times_out_when_the_peer_does_not_read() {
    sched::run(|| {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.set_write_timeout(Some(SHORT)).unwrap();
        assert_eq!(near.write_timeout().unwrap(), Some(SHORT));
        let mut written = 0_u64;
        let error = loop {
            match near.write(&[7; 4_096]) {
                Ok(count) => written += count as u64,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(near);
        assert_eq!(std::io::copy(&mut far, &mut std::io::sink()).unwrap(), written);
    });
}

#[test]
fn each_direction_has_its_own() {
    sched::run(|| {
        let (near, mut far) = tcp_pair();
        near.set_write_timeout(Some(SHORT)).unwrap();
        let near = Rc::new(near);
        let reader = sched::spawn({
            let near = Rc::clone(&near);
            move || (&*near).read(&mut [0])
        });
        sched::sleep(SHORT * 3);
        assert!(!reader.is_finished());
        far.write_all(b"!").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 1);
        assert_eq!(near.read_timeout().unwrap(), None);
    });
}

#[test]
fn datagrams_time_out_too() {
    sched::run(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(socket.recv_from(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
        socket.send_to(b"!", socket.local_addr().unwrap()).unwrap();
        socket.set_read_timeout(None).unwrap();
        assert_eq!(socket.recv_from(&mut [0]).unwrap().0, 1);
    });
}

#[test]
fn zero_is_no_timeout_and_the_longest_is_none_at_all() {
    sched::run(|| {
        let (near, mut far) = tcp_pair();
        let error = near.set_read_timeout(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = near.set_write_timeout(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        near.set_read_timeout(Some(Duration::MAX)).unwrap();
        let reader = sched::spawn(move || (&near).read(&mut [0]));
        sched::yield_now();
        far.write_all(b"!").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 1);
    });
}
