//! UDP: a datagram that was refused is one error of the sender's socket. Then the socket works as
//! before.

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use crate::common::on_a_shard;
use straightline_net::UdpSocket;
use straightline_sched as sched;

/// A socket whose last datagram was refused, and which has already returned that error.
fn refused() -> Rc<UdpSocket> {
    let closed = UdpSocket::bind("127.0.0.1:0")
        .expect("the loopback works")
        .local_addr()
        .expect("the loopback works");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("the loopback works");
    socket.connect(closed).expect("the loopback works");
    let socket = Rc::new(socket);
    let sender = sched::spawn({
        let socket = Rc::clone(&socket);
        move || socket.send(b"refused").is_ok()
    });
    // The receiver waits before the refusal arrives, so an event of the driver wakes it.
    let error = socket.recv(&mut [0; 8]).expect_err("no socket is there");
    assert_eq!(
        (error.kind(), sender.join().expect("no panic")),
        (ErrorKind::ConnectionRefused, true)
    );
    socket
}

#[test]
fn the_next_receive_waits_until_its_timeout() {
    let kind = on_a_shard(|| {
        let socket = refused();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        socket.recv(&mut [0; 8]).expect_err("nothing is sent").kind()
    });
    assert_eq!(kind, ErrorKind::TimedOut);
}

#[test]
fn the_next_receive_gets_the_next_datagram() {
    let (count, others_ran) = on_a_shard(|| {
        let (socket, peer) = (refused(), UdpSocket::bind("127.0.0.1:0").unwrap());
        socket.connect(peer.local_addr().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let sender = sched::spawn(move || {
            sched::sleep(Duration::from_millis(1)); // the receiver waits
            peer.send_to(b"here", address).is_ok()
        });
        (socket.recv(&mut [0; 8]).unwrap(), sender.join().unwrap())
    });
    assert_eq!((count, others_ran), (4, true));
}
