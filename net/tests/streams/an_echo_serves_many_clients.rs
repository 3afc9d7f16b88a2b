//! Many connections are served at the same time, and each gets its own bytes back.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::rc::Rc;

use crate::common::SocketPath;
use straightline_net::{TcpListener, TcpStream, UnixListener, UnixStream};
use straightline_sched::{self as sched, JoinHandle};

const CLIENTS: usize = 200;

/// Echoes on each of the next `CLIENTS` connections.
fn serve<S: Read + Write + 'static>(accept: impl Fn() -> S + 'static) -> JoinHandle<()> {
    sched::spawn(move || {
        let connections: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut stream = accept();
                sched::spawn(move || {
                    let mut buffer = [0; 100];
                    loop {
                        let count = stream.read(&mut buffer).expect("the client is there");
                        if count == 0 {
                            return;
                        }
                        stream.write_all(&buffer[..count]).expect("the client reads");
                    }
                })
            })
            .collect();
        for connection in connections {
            connection.join().expect("no connection fails");
        }
    })
}

/// Starts `CLIENTS` clients. All are connected before the first one sends.
fn talk<S: Read + Write + 'static>(
    connect: impl Fn() -> S + Clone + 'static,
    end: impl Fn(&S) + Clone + 'static,
) {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (connect, end) = (connect.clone(), end.clone());
            sched::spawn(move || {
                let mut stream = connect();
                sched::park();
                for round in 0..5 {
                    let sent = format!("client {number} in round {round}");
                    stream.write_all(sent.as_bytes()).expect("the server reads");
                    let mut received = vec![0; sent.len()];
                    stream.read_exact(&mut received).expect("the server answers");
                    assert_eq!(received, sent.as_bytes());
                }
                end(&stream);
                assert_eq!(stream.read(&mut [0]).expect("the server closes"), 0);
            })
        })
        .collect();
    sched::yield_now();
    clients.iter().for_each(|client| client.fiber().unpark());
    for client in clients {
        client.join().expect("no client fails");
    }
}

#[test]
fn two_hundred_tcp_clients_get_their_own_bytes_back() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = serve(move || listener.accept().unwrap().0);
        talk(
            move || TcpStream::connect(address).unwrap(),
            |stream| stream.shutdown(Shutdown::Write).unwrap(),
        );
        server.join().unwrap();
    });
}

#[test]
fn two_hundred_unix_clients_get_their_own_bytes_back() {
    sched::run(|| {
        let path = Rc::new(SocketPath::new());
        let listener = UnixListener::bind(&*path).unwrap();
        let server = serve(move || listener.accept().unwrap().0);
        talk(
            move || UnixStream::connect(&*path).unwrap(),
            |stream| stream.shutdown(Shutdown::Write).unwrap(),
        );
        server.join().unwrap();
    });
}

#[test]
fn clients_of_the_standard_library_are_served_too() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = serve(move || listener.accept().unwrap().0);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(move || {
                    for _ in 0..CLIENTS / 4 {
                        let mut stream = std::net::TcpStream::connect(address).unwrap();
                        stream.write_all(b"straight").unwrap();
                        stream.shutdown(Shutdown::Write).unwrap();
                        let mut answer = String::new();
                        stream.read_to_string(&mut answer).unwrap();
                        assert_eq!(answer, "straight");
                    }
                })
            })
            .collect();
        server.join().unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn the_addresses_of_both_ends_agree() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(served.peer_addr().unwrap(), peer);
        assert_eq!(served.local_addr().unwrap(), client.peer_addr().unwrap());
        assert_eq!(client.peer_addr().unwrap(), listener.local_addr().unwrap());
    });
}
