//! A connect takes an address or a name, each with a port, and fails with the reason.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use straightline_net::{ListenOptions, TcpListener, TcpStream};
use straightline_sched as sched;

#[test]
fn a_port_without_a_listener_refuses() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        for _ in 0..3 {
            let error = TcpStream::connect(address).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
    });
}

#[test]
fn an_address_may_be_a_literal_or_a_socket_address() {
    sched::run(|| {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let text = format!("127.0.0.1:{}", address.port());
        let by_text = TcpStream::connect(&*text).unwrap();
        let by_address = TcpStream::connect(address).unwrap();
        assert_eq!(by_text.peer_addr().unwrap(), by_address.peer_addr().unwrap());
    });
}

#[test]
fn what_is_not_an_address_is_invalid_input() {
    sched::run(|| {
        for text in ["127.0.0.1", "127.0.0.1:65536", "::1:80", "", ":80", "[::1]"] {
            let error = TcpStream::connect(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
            let error = TcpListener::bind(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        }
    });
}

#[test]
fn the_sixth_version_of_the_protocol_works_as_well() {
    let Ok(listener) = ListenOptions::new().bind("[::1]:0") else {
        eprintln!("skipped: this machine has no IPv6 loopback");
        return;
    };
    sched::run(|| {
        let listener = TcpListener::from_bound(listener).unwrap();
        let address = listener.local_addr().unwrap();
        assert!(address.is_ipv6());
        let text = format!("[::1]:{}", address.port());
        let mut client = TcpStream::connect(&*text).unwrap();
        let (mut server, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        client.write_all(b"six").unwrap();
        drop(client);
        let mut received = String::new();
        server.read_to_string(&mut received).unwrap();
        assert_eq!(received, "six");
    });
}

#[test]
fn a_connect_lets_others_run_and_is_not_misled_by_wakeups() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> =
            (0..50).map(|_| sched::spawn(move || TcpStream::connect(address))).collect();
        for _ in 0..10 {
            clients.iter().for_each(|client| client.fiber().unpark());
            sched::yield_now();
        }
        for client in clients {
            let client = client.join().unwrap().unwrap();
            assert_eq!(client.peer_addr().unwrap(), address);
        }
    });
}

#[test]
fn a_refused_connect_is_not_misled_by_wakeups_either() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let clients: Vec<_> =
            (0..50).map(|_| sched::spawn(move || TcpStream::connect(address))).collect();
        clients.iter().for_each(|client| client.fiber().unpark());
        for client in clients {
            let error = client.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
    });
}
