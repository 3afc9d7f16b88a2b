//! The faults that a test sets for a simulated network happen, and no others.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use straightline_net::sim::{Fault, Link, network, on_host};
use straightline_net::{TcpListener, TcpStream, UdpSocket, UnixStream, lookup_host};
use straightline_sched::sim::{self, Random, Sim};
use straightline_sched::{self as sched};

const MFILE: i32 = 24;

fn connect() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("10.0.0.1:80").expect("a free port");
    let client = TcpStream::connect("10.0.0.1:80").expect("the listener is open");
    (client, listener.accept().expect("the client").0)
}

#[test]
fn a_reset_concerns_every_connection_of_the_address_and_no_other() {
    sim::check(|| {
        let listener = TcpListener::bind("10.0.0.1:80").unwrap();
        let other = TcpListener::bind("10.0.0.1:81").unwrap();
        let mut clients: Vec<_> =
            (0..3).map(|_| TcpStream::connect("10.0.0.1:80").unwrap()).collect();
        let servers: Vec<_> = (0..3).map(|_| listener.accept().unwrap().0).collect();
        let mut spared = TcpStream::connect("10.0.0.1:81").unwrap();
        let mut its_server = other.accept().unwrap().0;
        network().reset(listener.local_addr().unwrap());
        for stream in clients.iter_mut().chain(&mut { servers }) {
            assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        spared.write_all(b"!").unwrap();
        its_server.read_exact(&mut [0]).unwrap();
    });
}

#[test]
fn an_address_refuses_until_it_accepts_again() {
    sim::check(|| {
        let listener = TcpListener::bind("0.0.0.0:80").unwrap();
        let address: SocketAddr = "10.0.0.1:80".parse().unwrap();
        network().refuse(address);
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        TcpStream::connect("10.0.0.2:80").unwrap(); // another address
        network().accept_again(address);
        TcpStream::connect(address).unwrap();
        drop((listener.accept().unwrap(), listener.accept().unwrap()));
    });
}

#[test]
fn an_accept_without_descriptors_leaves_the_connection_where_it_is() {
    sim::check(|| {
        let listener = TcpListener::bind("10.0.0.1:80").unwrap();
        let _client = TcpStream::connect("10.0.0.1:80").unwrap();
        network().set_descriptors_max(Some(2));
        assert_eq!(listener.accept().unwrap_err().raw_os_error(), Some(MFILE));
        assert_eq!(TcpStream::connect("10.0.0.1:80").unwrap_err().raw_os_error(), Some(MFILE));
        // The error of a bind contains the address, so it has no error number of the system.
        assert!(TcpListener::bind("10.0.0.1:81").is_err());
        assert_eq!(UdpSocket::bind("10.0.0.1:0").unwrap_err().raw_os_error(), Some(MFILE));
        assert_eq!(UnixStream::pair().unwrap_err().raw_os_error(), Some(MFILE));
        network().set_descriptors_max(None);
        listener.accept().unwrap();
    });
}

#[test]
fn a_listener_without_room_is_tried_again() {
    sim::check(|| {
        let options = straightline_net::ListenOptions::new().backlog(1);
        let bound = options.bind("10.0.0.1:80").unwrap();
        let listener = TcpListener::from_bound(bound).unwrap();
        let clients: Vec<_> = (0..5)
            .map(|_| sched::spawn(|| TcpStream::connect("10.0.0.1:80").map(|_| sim::elapsed())))
            .collect();
        sched::sleep(Duration::from_millis(500));
        assert_eq!(clients.iter().filter(|client| client.is_finished()).count(), 2);
        for _ in 0..5 {
            listener.accept().unwrap();
        }
        let times: Vec<Duration> =
            clients.into_iter().map(|client| client.join().unwrap().unwrap()).collect();
        let late = times.iter().filter(|time| **time >= Duration::from_secs(1));
        assert_eq!(late.count(), 3);
    });
}

#[test]
fn the_resolver_knows_the_names_it_was_given_and_can_fail() {
    sim::check(|| {
        network().name("Db.Example", vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]);
        let found: Vec<_> = lookup_host("db.example.:80").unwrap().collect();
        assert_eq!(found, ["10.0.0.1:80".parse().unwrap(), "10.0.0.2:80".parse().unwrap()]);
        let text = lookup_host("unknown:80").unwrap_err().to_string();
        assert!(text.contains("Name or service not known"), "{text}");
        network().fail_lookups(true);
        let text = lookup_host("db.example:80").unwrap_err().to_string();
        assert!(text.contains("Temporary failure"), "{text}");
        network().fail_lookups(false);
        let start = sched::now();
        lookup_host("localhost:80").unwrap();
        assert!(sched::now() > start); // a look-up takes time
    });
}

