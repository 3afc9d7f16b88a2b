//! UDP: each receive returns one datagram and its sender. A buffer that is too short cuts the
//! datagram off.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::rc::Rc;

use straightline_net::UdpSocket;
use straightline_sched as sched;

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").expect("a free port")
}

#[test]
fn each_receive_is_one_datagram_and_says_who_sent_it() {
    sched::run(|| {
        let (server, one, other) = (socket(), socket(), socket());
        let address = server.local_addr().unwrap();
        let receiver = sched::spawn(move || {
            (0..6)
                .map(|_| {
                    let mut buffer = [0; 8];
                    let (count, from) = server.recv_from(&mut buffer).unwrap();
                    (buffer[..count].to_vec(), from)
                })
                .collect::<Vec<_>>()
        });
        sched::yield_now(); // the receiver waits
        let from_one = one.local_addr().unwrap();
        let from_other = other.local_addr().unwrap();
        let mut sent = Vec::new();
        for bytes in [&b"one"[..], b"", b"exactly8"] {
            for (socket, from) in [(&one, from_one), (&other, from_other)] {
                assert_eq!(socket.send_to(bytes, address).unwrap(), bytes.len());
                sent.push((bytes.to_vec(), from));
                sched::yield_now();
            }
        }
        assert_eq!(receiver.join().unwrap(), sent);
    });
}

#[test]
fn a_peek_leaves_it_and_a_short_buffer_cuts_it_off() {
    sched::run(|| {
        let (near, far) = (socket(), socket());
        near.connect(far.local_addr().unwrap()).unwrap();
        far.connect(near.local_addr().unwrap().to_string()).unwrap();
        assert_eq!(near.peer_addr().unwrap(), far.local_addr().unwrap());
        far.send(b"first").unwrap();
        far.send(b"second").unwrap();
        let mut buffer = [0; 3];
        assert_eq!(near.peek(&mut buffer).unwrap(), 3);
        assert_eq!(near.peek_from(&mut buffer).unwrap(), (3, far.local_addr().unwrap()));
        assert_eq!(near.recv(&mut buffer).unwrap(), 3);
        assert_eq!(&buffer, b"fir");
        assert_eq!(near.recv(&mut buffer).unwrap(), 3);
        assert_eq!(&buffer, b"sec");
    });
}

#[test]
fn a_try_does_not_wait() {
    sched::run(|| {
        let (near, far) = (socket(), socket());
        let address = near.local_addr().unwrap();
        let error = near.try_recv_from(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert_eq!(near.try_recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(far.try_send_to(b"a", address).unwrap(), 1);
        far.connect(address).unwrap();
        assert_eq!(far.try_send(b"b").unwrap(), 1);
        for expected in [b"a", b"b"] {
            let mut byte = [0];
            while near.try_recv(&mut byte).is_err() {
                near.wait_readable().unwrap();
            }
            assert_eq!(&byte, expected);
        }
    });
}

#[test]
fn several_receivers_share_one_socket() {
    sched::run(|| {
        let (server, client) = (Rc::new(socket()), socket());
        client.connect(server.local_addr().unwrap()).unwrap();
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let server = Rc::clone(&server);
                sched::spawn(move || {
                    (0..25).for_each(|_| assert_eq!(server.recv(&mut [0]).unwrap(), 1));
                })
            })
            .collect();
        for _ in 0..100 {
            client.send(b"!").unwrap();
            sched::yield_now();
        }
        receivers.into_iter().for_each(|receiver| receiver.join().unwrap());
    });
}

#[test]
fn options_are_those_of_the_system() {
    sched::run(|| {
        let socket = socket();
        socket.set_broadcast(true).unwrap();
        socket.set_ttl(7).unwrap();
        socket.set_multicast_ttl_v4(3).unwrap();
        socket.set_multicast_loop_v4(false).unwrap();
        assert!(socket.broadcast().unwrap());
        assert_eq!((socket.ttl().unwrap(), socket.multicast_ttl_v4().unwrap()), (7, 3));
        assert!(!socket.multicast_loop_v4().unwrap());
        assert!(socket.take_error().unwrap().is_none());
        let unicast = Ipv4Addr::new(10, 0, 0, 1);
        assert!(socket.join_multicast_v4(&unicast, &Ipv4Addr::UNSPECIFIED).is_err());
        let std = socket.into_std();
        assert!(std.broadcast().unwrap());
        assert!(UdpSocket::from_std(std).unwrap().broadcast().unwrap());
    });
}
