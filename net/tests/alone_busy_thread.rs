//! A peer that has sent or read in time is not late because a fiber kept the thread, or because the
//! process was stopped: the shard finds data that has arrived before it raises a timeout.
//!
//! A program of its own: each test has hundreds of sockets, and keeps the CPU.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use straightline_net::{TcpListener, TcpStream, UnixStream};
use straightline_sched::sim::Sim;
use straightline_sched::sync::{Flag, after, mpsc, select};
use straightline_sched::{self as sched, JoinHandle};

/// More than the driver reports in one poll, and fewer than the usual limit of open descriptors.
const CLIENTS: usize = 400;

/// The timeout of each client.
const TIME: Duration = Duration::from_millis(30);

/// Starts a fiber for each client and lets all of them wait. Then runs `act`, and keeps the thread
/// until the timeouts of all clients have long expired.
fn with_clients<T: 'static>(
    wait: impl Fn(UnixStream) -> T + Copy + 'static,
    act: impl FnOnce(&mut [StdStream]) + 'static,
) -> Vec<T> {
    sched::run(move || {
        let mut far = Vec::new();
        let mut fibers: Vec<JoinHandle<T>> = Vec::new();
        for _ in 0..CLIENTS {
            let (near, client) = StdStream::pair().expect("a pair");
            let near = UnixStream::from_std(near).expect("a socket");
            client.set_nonblocking(true).expect("a socket");
            far.push(client);
            fibers.push(sched::spawn(move || wait(near)));
        }
        // This fiber runs in the same turn as those of the clients, so the shard does not poll its
        // driver in between.
        let busy = sched::spawn(move || {
            act(&mut far);
            let begin = Instant::now();
            while begin.elapsed() < 3 * TIME {
                std::hint::spin_loop();
            }
            far
        });
        let ended = fibers.into_iter().map(|fiber| fiber.join().expect("no panic")).collect();
        drop(busy.join()); // the clients stay open until here
        ended
    })
}

fn send(clients: &mut [StdStream]) {
    clients.iter_mut().for_each(|client| client.write_all(b"in time").expect("room"));
}

#[test]
fn a_read_with_a_timeout_finds_what_was_sent_before() {
    let read = with_clients(
        |mut stream| {
            stream.set_read_timeout(Some(TIME)).unwrap();
            stream.read(&mut [0; 16]).map_err(|error| error.kind())
        },
        send,
    );
    let late = read.iter().filter(|read| **read == Err(ErrorKind::TimedOut)).count();
    assert_eq!(late, 0, "of {CLIENTS}");
    assert!(read.iter().all(|read| *read == Ok(7)));
}

#[test]
fn a_read_under_a_deadline_finds_what_was_sent_before() {
    let read = with_clients(
        |mut stream| sched::deadline(TIME, || stream.read(&mut [0; 16]).unwrap()),
        send,
    );
    assert_eq!(read.iter().filter(|read| read.is_err()).count(), 0, "late of {CLIENTS}");
}

#[test]
fn a_read_under_a_deadline_is_not_repeated_for_ever() {
    // The first read is in time. All later reads are after the deadline, also where data has
    // arrived.
    let read = with_clients(
        |mut stream| {
            sched::deadline(TIME, || {
                loop {
                    assert_ne!(stream.read(&mut [0; 1]).unwrap(), 0);
                    sched::yield_now();
                }
            })
        },
        send,
    );
    assert!(read.iter().all(Result::is_err));
}

#[test]
fn a_write_with_a_timeout_finds_the_room_that_was_made_before() {
    let written = with_clients(
        |mut stream| {
            stream.set_write_timeout(Some(TIME)).unwrap();
            // Writes until a write would have to wait, and then once more.
            while stream.try_write(&[7; 4_096]).is_ok() {}
            stream.write(b"more").map_err(|error| error.kind())
        },
        |clients| {
            for client in clients {
                let mut scratch = [0; 8 * 1024];
                while client.read(&mut scratch).is_ok_and(|count| count > 0) {}
            }
        },
    );
    let failed = written.iter().filter(|written| **written != Ok(4)).count();
    assert_eq!(failed, 0, "of {CLIENTS}");
}

#[test]
fn a_client_that_sends_nothing_is_late_all_the_same() {
    let read = with_clients(
        |mut stream| {
            stream.set_read_timeout(Some(TIME)).unwrap();
            stream.read(&mut [0; 16]).map_err(|error| error.kind())
        },
        |_| {},
    );
    assert!(read.iter().all(|read| *read == Err(ErrorKind::TimedOut)));
}

#[test]
fn what_another_thread_sent_before_is_found_before_the_timeout() {
    sched::run(|| {
        let (sender, received) = mpsc::unbounded();
        let begin = Arc::new(Flag::new());
        let thread = std::thread::spawn({
            let begin = Arc::clone(&begin);
            move || {
                begin.wait().unwrap();
                sender.send("in time").unwrap();
            }
        });
        let waiter =
            sched::spawn(move || select(&[&received, &after(TIME)]).map(|_| received.try_recv()));
        sched::spawn(move || {
            begin.set();
            thread.join().unwrap();
            let start = Instant::now();
            while start.elapsed() < 3 * TIME {}
        });
        assert_eq!(waiter.join().unwrap().unwrap(), Ok("in time"));
    });
}

/// In this simulation the turn of the sending fiber takes longer than the reader's remaining time.
/// So the same poll of the driver finds the data and the expired deadline.
#[test]
fn a_slow_thread_makes_no_peer_late_in_any_history() {
    let cost = TIME * 2;
    for seed in 0..50 {
        let outcome = Sim::new(seed).turn_cost(cost..=cost).run(|| {
            let listener = TcpListener::bind("10.0.0.1:80").unwrap();
            let mut near = TcpStream::connect("10.0.0.1:80").unwrap();
            let (mut far, _) = listener.accept().unwrap();
            let writer = sched::spawn(move || {
                far.write_all(b"in time").unwrap();
                far // open until it was read
            });
            let read = sched::deadline(TIME * 3, || near.read(&mut [0; 16]).unwrap());
            drop(writer.join().unwrap());
            read
        });
        assert_eq!(outcome.unwrap(), Ok(7), "seed {seed}");
    }
}
