//! How a connect and an accept succeed or fail.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use straightline_net::sim::network;
use straightline_net::{ListenOptions, TcpListener, TcpStream, UdpSocket, lookup_host};
use straightline_sched as sched;

use crate::both::{arrival, in_simulations, kind, on_both, on_the_system, read_to_end};

const PATIENCE: Duration = Duration::from_secs(30);

fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the socket is bound");
    (listener, address)
}

#[test]
fn an_address_without_a_listener_refuses() {
    on_both(|| {
        let (closed, address) = listener();
        drop(closed);
        assert_eq!(kind(TcpStream::connect(address)), ErrorKind::ConnectionRefused);
        let timed = TcpStream::connect_timeout(&address, PATIENCE);
        assert_eq!(kind(timed), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn the_ends_know_each_other() {
    on_both(|| {
        let (listener, address) = listener();
        let client = TcpStream::connect(address).unwrap();
        let (server, peer) = listener.accept().unwrap();
        assert_eq!(client.peer_addr().unwrap(), address);
        assert_eq!(server.local_addr().unwrap(), address);
        assert_eq!(client.local_addr().unwrap(), peer);
        assert_eq!(server.peer_addr().unwrap(), peer);
        assert!(server.nodelay().unwrap());
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());
        let other = TcpStream::connect(address).unwrap();
        assert_ne!(other.local_addr().unwrap(), client.local_addr().unwrap());
        listener.accept().unwrap();
    });
}

#[test]
fn a_connection_is_there_before_it_is_accepted() {
    on_both(|| {
        let (listener, address) = listener();
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"early").unwrap();
        drop(client);
        let (server, _) = listener.accept().unwrap();
        assert_eq!(read_to_end(server), b"early");
    });
}

#[test]
fn a_listener_without_clients_has_none_to_accept() {
    on_both(|| {
        let (listener, address) = listener();
        assert_eq!(kind(listener.try_accept()), ErrorKind::WouldBlock);
        let _client = TcpStream::connect(address).unwrap();
        let _server = loop {
            match listener.try_accept() {
                Ok((server, _)) => break server,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            listener.wait_readable().unwrap();
        };
        assert_eq!(kind(listener.try_accept()), ErrorKind::WouldBlock);
    });
}

#[test]
fn clients_are_accepted_in_the_order_in_which_they_came() {
    on_both(|| {
        let (listener, address) = listener();
        let clients: Vec<_> = (0..5)
            .map(|_| {
                // The clients connect one after the other, because packets of a network can
                // overtake each other.
                let client = TcpStream::connect(address).unwrap();
                sched::sleep(Duration::from_millis(if sched::sim::is_simulated() {
                    500
                } else {
                    1
                }));
                client
            })
            .collect();
        for client in clients {
            assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
        }
    });
}

#[test]
fn a_listener_that_closes_resets_the_clients_in_its_queue() {
    on_both(|| {
        let (listener, address) = listener();
        let mut client = TcpStream::connect(address).unwrap();
        drop(listener);
        let error = client.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(kind(TcpStream::connect(address)), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn an_address_is_taken_while_it_is_listened_on() {
    on_both(|| {
        let (first, address) = listener();
        let error = TcpListener::bind(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")));
        drop(first);
        TcpListener::bind(address).unwrap();
    });
}

#[test]
fn a_group_shares_one_port() {
    on_both(|| {
        let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        let group = ListenOptions::new().bind_group(any, 3).unwrap();
        let ports: BTreeSet<_> = group.iter().map(|one| one.local_addr().unwrap()).collect();
        assert_eq!(ports.len(), 1);
        let address = *ports.first().unwrap();
        assert_eq!(kind(TcpListener::bind(address)), ErrorKind::AddrInUse);
        let group: Vec<_> =
            group.into_iter().map(|one| TcpListener::from_bound(one).unwrap()).collect();
        let clients: Vec<_> = (0..30).map(|_| TcpStream::connect(address).unwrap()).collect();
        // Each client is served by one of the three members, whichever it is.
        let mut accepted = BTreeSet::new();
        while accepted.len() < clients.len() {
            for listener in &group {
                match listener.try_accept() {
                    Ok((_, peer)) => assert!(accepted.insert(peer)),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            sched::sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn a_listener_on_all_addresses_is_reached_at_each() {
    on_both(|| {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(server.local_addr().unwrap(), client.peer_addr().unwrap());
    });
}

#[test]
fn a_name_is_connected_to() {
    on_both(|| {
        let (listener, address) = listener();
        let client = TcpStream::connect(("localhost", address.port())).unwrap();
        assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
        let found: Vec<_> = lookup_host("localhost:5").unwrap().collect();
        assert!(found.contains(&"127.0.0.1:5".parse().unwrap()));
        let literal: Vec<_> = lookup_host("10.1.2.3:5").unwrap().collect();
        assert_eq!(literal, ["10.1.2.3:5".parse().unwrap()]);
        assert!(lookup_host("no-such-host.invalid:5").is_err());
        assert_eq!(kind(lookup_host("::1:5")), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_full_backlog_is_waited_for() {
    on_both(|| {
        let options = ListenOptions::new().backlog(0);
        let bound = options.bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::from_bound(bound).unwrap();
        let address = listener.local_addr().unwrap();
        let first = TcpStream::connect(address).unwrap();
        arrived_at(&listener);
        // Linux sends the SYN again after a second.
        let second = sched::spawn(move || TcpStream::connect_timeout(&address, PATIENCE));
        sched::sleep(Duration::from_millis(100));
        assert!(!second.is_finished());
        assert_eq!(listener.accept().unwrap().1, first.local_addr().unwrap());
        let second = second.join().unwrap().unwrap();
        assert_eq!(listener.accept().unwrap().1, second.local_addr().unwrap());
    });
}

/// Waits until a client is in the backlog.
fn arrived_at(listener: &TcpListener) {
    listener.wait_readable().expect("a listener can be waited for");
}

#[test]
fn a_client_that_went_before_it_was_accepted_has_an_end() {
    on_both(|| {
        let (listener, address) = listener();
        drop(TcpStream::connect(address).unwrap());
        let (server, _) = listener.accept().unwrap();
        assert_eq!(arrival(&server).unwrap(), 0);
    });
}

#[test]
fn all_addresses_of_ipv6_are_those_of_ipv4_as_well() {
    on_both(|| {
        // As with the standard library, which keeps the system's default. A machine may have no
        // IPv6.
        let Ok(listener) = TcpListener::bind("[::]:0") else { return };
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (server, peer) = listener.accept().unwrap();
        assert!(peer.is_ipv6() && peer.ip().to_canonical() == client.local_addr().unwrap().ip());
        assert_eq!(peer.port(), client.local_addr().unwrap().port());
        assert_eq!(peer, server.peer_addr().unwrap());
        assert_eq!(
            server.local_addr().unwrap().ip().to_canonical(),
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        );
        let client = TcpStream::connect(("::1", port)).unwrap();
        assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
        // No other socket can bind that port of the IPv4 addresses.
        let other = TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
        assert_eq!(kind(other), ErrorKind::AddrInUse);
    });
}

#[test]
fn a_queue_that_is_closed_keeps_its_clients_and_takes_no_other() {
    if cfg!(not(target_os = "linux")) {
        return;
    }
    on_both(|| {
        let (listener, address) = listener();
        let mut early = TcpStream::connect(address).unwrap();
        listener.close_queue().unwrap();
        let late = sched::spawn(move || TcpStream::connect(address));
        (0..3).for_each(|_| sched::yield_now());
        let (mut server, peer) = listener.accept().unwrap();
        assert_eq!(peer, early.local_addr().unwrap());
        // Longer than a connect on any of these networks takes. The late client gets no answer.
        sched::sleep(Duration::from_millis(300));
        assert_eq!(kind(listener.try_accept()), ErrorKind::WouldBlock);
        assert!(!late.is_finished());
        drop(listener);
        assert_eq!(kind(late.join().unwrap()), ErrorKind::ConnectionRefused);
        // An accepted client of the closed queue is a connection like any other.
        early.write_all(b"!").unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 1);
        drop(early);
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn an_address_may_be_written_in_every_form_that_std_takes() {
    on_both(|| {
        let ports = [
            TcpListener::bind("127.0.0.1:0"),
            TcpListener::bind(String::from("127.0.0.1:0")),
            TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))),
            TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)),
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)),
            TcpListener::bind((IpAddr::from(Ipv4Addr::LOCALHOST), 0)),
            TcpListener::bind(("127.0.0.1", 0)),
            TcpListener::bind((String::from("127.0.0.1"), 0)),
            TcpListener::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))][..]),
        ];
        for listener in ports {
            let address = listener.unwrap().local_addr().unwrap();
            assert!(address.ip().is_loopback() && address.port() != 0);
        }
        for wrong in ["127.0.0.1", "::1:80", "", ":80", "localhost:port"] {
            assert_eq!(kind(TcpListener::bind(wrong)), ErrorKind::InvalidInput, "{wrong}");
            assert_eq!(kind(UdpSocket::bind(wrong)), ErrorKind::InvalidInput, "{wrong}");
        }
        assert_eq!(kind(TcpListener::bind(&[][..])), ErrorKind::InvalidInput);
    });
}

#[test]
fn the_first_address_that_can_be_bound_counts() {
    on_both(|| {
        let (taken, used) = listener();
        let addresses = [used, SocketAddr::from(([127, 0, 0, 1], 0))];
        let second = TcpListener::bind(&addresses[..]).unwrap();
        assert_ne!(second.local_addr().unwrap().port(), used.port());
        let error = TcpListener::bind(&[used, used][..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let text = error.to_string();
        assert!(text.starts_with(&format!("cannot listen on {used}: ")), "{text}");
        drop(taken);
    });
}

#[test]
fn a_name_is_bound_at_its_address() {
    on_the_system(|| {
        let listener = TcpListener::bind("localhost:0").unwrap();
        assert!(listener.local_addr().unwrap().ip().is_loopback());
        let socket = UdpSocket::bind(("localhost", 0)).unwrap();
        assert!(socket.local_addr().unwrap().ip().is_loopback());
        let bound = ListenOptions::new().bind("localhost:0").unwrap();
        assert!(bound.local_addr().unwrap().ip().is_loopback());
    });
    in_simulations(|| {
        network().name("service", [Ipv4Addr::new(10, 0, 0, 1).into()]);
        let listener = TcpListener::bind("service:80").unwrap();
        assert_eq!(listener.local_addr().unwrap(), SocketAddr::from(([10, 0, 0, 1], 80)));
        assert!(TcpListener::bind("unknown:80").is_err());
    });
}
