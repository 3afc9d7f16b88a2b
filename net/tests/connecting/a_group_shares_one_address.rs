//! The listeners of a group share one port among themselves and with no other listener.

use std::io::ErrorKind;
use std::net::{self, SocketAddr};
use std::rc::Rc;

use straightline_net::{ListenOptions, TcpListener};
use straightline_sched as sched;

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[test]
fn a_group_is_as_large_as_asked_for_and_has_one_address() {
    for count in 1..=8 {
        let group = ListenOptions::new().bind_group(any_port(), count).unwrap();
        assert_eq!(group.len(), count);
        let address = group[0].local_addr().unwrap();
        assert_ne!(address.port(), 0);
        assert!(group.iter().all(|member| member.local_addr().unwrap() == address));
    }
}

#[test]
#[should_panic(expected = "straightline: `bind_group` with 0 listeners")]
fn a_group_of_no_members_is_a_mistake() {
    let _ = ListenOptions::new().bind_group(any_port(), 0);
}

fn is_in_use(result: std::io::Result<impl Sized>, address: SocketAddr) {
    let Err(error) = result else { panic!("{address} is in use, and was bound again") };
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn an_address_of_a_plain_listener_is_in_use() {
    let listener = net::TcpListener::bind(any_port()).unwrap();
    let address = listener.local_addr().unwrap();
    is_in_use(ListenOptions::new().bind_group(address, 2), address);
    is_in_use(ListenOptions::new().bind_group(address, 1), address);
    is_in_use(ListenOptions::new().bind(address), address);
    is_in_use(TcpListener::bind(address), address);
}

#[test]
fn an_address_of_another_group_is_in_use() {
    for count in [1, 2, 5] {
        let group = ListenOptions::new().bind_group(any_port(), count).unwrap();
        let address = group[0].local_addr().unwrap();
        is_in_use(ListenOptions::new().bind_group(address, 2), address);
        is_in_use(ListenOptions::new().bind(address), address);
        assert!(net::TcpListener::bind(address).is_err());
    }
}

#[test]
fn an_address_is_in_use_as_long_as_one_member_is_left() {
    let mut group = ListenOptions::new().bind_group(any_port(), 3).unwrap();
    let address = group[0].local_addr().unwrap();
    while !group.is_empty() {
        is_in_use(ListenOptions::new().bind_group(address, 2), address);
        group.remove(0);
    }
    ListenOptions::new().bind_group(address, 2).unwrap();
}

#[test]
fn every_connection_finds_a_member() {
    const CONNECTIONS: usize = 100;
    sched::run(|| {
        let group = ListenOptions::new().bind_group(any_port(), 4).unwrap();
        let address = group[0].local_addr().unwrap();
        let me = sched::current();
        let left = Rc::new(std::cell::Cell::new(CONNECTIONS));
        let members: Vec<_> = group
            .into_iter()
            .map(|member| {
                let (me, left) = (me.clone(), Rc::clone(&left));
                let accepted = Rc::new(std::cell::Cell::new(0));
                sched::spawn({
                    let accepted = Rc::clone(&accepted);
                    let member = TcpListener::from_bound(member).unwrap();
                    move || loop {
                        member.accept().unwrap();
                        accepted.set(accepted.get() + 1);
                        left.set(left.get() - 1);
                        me.unpark();
                    }
                });
                accepted
            })
            .collect();
        let clients: Vec<_> =
            (0..CONNECTIONS).map(|_| net::TcpStream::connect(address).unwrap()).collect();
        while left.get() > 0 {
            sched::park();
        }
        drop(clients);
        assert_eq!(members.iter().map(|accepted| accepted.get()).sum::<usize>(), CONNECTIONS);
        if cfg!(target_os = "linux") {
            // The kernel's hash gives each member some of a hundred connections. (The probability
            // that it does not is one in a hundred thousand million.)
            assert!(members.iter().all(|accepted| accepted.get() > 0));
        }
    });
}

#[test]
fn a_listener_can_be_bound_again_as_soon_as_it_is_closed() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = straightline_net::TcpStream::connect(address).unwrap();
        let (served, _) = listener.accept().unwrap();
        drop(served); // this end closes first, and its address is in TIME-WAIT
        drop(client);
        drop(listener);
        TcpListener::bind(address).unwrap();
    });
}
