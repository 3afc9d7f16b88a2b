//! UDP: that a datagram found nobody is told once, and the socket goes on as before.

use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use straightline_net::UdpSocket;
use straightline_sched as sched;

/// Runs `body` on a shard of its own, and fails if that hangs: a fiber that spins cannot be
/// cancelled.
fn unless_it_hangs<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(sched::run(body).expect("a shard can be made")));
    receiver.recv_timeout(Duration::from_secs(20)).expect("it came to an end")
}

/// A socket whose last datagram was refused, which it has been told.
fn refused() -> Rc<UdpSocket> {
    let nobody = UdpSocket::bind("127.0.0.1:0")
        .expect("it works on the loopback")
        .local_addr()
        .expect("it works on the loopback");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("it works on the loopback");
    socket.connect(nobody).expect("it works on the loopback");
    let socket = Rc::new(socket);
    let sender = sched::spawn({
        let socket = Rc::clone(&socket);
        move || socket.send(b"anybody?").is_ok()
    });
    // It waits before the refusal comes, so that the event says so.
    let error = socket.recv(&mut [0; 8]).expect_err("nobody is there");
    assert_eq!(
        (error.kind(), sender.join().expect("it works on the loopback")),
        (ErrorKind::ConnectionRefused, true)
    );
    socket
}

#[test]
fn the_next_receive_waits_until_its_timeout() {
    let kind = unless_it_hangs(|| {
        let socket = refused();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        socket.recv(&mut [0; 8]).expect_err("nobody sends").kind()
    });
    assert_eq!(kind, ErrorKind::TimedOut);
}

#[test]
fn the_next_receive_gets_the_next_datagram() {
    let (count, others_ran) = unless_it_hangs(|| {
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
