//! In a simulated network without a way to the peer, TCP does as on Linux: it sends again after
//! longer and longer times, and gives up in the end.

use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use straightline_net::sim::{Link, network, on_host};
use straightline_net::{TcpListener, TcpStream};
use straightline_sched::sim::{self, Sim};
use straightline_sched::{self as sched};

fn server() -> IpAddr {
    [10, 0, 0, 1].into()
}

fn client() -> IpAddr {
    [10, 0, 0, 2].into()
}

fn connect() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("10.0.0.1:80").expect("a free port");
    let stream = on_host(client(), || TcpStream::connect("10.0.0.1:80"));
    (stream.expect("the listener is open"), listener.accept().expect("the client").0)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The virtual time that `body` takes, and its value.
fn time<T>(body: impl FnOnce() -> T) -> (Duration, T) {
    let start = sched::now();
    let value = body();
    (sched::now() - start, value)
}

#[test]
fn data_goes_on_at_the_next_attempt_after_healing() {
    sim::check(|| {
        let (mut near, mut far) = connect();
        network().partition(server(), client());
        near.write_all(b"late").unwrap();
        let partitioned_for = seconds(1 + sched::random_u64() % 300);
        sim::after(partitioned_for, || network().heal(server(), client()));
        let (took, ()) = time(|| far.read_exact(&mut [0; 4]).unwrap());
        assert!(took >= partitioned_for);
        // The time between two attempts doubles, up to 120 s.
        assert!(took <= partitioned_for + (partitioned_for + seconds(1)).min(seconds(121)));
    });
}

#[test]
fn what_was_on_its_way_is_lost_and_sent_again() {
    sim::check(|| {
        network().set_link(Link::default().with_latency(seconds(1)..=seconds(1)));
        let (mut near, mut far) = connect();
        near.write_all(b"under way").unwrap();
        sim::after(Duration::from_millis(500), || network().partition(server(), client()));
        sim::after(Duration::from_millis(1_500), || network().heal(server(), client()));
        let (took, ()) = time(|| far.read_exact(&mut [0; 9]).unwrap());
        assert!(took > Duration::from_millis(1_500 + 1_000), "{took:?}");
    });
}

#[test]
fn all_bytes_arrive_in_order_whatever_is_cut_and_healed() {
    sim::check(|| {
        let mut random = sim::fork_random();
        network().set_link(Link::draw(&mut random));
        let (near, far) = connect();
        for _ in 0..5 {
            let begin = random.duration(Duration::ZERO..=seconds(10));
            let end = begin + random.duration(Duration::ZERO..=seconds(5));
            sim::after(begin, || network().partition(server(), client()));
            sim::after(end, || network().heal(server(), client()));
        }
        sim::after(seconds(16), || network().heal_all());
        let echo = sched::spawn(move || std::io::copy(&mut &far, &mut &far).unwrap());
        for round in 0..20_u8 {
            let bytes = vec![round; 1 + random.index(50)];
            (&near).write_all(&bytes).unwrap();
            let mut echoed = vec![0; bytes.len()];
            (&near).read_exact(&mut echoed).unwrap();
            assert_eq!(echoed, bytes);
            sched::sleep(random.duration(Duration::ZERO..=seconds(1)));
        }
        drop(near);
        echo.join().unwrap();
    });
}

#[test]
fn a_writer_whose_reader_is_cut_off_while_it_has_no_room_goes_on_after_healing() {
    sim::check(|| {
        let small = Link::default().with_send_buffer_bytes(64).with_receive_buffer_bytes(64);
        network().set_link(small);
        let (mut near, mut far) = connect();
        let writer = sched::spawn(move || near.write_all(&[7; 1_000]));
        sched::sleep(seconds(1)); // both buffers are full
        network().partition(server(), client());
        let reader = sched::spawn(move || {
            let mut all = Vec::new();
            far.read_to_end(&mut all).map(|count| assert_eq!(count, 1_000))
        });
        sched::sleep(seconds(30)); // the window updates are lost
        network().heal(server(), client());
        writer.join().unwrap().unwrap();
        reader.join().unwrap().unwrap();
    });
}

