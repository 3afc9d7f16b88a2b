//! A connect to several addresses takes the first that answers. Addresses without an answer only
//! delay it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use straightline_net::{BoundTcpListener, ListenOptions, TcpListener, TcpStream, lookup_host};
use straightline_sched as sched;

/// A listener that does not answer: its backlog is full.
struct Silent {
    address: SocketAddr,
    _held: (BoundTcpListener, Vec<std::net::TcpStream>),
}

fn silent() -> Silent {
    let options = ListenOptions::new().backlog(0);
    let listener = options.bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the socket is bound");
    let mut taken = Vec::new();
    while let Ok(stream) =
        std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300))
    {
        taken.push(stream);
    }
    Silent { address, _held: (listener, taken) }
}

fn refusing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("the socket is bound")
}

#[test]
fn silent_addresses_are_overtaken() {
    let silent = silent();
    sched::run(move || {
        let good = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = good.local_addr().unwrap();
        let stream = TcpStream::connect(&[silent.address, silent.address, address][..]).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert_eq!(good.accept().unwrap().1, stream.local_addr().unwrap());
    });
}

#[test]
fn refusing_addresses_are_passed_over() {
    let silent = silent();
    sched::run(move || {
        let good = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = good.local_addr().unwrap();
        for others in [vec![refusing(); 20], vec![refusing(), silent.address, refusing()]] {
            let all: Vec<_> = others.into_iter().chain([address]).collect();
            let stream = TcpStream::connect(&all[..]).unwrap();
            assert_eq!(stream.peer_addr().unwrap(), address);
        }
    });
}

#[test]
fn wakeups_that_mean_something_else_do_no_harm() {
    let silent = silent();
    sched::run(move || {
        let good = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = good.local_addr().unwrap();
        let addresses = [silent.address, refusing(), address];
        let clients: Vec<_> =
            (0..20).map(|_| sched::spawn(move || TcpStream::connect(&addresses[..]))).collect();
        for _ in 0..10 {
            clients.iter().for_each(|client| client.fiber().unpark());
            sched::yield_now();
        }
        for client in clients {
            assert_eq!(client.join().unwrap().unwrap().peer_addr().unwrap(), address);
        }
    });
}

#[test]
fn when_all_refuse_the_last_says_why() {
    sched::run(|| {
        let error = TcpStream::connect(&[refusing(), refusing()][..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let error = TcpStream::connect(&[][..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_name_is_resolved_and_connected_to() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for address in lookup_host(("localhost", port)).unwrap() {
            assert!(address.ip().is_loopback());
            assert_eq!(address.port(), port);
        }
        let by_text = TcpStream::connect(format!("localhost:{port}")).unwrap();
        assert_eq!(by_text.peer_addr().unwrap().port(), port);
    });
}

#[test]
fn an_address_is_looked_up_where_nothing_can_wait() {
    // A literal address needs neither a fiber nor a thread of the pool.
    let addresses: Vec<_> = lookup_host("[::1]:7").unwrap().collect();
    assert_eq!(addresses, ["[::1]:7".parse().unwrap()]);
    assert_eq!(sched::OffloadPool::global().stats().refused, 0);
}

#[test]
fn a_connect_with_a_timeout_gives_up_and_closes() {
    let silent = silent();
    sched::run(move || {
        let timeout = Duration::from_millis(10);
        let error = TcpStream::connect_timeout(&silent.address, timeout).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let error = TcpStream::connect_timeout(&silent.address, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let good = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = good.local_addr().unwrap();
        TcpStream::connect_timeout(&address, Duration::MAX).unwrap();
        let error = TcpStream::connect_timeout(&refusing(), Duration::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}
