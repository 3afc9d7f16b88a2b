//! The next reader gets the data that arrives after a reader was cancelled.

use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{joined_unless_it_hangs, take_in_events, tcp_pair};
use straightline_net::{TcpListener, TcpStream, UnixStream};
use straightline_sched as sched;

/// Cancels a fiber that waits in a read of `stream`.
fn cancel_a_reader<S: 'static>(stream: &Rc<S>)
where
    for<'s> &'s S: Read,
{
    let reader = sched::spawn({
        let stream = Rc::clone(stream);
        move || (&*stream).read(&mut [0; 8])
    });
    take_in_events();
    reader.cancel();
    assert!(reader.join().expect_err("the reader was cancelled").is_cancelled());
}

#[test]
fn the_next_reader_of_a_tcp_stream_gets_what_came_since() {
    sched::run(|| {
        let (mut client, server) = tcp_pair();
        let server = Rc::new(server);
        cancel_a_reader(&server);
        client.write_all(b"late").unwrap();
        take_in_events();
        let received = joined_unless_it_hangs(move || {
            let mut buffer = [0; 4];
            (&*server).read_exact(&mut buffer).map(|()| buffer)
        });
        assert_eq!(&received.unwrap().unwrap(), b"late");
    });
}

#[test]
fn the_next_reader_of_a_unix_stream_gets_what_came_since() {
    sched::run(|| {
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = Rc::new(near);
        cancel_a_reader(&near);
        far.write_all(b"late").unwrap();
        take_in_events();
        let received = joined_unless_it_hangs(move || {
            let mut buffer = [0; 4];
            (&*near).read_exact(&mut buffer).map(|()| buffer)
        });
        assert_eq!(&received.unwrap().unwrap(), b"late");
    });
}

#[test]
fn the_next_reader_gets_what_the_cancelled_one_was_woken_for() {
    sched::run(|| {
        let (mut client, server) = tcp_pair();
        let (mut signal, mut signalled) = tcp_pair();
        let server = Rc::new(server);
        let reader = sched::spawn({
            let server = Rc::clone(&server);
            move || (&*server).read(&mut [0; 8])
        });
        let canceller = sched::spawn(move || {
            signalled.read_exact(&mut [0]).unwrap();
            reader.cancel();
            reader.join().map(drop)
        });
        take_in_events();
        // Both events come in one poll of the driver, the canceller's first.
        signal.write_all(b"!").unwrap();
        client.write_all(b"late").unwrap();
        assert!(canceller.join().unwrap().unwrap_err().is_cancelled());
        let received = joined_unless_it_hangs(move || {
            let mut buffer = [0; 4];
            (&*server).read_exact(&mut buffer).map(|()| buffer)
        });
        assert_eq!(&received.unwrap().unwrap(), b"late");
    });
}

#[test]
fn a_reader_that_was_there_already_is_not_disturbed() {
    sched::run(|| {
        let (mut client, server) = tcp_pair();
        let server = Rc::new(server);
        let other = sched::spawn({
            let server = Rc::clone(&server);
            move || {
                let mut buffer = [0; 4];
                (&*server).read_exact(&mut buffer).map(|()| buffer)
            }
        });
        cancel_a_reader(&server);
        client.write_all(b"late").unwrap();
        assert_eq!(&other.join().unwrap().unwrap(), b"late");
    });
}

#[test]
fn the_next_acceptor_gets_the_client_that_came_since() {
    sched::run(|| {
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let acceptor = sched::spawn({
            let listener = Rc::clone(&listener);
            move || listener.accept()
        });
        take_in_events();
        acceptor.cancel();
        assert!(acceptor.join().unwrap_err().is_cancelled());
        let client = TcpStream::connect(address).unwrap();
        take_in_events();
        let (_, peer) = joined_unless_it_hangs(move || listener.accept()).unwrap().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    });
}

#[test]
fn the_next_writer_finds_the_room_that_came_since() {
    sched::run(|| {
        let (client, mut server) = tcp_pair();
        let client = Rc::new(client);
        let writer = sched::spawn({
            let client = Rc::clone(&client);
            move || (&*client).write_all(&vec![0; 64 << 20])
        });
        take_in_events();
        writer.cancel();
        assert!(writer.join().unwrap_err().is_cancelled());
        let drain = sched::spawn(move || std::io::copy(&mut server, &mut std::io::sink()));
        take_in_events();
        let written = joined_unless_it_hangs(move || (&*client).write_all(&vec![0; 8 << 20]));
        written.unwrap().unwrap();
        drain.join().unwrap().unwrap();
    });
}

#[test]
fn a_read_that_is_over_is_not_undone_by_a_deadline() {
    let received = sched::run_with(sched::Config::default(), || {
        let (mut near, far) = UnixStream::pair().expect("a pair of sockets");
        near.write_all(&[7; BYTES]).expect("there is room");
        let mut received = 0;
        // Far more tries than bytes. A fiber that reads again and again without a wait passes a
        // checkpoint, and some deadlines are raised there.
        for _ in 0..4 * BYTES {
            let read = sched::deadline(Duration::ZERO, || (&far).read(&mut [0]));
            match read {
                Ok(read) => received += read.expect("the socket is open"),
                Err(_) => sched::yield_now(), // resets the distance to the checkpoint
            }
            if received == BYTES {
                break;
            }
        }
        received
    });
    assert_eq!(received.unwrap(), BYTES);
}

const BYTES: usize = 1_000;
