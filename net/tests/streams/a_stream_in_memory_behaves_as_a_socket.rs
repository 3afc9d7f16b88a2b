//! A stream in memory has the ends, the errors and the waits of a TCP stream, in simulations as
//! well.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use straightline_net::MemoryStream;
use straightline_sched::sync::{Flag, Ready, after, select};
use straightline_sched::{self as sched, Interest, sim};

use crate::common::{on_a_shard, pattern};

const SHORT: Duration = Duration::from_millis(5);

/// Runs `body` on a shard of the system, and in simulations.
fn on_both(body: impl Fn() + Clone + Send + 'static) {
    on_a_shard(body.clone());
    sim::Check::new().seeds(20).run(body);
}

/// Whether it becomes ready within a moment.
fn is_ready(ready: &Ready<'_>) -> bool {
    select(&[ready, &after(SHORT)]) == Ok(0)
}

#[test]
fn many_bytes_pass_through_a_small_one() {
    on_both(|| {
        let sent = pattern(10_000);
        let (client, mut server) = MemoryStream::pair(7);
        let (writer, all) = (Rc::new(client), sent.clone());
        let writing = sched::spawn(move || (&*writer).write_all(&all));
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert!(received == sent);
        writing.join().unwrap().unwrap();
    });
}

#[test]
fn both_directions_flow_at_once() {
    on_both(|| {
        let (client, server) = MemoryStream::pair(64);
        sched::scope(|scope| {
            scope.spawn(|| std::io::copy(&mut &server, &mut &server).map(|_| drop(server)));
            scope.spawn(|| {
                (&client).write_all(&pattern(5_000)).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            });
            let mut received = Vec::new();
            (&client).read_to_end(&mut received).unwrap();
            assert!(received == pattern(5_000));
        });
    });
}

#[test]
fn a_half_closed_stream_goes_on_in_the_other_direction() {
    on_both(|| {
        let (mut client, mut server) = MemoryStream::pair(64);
        client.write_all(b"ask").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut text = String::new();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ask");
        assert!(server.is_peer_gone() && !client.is_peer_gone());
        server.write_all(b"answer").unwrap();
        drop(server);
        text.clear();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");
    });
}

#[test]
fn a_writer_that_waits_hears_that_the_reader_has_left() {
    on_both(|| {
        let (mut client, server) = MemoryStream::pair(4);
        let leaving = sched::spawn(move || {
            sched::sleep(SHORT);
            drop(server);
        });
        assert_eq!(client.write_all(&[0; 9]).unwrap_err().kind(), ErrorKind::BrokenPipe);
        leaving.join().unwrap();
    });
}

#[test]
fn a_reset_ends_both_ends_and_their_waits() {
    on_both(|| {
        let (client, mut server) = MemoryStream::pair(4);
        let client = Rc::new(client);
        let reading = sched::spawn({
            let client = Rc::clone(&client);
            move || (&*client).read(&mut [0; 4])
        });
        sched::yield_now();
        client.reset();
        let of = |result: std::io::Result<usize>| result.unwrap_err().kind();
        assert_eq!(of(reading.join().unwrap()), ErrorKind::ConnectionReset);
        assert_eq!(of(server.read(&mut [0; 4])), ErrorKind::ConnectionReset);
        assert_eq!(of(server.write(b"x")), ErrorKind::ConnectionReset);
    });
}