#[test]
fn a_handshake_is_tried_after_1_3_7_15_31_and_63_seconds_and_given_up_after_127() {
    for (healed_after, expected) in [(0, 1), (2, 3), (5, 7), (8, 15), (16, 31), (32, 63)] {
        sim::run(1, move || {
            let _listener = TcpListener::bind("10.0.0.1:80").unwrap();
            network().partition(server(), client());
            sim::after(seconds(healed_after), || network().heal(server(), client()));
            let connect = || on_host(client(), || TcpStream::connect("10.0.0.1:80"));
            let (took, stream) = time(connect);
            assert_eq!(took.as_secs(), expected);
            drop(stream.unwrap());
        });
    }
    sim::run(1, || {
        network().isolate(server());
        let connect = || on_host(client(), || TcpStream::connect("10.0.0.1:80"));
        let (took, stream) = time(connect);
        assert_eq!(stream.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(took.as_secs(), 127);
    });
}

#[test]
fn a_handshake_that_is_cut_in_the_middle_is_finished_after_healing() {
    sim::check(|| {
        let way = Duration::from_millis(100);
        network().set_link(Link::default().with_latency(way..=way));
        let listener = TcpListener::bind("10.0.0.1:80").unwrap();
        // Cuts the network while the SYN, the SYN-ACK or the last ACK is under way.
        let cut_after = way.mul_f64([0.5, 1.5, 2.5][sim::fork_random().index(3)]);
        sim::after(cut_after, || network().partition(server(), client()));
        sim::after(cut_after + seconds(1), || network().heal(server(), client()));
        let accepted = sched::spawn(move || time(|| listener.accept().unwrap().0));
        let mut near = on_host(client(), || TcpStream::connect("10.0.0.1:80")).unwrap();
        let (took, mut far) = accepted.join().unwrap();
        assert!(took >= seconds(1), "{took:?}");
        near.write_all(b"!").unwrap();
        far.read_exact(&mut [0]).unwrap();
    });
}

#[test]
fn what_stays_without_an_answer_is_given_up_after_a_quarter_of_an_hour() {
    sim::check(|| {
        let (near, mut far) = connect();
        network().vanish(near.local_addr().unwrap());
        far.write_all(b"answer?").unwrap();
        let (took, result) = time(|| far.read(&mut [0]));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
        // 0.2, 0.4, ... 102.4, and six times 120 seconds, and the round trips.
        assert!((924.6..925.5).contains(&took.as_secs_f64()), "{took:?}");
        assert_eq!(far.write(b"!").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_peer_that_sends_nothing_to_a_vanished_one_waits_without_end() {
    let failure = Sim::new(1).run(|| {
        let (near, mut far) = connect();
        network().vanish(near.local_addr().unwrap());
        drop(near); // the FIN does not arrive
        far.read(&mut [0]).map(drop)
    });
    let failure = failure.unwrap_err().to_string();
    assert!(failure.contains("deadlock") && failure.contains("10.0.0.1:80"), "{failure}");
}

#[test]
fn an_isolated_host_reaches_itself_and_no_other() {
    sim::check(|| {
        let (mut near, mut far) = connect();
        network().isolate(server());
        let own = TcpListener::bind("10.0.0.1:81").unwrap();
        let to_itself = on_host(server(), || TcpStream::connect("10.0.0.1:81")).unwrap();
        drop((to_itself, own.accept().unwrap()));
        near.write_all(b"!").unwrap();
        far.set_read_timeout(Some(seconds(10))).unwrap();
        assert_eq!(far.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
        network().heal_all();
        far.set_read_timeout(None).unwrap();
        far.read_exact(&mut [0]).unwrap();
    });
}
