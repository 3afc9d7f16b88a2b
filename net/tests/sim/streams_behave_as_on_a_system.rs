//! In a simulation a TCP connection behaves as on a real system, on any network.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use straightline_net::sim::{Link, network};
use straightline_net::{TcpListener, TcpStream};
use straightline_sched::{self as sched, sim};

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("10.0.0.1:80").expect("a free port");
    let client = TcpStream::connect("10.0.0.1:80").expect("the listener is open");
    (client, listener.accept().expect("the client").0)
}

/// Waits until everything that is under way has arrived.
fn settle() {
    sched::sleep(Duration::from_secs(5));
}

#[test]
fn all_bytes_arrive_in_order_over_any_link() {
    sim::check(|| {
        let mut random = sim::fork_random();
        network().set_link(Link::draw(&mut random));
        let (client, server) = tcp_pair();
        let length = random.index(20_000);
        let bytes: Rc<[u8]> = (0..length).map(|index| (index % 251).to_le_bytes()[0]).collect();
        let echo = sched::spawn(move || std::io::copy(&mut &server, &mut &server).unwrap());
        let client = Rc::new(client);
        let writer = sched::spawn({
            let (client, bytes) = (Rc::clone(&client), Rc::clone(&bytes));
            move || {
                (&*client).write_all(&bytes).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            }
        });
        let mut echoed = Vec::new();
        (&*client).read_to_end(&mut echoed).unwrap();
        assert!(*echoed == *bytes);
        writer.join().unwrap();
        assert_eq!(echo.join().unwrap(), length as u64);
    });
}

#[test]
fn the_end_comes_after_all_data_and_stays() {
    sim::check(|| {
        let (mut client, mut server) = tcp_pair();
        client.write_all(b"last words").unwrap();
        drop(client);
        let mut text = String::new();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "last words");
        for _ in 0..3 {
            assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
        }
    });
}

#[test]
fn what_has_arrived_is_read_before_a_reset_and_the_error_comes_once() {
    sim::check(|| {
        let (mut client, mut server) = tcp_pair();
        server.write_all(b"unread").unwrap();
        client.write_all(b"before the reset").unwrap();
        settle();
        drop(client); // unread data: a reset
        settle();
        let mut buffer = [0; 100];
        assert_eq!(server.read(&mut buffer).unwrap(), 16);
        let error = server.read(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(server.read(&mut buffer).unwrap(), 0);
        assert_eq!(server.write(b"!").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(server.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        let error = server.shutdown(Shutdown::Write).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn a_write_brings_the_error_once_and_then_a_broken_pipe() {
    sim::check(|| {
        let (client, mut server) = tcp_pair();
        server.write_all(b"unread").unwrap();
        settle();
        drop(client);
        settle();
        assert_eq!(server.write(b"!").unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(server.write(b"!").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn a_peer_that_has_closed_answers_data_with_a_reset() {
    sim::check(|| {
        let (client, mut server) = tcp_pair();
        drop(client);
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
        server.write_all(b"too late").unwrap(); // the first one provokes the reset
        settle();
        for _ in 0..2 {
            assert_eq!(server.write(b"!").unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
    });
}

#[test]
fn a_direction_that_is_shut_down_leaves_the_other() {
    sim::check(|| {
        let (mut client, mut server) = tcp_pair();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.write(b"!").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
        server.write_all(b"still here").unwrap();
        client.read_exact(&mut [0; 10]).unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
        settle();
        // Both ends have closed and know it, so the connection has ended.
        let error = client.shutdown(Shutdown::Write).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn a_read_side_that_is_shut_down_is_at_its_end() {
    sim::check(|| {
        let (client, mut server) = tcp_pair();
        let client = Rc::new(client);
        let reader = sched::spawn({
            let client = Rc::clone(&client);
            move || (&*client).read(&mut [0; 8]).unwrap()
        });
        settle();
        client.shutdown(Shutdown::Read).unwrap();
        assert_eq!(reader.join().unwrap(), 0);
        server.write_all(b"x").unwrap();
        settle();
        assert_eq!((&*client).read(&mut [0; 8]).unwrap(), 1); // as on Linux
        assert_eq!((&*client).read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn a_refusal_takes_a_way_there_and_back() {
    sim::check(|| {
        let way = Duration::from_millis(10);
        network().set_link(Link::default().with_latency(way..=way));
        let start = sched::now();
        let error = TcpStream::connect("10.0.0.1:80").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let took = sched::now() - start;
        assert!(took >= 2 * way && took < 3 * way, "{took:?}");
    });
}

#[test]
fn a_writer_of_more_than_fits_waits_until_the_peer_reads() {
    sim::check(|| {
        let small = Link::default().with_send_buffer_bytes(100).with_receive_buffer_bytes(100);
        network().set_link(small);
        let (mut client, mut server) = tcp_pair();
        let writer = sched::spawn(move || client.write_all(&[7; 1_000]));
        settle();
        assert!(!writer.is_finished());
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert_eq!(received, [7; 1_000]);
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn a_timeout_is_one_of_virtual_time() {
    sim::check(|| {
        let (mut client, _server) = tcp_pair();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let start = sched::now();
        assert_eq!(client.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        let took = sched::now() - start;
        assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(31), "{took:?}");
    });
}
