//! Simulated datagrams are lost, doubled and overtaken as the link's settings say.

use std::io::ErrorKind;
use std::time::Duration;

use straightline_net::UdpSocket;
use straightline_net::sim::{Link, network};
use straightline_sched::{self as sched, sim};

/// How often each of a hundred numbered datagrams arrives.
fn arrivals(link: Link) -> Vec<usize> {
    network().set_link(link);
    let receiver = UdpSocket::bind("10.0.0.1:53").expect("a free port");
    let sender = UdpSocket::bind("10.0.0.2:0").expect("a free port");
    for number in 0..100 {
        sender.send_to(&[number], "10.0.0.1:53").expect("a send");
    }
    sched::sleep(Duration::from_secs(1));
    let mut counts = vec![0; 100];
    let mut number = [0];
    while receiver.try_recv(&mut number).is_ok() {
        counts[usize::from(number[0])] += 1;
    }
    counts
}

#[test]
fn datagrams_are_lost_or_doubled_as_often_as_the_link_says() {
    sim::check(|| {
        assert_eq!(arrivals(Link::default()), [1; 100]);
        let lossy = Link::default().with_datagram_loss_chance(0.5);
        let lost = arrivals(lossy).into_iter().filter(|count| *count == 0).count();
        assert!((20..80).contains(&lost), "{lost}");
        let doubling = Link::default().with_datagram_duplication_chance(1.0);
        assert_eq!(arrivals(doubling), [2; 100]);
    });
}

#[test]
fn datagrams_overtake_each_other() {
    let in_order = |seed| {
        sim::run(seed, || {
            let receiver = UdpSocket::bind("10.0.0.1:53").unwrap();
            let sender = UdpSocket::bind("10.0.0.2:0").unwrap();
            for number in 0..10 {
                sender.send_to(&[number], "10.0.0.1:53").unwrap();
            }
            let receive = |_| {
                let mut number = [0];
                receiver.recv(&mut number).unwrap();
                number[0]
            };
            (0..10).map(receive).is_sorted()
        })
    };
    assert!((0..20).any(|seed| !in_order(seed)));
}

#[test]
fn a_partition_swallows_datagrams_and_refusals() {
    sim::check(|| {
        let sender = UdpSocket::bind("10.0.0.2:0").unwrap();
        sender.connect("10.0.0.1:53").unwrap();
        network().partition([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        sender.send(b"?").unwrap();
        sender.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        assert_eq!(sender.recv(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
        network().heal_all();
        sender.send(b"?").unwrap();
        assert_eq!(sender.recv(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn groups_and_broadcasts_are_refused_in_words() {
    sim::run(1, || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let group = "224.0.0.1".parse().unwrap();
        for result in [
            socket.join_multicast_v4(&group, &"0.0.0.0".parse().unwrap()),
            socket.set_broadcast(true),
            socket.send_to(b"!", "224.0.0.1:9").map(drop),
            socket.send_to(b"!", "255.255.255.255:9").map(drop),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("multicast"), "{error}");
        }
    });
}
