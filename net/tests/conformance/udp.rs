//! Datagrams.

use std::io::ErrorKind;

use straightline_net::UdpSocket;
use straightline_sched as sched;

use crate::both::{kind, on_the_system};

/// As `both::on_both`, but on networks that lose no datagram.
fn on_both(body: impl Fn() + Clone + Send + 'static) {
    on_the_system(body.clone());
    straightline_sched::sim::Check::new().seeds(20).run(body);
}

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").expect("a free port")
}

#[test]
fn a_datagram_is_one_piece() {
    on_both(|| {
        let (one, other) = (socket(), socket());
        let (from, to) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        for text in [&b"first"[..], b"", b"a third one"] {
            assert_eq!(one.send_to(text, to).unwrap(), text.len());
            let mut buffer = [0; 64];
            assert_eq!(other.peek_from(&mut buffer).unwrap(), (text.len(), from));
            assert_eq!(other.recv_from(&mut buffer).unwrap(), (text.len(), from));
            assert_eq!(&buffer[..text.len()], text);
        }
    });
}

#[test]
fn what_does_not_fit_is_lost() {
    on_both(|| {
        let (one, other) = (socket(), socket());
        one.send_to(b"too long", other.local_addr().unwrap()).unwrap();
        let mut buffer = [0; 3];
        assert_eq!(other.recv_from(&mut buffer).unwrap().0, 3);
        assert_eq!(&buffer, b"too");
        assert_eq!(kind(other.try_recv_from(&mut buffer)), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_datagram_can_be_too_large() {
    on_both(|| {
        let (one, other) = (socket(), socket());
        let to = other.local_addr().unwrap();
        let error = one.send_to(&vec![0; 65_508], to).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(90)); // EMSGSIZE
        assert_eq!(one.send_to(&vec![0; 65_507], to).unwrap(), 65_507);
        assert_eq!(other.recv_from(&mut vec![0; 70_000]).unwrap().0, 65_507);
    });
}

#[test]
fn a_connected_socket_receives_from_its_peer_alone() {
    on_both(|| {
        let (one, peer, stranger) = (socket(), socket(), socket());
        let address = one.local_addr().unwrap();
        assert_eq!(kind(one.peer_addr()), ErrorKind::NotConnected);
        one.connect(peer.local_addr().unwrap()).unwrap();
        assert_eq!(one.peer_addr().unwrap(), peer.local_addr().unwrap());
        stranger.send_to(b"this is not received", address).unwrap();
        peer.send_to(b"hello", address).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(one.recv(&mut buffer).unwrap(), 5);
        one.send(b"well").unwrap();
        assert_eq!(peer.recv_from(&mut buffer).unwrap(), (4, address));
    });
}

#[test]
fn a_connected_socket_gets_a_refusal_once() {
    on_both(|| {
        let (one, gone) = (socket(), socket());
        let address = gone.local_addr().unwrap();
        one.connect(address).unwrap();
        drop(gone);
        one.send(b"is a socket there?").unwrap();
        assert_eq!(kind(one.recv(&mut [0; 8])), ErrorKind::ConnectionRefused);
        assert_eq!(kind(one.try_recv(&mut [0; 8])), ErrorKind::WouldBlock);
        assert!(one.take_error().unwrap().is_none());
    });
}

#[test]
fn a_send_without_a_peer_needs_an_address() {
    on_both(|| {
        let error = socket().send(b"whom?").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(89)); // EDESTADDRREQ
    });
}

#[test]
fn an_address_is_taken_while_it_is_bound() {
    on_both(|| {
        let one = socket();
        let address = one.local_addr().unwrap();
        assert_eq!(kind(UdpSocket::bind(address)), ErrorKind::AddrInUse);
        drop(one);
        UdpSocket::bind(address).unwrap();
    });
}

#[test]
fn a_waiting_reader_is_woken_by_a_datagram() {
    on_both(|| {
        let (one, other) = (socket(), socket());
        let to = other.local_addr().unwrap();
        let reader = sched::spawn(move || other.recv_from(&mut [0; 8]).unwrap().0);
        sched::yield_now();
        one.send_to(b"ping", to).unwrap();
        assert_eq!(reader.join().unwrap(), 4);
    });
}
