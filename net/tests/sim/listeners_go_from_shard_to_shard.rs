//! In a simulation a listener that is bound can go to any shard, and a fiber can be on any host.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use straightline_net::sim::on_host;
use straightline_net::{
    BoundUnixListener, ListenOptions, TcpListener, TcpStream, UnixListener, UnixStream,
};
use straightline_sched::{self as sched, Config, sim};

const PATH: &str = "/run/service.sock";

#[test]
fn the_members_of_a_group_serve_on_shards_of_their_own() {
    sim::check(|| {
        let address: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let group = ListenOptions::new().bind_group(address, 3).unwrap();
        let shards = (0_u8..).zip(group).map(|(number, member)| {
            let serve = move || {
                let listener = TcpListener::from_bound(member).unwrap();
                while let Ok(Ok((mut stream, _))) =
                    sched::deadline(Duration::from_secs(10), || listener.accept())
                {
                    stream.write_all(&[number]).unwrap();
                }
            };
            sched::spawn_shard("worker", Config::default(), serve).unwrap()
        });
        let shards: Vec<_> = shards.collect();
        let mut served = BTreeSet::new();
        for _ in 0..40 {
            let mut number = [0];
            TcpStream::connect(address).unwrap().read_exact(&mut number).unwrap();
            served.insert(number[0]);
        }
        assert_eq!(served.len(), 3); // all members, except with one seed in five million
        shards.into_iter().for_each(|shard| shard.join().unwrap().unwrap());
    });
}

#[test]
fn the_clones_of_a_listener_share_its_clients() {
    sim::check(|| {
        let bound = BoundUnixListener::bind(PATH).unwrap();
        assert_eq!(UnixListener::bind(PATH).unwrap_err().kind(), ErrorKind::AddrInUse);
        let clones = [bound.try_clone().unwrap(), bound];
        let shards = clones.map(|clone| {
            let serve = move || {
                let listener = UnixListener::from_bound(clone).unwrap();
                let mut count = 0;
                while let Ok(Ok(_)) = sched::deadline(Duration::from_secs(1), || listener.accept())
                {
                    count += 1;
                }
                count
            };
            sched::spawn_shard("worker", Config::default(), serve).unwrap()
        });
        for _ in 0..20 {
            UnixStream::connect(PATH).unwrap();
            sched::yield_now();
        }
        let counts = shards.map(|shard| shard.join().unwrap().unwrap());
        assert_eq!(counts.iter().sum::<i32>(), 20);
        // The last clone removes the path.
        assert_eq!(UnixStream::connect(PATH).unwrap_err().kind(), ErrorKind::NotFound);
        UnixListener::bind(PATH).unwrap();
    });
}

#[test]
fn hosts_are_inherited_and_left_again() {
    sim::run(1, || {
        let listener = TcpListener::bind("0.0.0.0:80").unwrap();
        let seen = || {
            let stream = TcpStream::connect("10.0.0.1:80").unwrap();
            let ip = stream.local_addr().unwrap().ip();
            assert_eq!(listener.accept().unwrap().1.ip(), ip);
            ip.to_string()
        };
        assert_eq!(seen(), "127.0.0.1");
        assert_eq!(on_host([10, 0, 0, 2].into(), seen), "10.0.0.2");
        let child = on_host([10, 0, 0, 3].into(), || {
            sched::spawn(|| TcpStream::connect("10.0.0.1:80")?.local_addr())
        });
        let address = child.join().unwrap().unwrap();
        assert_eq!(listener.accept().unwrap().1, address);
        assert_eq!(address.ip().to_string(), "10.0.0.3");
        assert_eq!(seen(), "127.0.0.1");
    });
}
