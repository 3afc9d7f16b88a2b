//! A stream or listener is converted from the standard library's type and back, on any thread.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc;
use std::thread;

use straightline_net::{ListenOptions, TcpListener, TcpStream, UnixStream};
use straightline_sched as sched;

/// Reads `count` bytes, one after the other.
fn take(stream: &mut impl Read, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).expect("the client sent that many");
    bytes
}

#[test]
fn a_tcp_stream_goes_on_where_it_was_on_another_thread() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        client.write_all(b"first").unwrap();
        assert_eq!(take(&mut served, 3), b"fir");

        let stream = served.into_std(); // with two bytes unread
        let other = thread::spawn(move || {
            sched::run_with(sched::Config::default(), move || {
                let mut stream = TcpStream::from_std(stream).unwrap();
                let received = take(&mut stream, 8);
                stream.write_all(b"answer").unwrap();
                received
            })
        });
        client.write_all(b"second").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
        assert_eq!(other.join().unwrap().unwrap(), b"stsecond");
    });
}

#[test]
fn a_unix_stream_goes_there_and_back_again() {
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let peer = thread::spawn(move || {
        sched::run_with(sched::Config::default(), move || {
            let far = UnixStream::from_std(far).unwrap();
            std::io::copy(&mut &far, &mut &far).unwrap()
        })
    });
    let mut stream = near;
    for round in 0..10_u8 {
        let visit = thread::spawn(move || {
            sched::run_with(sched::Config::default(), move || {
                let mut stream = UnixStream::from_std(stream).unwrap();
                stream.write_all(&[round; 100]).unwrap();
                assert_eq!(take(&mut stream, 100), [round; 100]);
                stream.into_std()
            })
        });
        stream = visit.join().unwrap().unwrap();
    }
    drop(stream);
    assert_eq!(peer.join().unwrap().unwrap(), 1_000);
}

#[test]
fn a_shard_hands_its_connections_to_another() {
    sched::run(|| {
        let (sender, receiver) = mpsc::channel();
        let worker = thread::spawn(move || {
            sched::run_with(sched::Config::default(), move || {
                sender.send((sched::ShardHandle::current(), sched::current())).unwrap();
                sched::park(); // until the acceptor has handed over all connections
            })
        });
        let (shard, end) = receiver.recv().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..20_u8)
            .map(|number| {
                sched::spawn(move || {
                    let mut client = TcpStream::connect(address).unwrap();
                    client.write_all(&[number; 10]).unwrap();
                    client.shutdown(Shutdown::Write).unwrap();
                    let mut answer = Vec::new();
                    client.read_to_end(&mut answer).unwrap();
                    assert_eq!(answer, [number; 10]);
                })
            })
            .collect();
        for _ in 0..20 {
            let stream = listener.accept().unwrap().0.into_std();
            let handed = shard.spawn(move || {
                let stream = TcpStream::from_std(stream).unwrap();
                std::io::copy(&mut &stream, &mut &stream).unwrap();
            });
            handed.unwrap();
        }
        for client in clients {
            client.join().unwrap();
        }
        end.unpark();
        worker.join().unwrap().unwrap();
    });
}

#[test]
fn the_members_of_a_group_serve_on_threads_of_their_own() {
    let group = ListenOptions::new().bind_group("127.0.0.1:0", 2).unwrap();
    let address = group[0].local_addr().unwrap();
    let (sender, receiver) = mpsc::channel();
    let shards: Vec<_> = group
        .into_iter()
        .map(|member| {
            let sender = sender.clone();
            thread::spawn(move || {
                sched::run_with(sched::Config::default(), move || {
                    sender.send(sched::current()).unwrap();
                    let listener = TcpListener::from_bound(member).unwrap();
                    sched::spawn(move || {
                        loop {
                            let (mut stream, _) = listener.accept().unwrap();
                            sched::spawn(move || stream.write_all(b"served"));
                        }
                    });
                    sched::park();
                })
            })
        })
        .collect();
    for _ in 0..40 {
        let mut answer = String::new();
        let mut client = std::net::TcpStream::connect(address).unwrap();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "served");
    }
    receiver.iter().take(shards.len()).for_each(|shard| shard.unpark());
    for shard in shards {
        shard.join().unwrap().unwrap();
    }
}