#[test]
fn timeouts_are_errors_and_lose_nothing() {
    on_both(|| {
        let (mut client, mut server) = MemoryStream::pair(4);
        let zero = client.set_read_timeout(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::InvalidInput);
        server.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(server.read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::TimedOut);
        client.set_write_timeout(Some(SHORT)).unwrap();
        assert_eq!(client.write(&[1; 9]).unwrap(), 4);
        assert_eq!(client.write(&[1; 9]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(server.read(&mut [0; 9]).unwrap(), 4);
        assert_eq!(client.write(&[1; 9]).unwrap(), 4);
    });
}

#[test]
fn a_deadline_or_a_cancel_in_a_read_loses_nothing() {
    on_both(|| {
        let (mut client, server) = MemoryStream::pair(8);
        let server = Rc::new(server);
        assert!(sched::deadline(SHORT, || (&*server).read(&mut [0; 8])).is_err());
        let reading = sched::spawn({
            let server = Rc::clone(&server);
            move || (&*server).read(&mut [0; 8])
        });
        sched::yield_now();
        reading.cancel();
        client.write_all(b"later").unwrap();
        assert!(reading.join().unwrap_err().is_cancelled());
        assert_eq!((&*server).read(&mut [0; 8]).unwrap(), 5);
    });
}

#[test]
fn a_select_sees_its_state() {
    on_both(|| {
        let (mut client, mut server) = MemoryStream::pair(2);
        assert!(!is_ready(&server.readable()));
        assert!(is_ready(&client.writable()));
        client.write_all(b"ab").unwrap();
        assert!(!is_ready(&client.writable()));
        for _ in 0..2 {
            assert!(is_ready(&server.readable()));
            assert_eq!(server.read(&mut [0]).unwrap(), 1);
        }
        assert!(is_ready(&client.writable()));
        assert!(!is_ready(&server.readable()));
        let stop = Rc::new(Flag::new());
        let stopping = Rc::clone(&stop);
        let stopper = sched::spawn(move || stopping.set());
        assert_eq!(select(&[&server.readable(), &*stop]), Ok(1));
        stopper.join().unwrap();
        drop(client);
        assert!(is_ready(&server.readable()));
    });
}

#[test]
fn tries_do_not_wait_and_need_no_fiber() {
    let (client, server) = MemoryStream::pair(4);
    let would_block = |result: std::io::Result<usize>| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
    };
    assert!(server.is_drained());
    would_block(server.try_read(&mut [0; 4]));
    assert_eq!(server.try_read(&mut []).unwrap(), 0);
    let slices = [IoSlice::new(b"a"), IoSlice::new(b""), IoSlice::new(b"bcde")];
    assert_eq!(client.try_write_vectored(&slices).unwrap(), 4);
    would_block(client.try_write(b"x"));
    assert_eq!(client.try_write(b"").unwrap(), 0);
    assert_eq!(client.unacknowledged(), Some(4));
    let mut buffer = [0; 8];
    assert_eq!(server.try_read(&mut buffer).unwrap(), 4);
    assert_eq!(&buffer[..4], b"abcd");
    client.shutdown(Shutdown::Both).unwrap();
    assert_eq!(client.try_read(&mut buffer).unwrap(), 0);
    assert_eq!(server.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_resting_fiber_is_woken_by_bytes_and_by_the_end() {
    on_both(|| {
        let (mut client, server) = MemoryStream::pair(64);
        let received = Rc::new(Flag::new());
        let resting = sched::spawn_stackless({
            let received = Rc::clone(&received);
            move || {
                loop {
                    match server.try_read(&mut [0; 64]) {
                        Ok(0) => return ControlFlow::Break(()),
                        Ok(_) => received.set(),
                        Err(_) if server.arm(Interest::Read).unwrap() => {
                            return ControlFlow::Continue(());
                        }
                        Err(_) => {}
                    }
                }
            }
        });
        for _ in 0..3 {
            sched::yield_now();
            received.clear();
            client.write_all(b"x").unwrap();
            received.wait().unwrap();
        }
        drop(client);
        resting.join().unwrap();
    });
}

#[test]
fn a_wait_says_whether_it_ended_in_time() {
    on_both(|| {
        let (mut client, server) = MemoryStream::pair(4);
        assert!(!server.wait_until(Interest::Read, Some(sched::now() + SHORT)).unwrap());
        assert!(client.wait_until(Interest::Write, Some(sched::now() + SHORT)).unwrap());
        client.write_all(b"x").unwrap();
        assert!(server.wait_until(Interest::Read, None).unwrap());
    });
}