#[test]
fn a_rate_bounds_what_comes_through() {
    sim::check(|| {
        let rate = Some(1_000_000);
        network().set_link(Link::default().with_bytes_per_second(rate));
        let (mut client, mut server) = connect();
        let writer = sched::spawn(move || client.write_all(&vec![0; 3_000_000]));
        let start = sched::now();
        std::io::copy(&mut server, &mut std::io::sink()).unwrap();
        let took = sched::now() - start;
        assert!((2.9..3.7).contains(&took.as_secs_f64()), "{took:?}");
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn a_link_between_two_hosts_is_theirs_alone() {
    sim::run(1, || {
        let far = Duration::from_secs(1);
        let link = Link::default().with_latency(far..=far);
        network().set_link_between([10, 0, 0, 2].into(), [10, 0, 0, 1].into(), link);
        let listener = TcpListener::bind("10.0.0.1:80").unwrap();
        let connect = |host: [u8; 4]| {
            let start = sched::now();
            on_host(host.into(), || TcpStream::connect("10.0.0.1:80")).unwrap();
            drop(listener.accept().unwrap());
            sched::now() - start
        };
        assert!(connect([10, 0, 0, 2]) >= 2 * far);
        assert!(connect([10, 0, 0, 3]) < far);
    });
}

#[test]
fn scheduled_faults_happen_at_their_time_and_end_by_themselves() {
    sim::run(1, || {
        let second = Duration::from_secs(1);
        let cut = Fault::Partition([10, 0, 0, 1].into(), [127, 0, 0, 1].into());
        network()
            .schedule(vec![(second, cut.lasting(second * 5)), (second * 9, Fault::ResetSome(0))]);
        let (mut client, mut server) = connect();
        sched::sleep(second * 2);
        client.write_all(b"!").unwrap();
        server.read_exact(&mut [0]).unwrap();
        assert!(sim::elapsed() >= second * 6);
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(sim::elapsed() >= second * 9);
        assert_eq!(network().counters().faults, 2);
    });
}

#[test]
fn after_the_horizon_of_drawn_faults_all_is_well() {
    sim::check(|| {
        let horizon = Duration::from_secs(60);
        network().schedule(Fault::draw(&mut sim::fork_random(), horizon));
        let server = sched::spawn(|| {
            let listener = TcpListener::bind("10.0.0.1:80").unwrap();
            loop {
                match listener.accept() {
                    Ok((mut stream, _)) => drop(sched::spawn(move || {
                        let write = || stream.write_all(b"!");
                        drop(sched::deadline(Duration::from_secs(5), write)); // may fail
                    })),
                    Err(_) => sched::sleep(Duration::from_millis(10)),
                }
            }
        });
        while sim::elapsed() < horizon {
            let attempt = || TcpStream::connect("10.0.0.1:80")?.read(&mut [0]);
            drop(sched::deadline(Duration::from_secs(3), attempt)); // may fail
            sched::sleep(Duration::from_millis(700));
        }
        sched::sleep(Duration::from_secs(1));
        let mut last = TcpStream::connect("10.0.0.1:80").unwrap();
        last.read_exact(&mut [0]).unwrap();
        server.cancel();
        assert!(server.join().is_err());
    });
}

#[test]
fn drawn_faults_are_of_every_kind_and_in_the_order_of_their_times() {
    let mut random = Random::new(1);
    let lists: Vec<_> =
        (0..200).map(|_| Fault::draw(&mut random, Duration::from_secs(60))).collect();
    assert!(lists.iter().all(|list| list.is_sorted_by_key(|(at, _)| *at)));
    let texts: Vec<String> = lists.iter().flatten().map(|(_, fault)| fault.to_string()).collect();
    for what in ["no way", "vanishes", "is reset", "refuses", "accepts fail", "lookups fail"] {
        assert!(texts.iter().any(|text| text.contains(what)), "{what}");
    }
    assert!(texts.iter().all(|text| !text.contains('\n')));
}

#[test]
fn a_socket_that_is_left_open_is_a_leak() {
    let failure = Sim::new(1).run(|| {
        let kept = UdpSocket::bind("10.0.0.1:53").unwrap();
        std::mem::forget(kept);
    });
    let text = failure.unwrap_err().to_string();
    assert!(text.contains("an open socket: udp 10.0.0.1:53"), "{text}");
}

#[test]
fn a_socket_that_outlives_its_simulation_is_none_of_the_next_one() {
    let options = straightline_net::ListenOptions::new();
    let address: SocketAddr = "10.0.0.1:80".parse().unwrap();
    let past = Sim::new(1).run({
        let options = options.clone();
        move || std::mem::ManuallyDrop::new(options.bind(address).unwrap())
    });
    assert!(past.is_err()); // the socket was open at the end
    let kept = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keep = std::sync::Arc::clone(&kept);
    let bind = move || *keep.lock().unwrap() = Some(options.bind(address).unwrap());
    assert!(Sim::new(1).run(bind).is_err());
    let past = kept.lock().unwrap().take().unwrap();
    sim::run(1, move || {
        let listener = TcpListener::bind(address).unwrap();
        assert_eq!(past.local_addr().unwrap_err().kind(), ErrorKind::Unsupported);
        drop(past);
        let _client = TcpStream::connect(address).unwrap(); // this listener still works
        listener.accept().unwrap();
    });
}

#[test]
fn a_seed_determines_every_byte_of_the_trace() {
    fn trace(seed: u64) -> Vec<String> {
        let lines = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let sink = std::rc::Rc::clone(&lines);
        let sim = Sim::new(seed).trace(move |line| sink.borrow_mut().push(line.to_owned()));
        sim.run(|| {
            let mut random = sim::fork_random();
            network().set_link(Link::draw(&mut random));
            network().schedule(Fault::draw(&mut random, Duration::from_secs(5)));
            let listener = TcpListener::bind("10.0.0.1:80").unwrap();
            sched::spawn(move || {
                let accept = || listener.accept().map(|(stream, _)| stream);
                while let Ok(Ok(stream)) = sched::deadline(Duration::from_secs(9), accept) {
                    let echo = move || std::io::copy(&mut &stream, &mut &stream);
                    sched::spawn(|| drop(sched::deadline(Duration::from_secs(9), echo)));
                }
            });
            for _ in 0..3 {
                let attempt = || {
                    let mut stream = TcpStream::connect("10.0.0.1:80")?;
                    stream.write_all(&[1; 500])?;
                    stream.read_exact(&mut [0; 500])
                };
                drop(sched::deadline(Duration::from_secs(3), attempt)); // may fail
            }
        })
        .unwrap();
        lines.take()
    }
    for seed in 0..20 {
        assert_eq!(trace(seed), trace(seed));
    }
    assert_ne!(trace(1), trace(2));
}
