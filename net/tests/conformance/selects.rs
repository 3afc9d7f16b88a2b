//! A `select` on sockets: it sees their state, and not only their changes.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use straightline_net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use straightline_sched::sync::{Flag, Selectable, after, mpsc, select};
use straightline_sched::{self as sched};

use crate::both::{arrived, kind, on_both};
use crate::common::{SocketPath, tcp_pair};

const SHORT: Duration = Duration::from_millis(5);

/// Whether the thing becomes ready within a moment.
fn is_ready(thing: &dyn Selectable) -> bool {
    select(&[thing, &after(SHORT)]) == Ok(0)
}

/// Waits until the thing is ready.
fn wait_for(thing: &dyn Selectable) {
    assert_eq!(select(&[thing]), Ok(0));
}

#[test]
fn a_stream_is_readable_as_long_as_bytes_are_left() {
    on_both(|| {
        let (mut client, mut server) = tcp_pair();
        assert!(!is_ready(&server.readable()));
        client.write_all(b"abc").unwrap();
        arrived(&server, 3);
        for _ in 0..3 {
            // Twice: a select takes nothing. A read of one byte says nothing about the rest.
            wait_for(&server.readable());
            wait_for(&server.readable());
            assert_eq!(server.read(&mut [0]).unwrap(), 1);
        }
        assert!(!is_ready(&server.readable()));
        client.write_all(b"d").unwrap();
        wait_for(&server.readable());
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 1);
    });
}

#[test]
fn a_stream_that_a_short_read_has_emptied_is_not_readable() {
    on_both(|| {
        let (mut client, mut server) = tcp_pair();
        for _ in 0..3 {
            client.write_all(b"ab").unwrap();
            arrived(&server, 2);
            wait_for(&server.readable());
            assert_eq!(server.read(&mut [0; 8]).unwrap(), 2);
            assert!(!is_ready(&server.readable()));
        }
    });
}

#[test]
fn a_read_that_follows_a_select_does_not_wait_for_a_further_change() {
    on_both(|| {
        let (mut client, mut server) = tcp_pair();
        client.write_all(b"ab").unwrap();
        arrived(&server, 2);
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 2); // now it is known to be empty
        client.write_all(b"cd").unwrap();
        wait_for(&server.readable());
        wait_for(&server.readable());
        server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert!(server.read(&mut [0; 8]).unwrap() > 0);
    });
}

#[test]
fn an_end_of_stream_is_readable_for_ever() {
    on_both(|| {
        let (mut client, mut server) = tcp_pair();
        client.write_all(b"a").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        wait_for(&server.readable());
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 1);
        for _ in 0..100 {
            wait_for(&server.readable());
            assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
        }
    });
}

#[test]
fn a_select_hears_a_channel_and_a_socket() {
    on_both(|| {
        let (mut client, server) = tcp_pair();
        let (sender, receiver) = mpsc::channel(1);
        let told = sched::spawn(move || {
            let mut told = Vec::new();
            while told.len() < 4 {
                let text = match select(&[&server.readable(), &receiver]).unwrap() {
                    0 => {
                        let mut buffer = [0; 1];
                        match server.try_read(&mut buffer) {
                            Ok(_) => char::from(buffer[0]),
                            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    _ => receiver.try_recv().unwrap(),
                };
                told.push(text);
            }
            told
        });
        for (byte, letter) in [(b"1", 'a'), (b"2", 'b')] {
            client.write_all(byte).unwrap();
            sender.send(letter).unwrap();
        }
        let mut told = told.join().unwrap();
        told.sort_unstable();
        assert_eq!(told, ['1', '2', 'a', 'b']);
    });
}

#[test]
fn of_two_fibers_that_select_one_takes_and_the_other_waits_on() {
    on_both(|| {
        let (mut client, server) = tcp_pair();
        let (server, count) = (Rc::new(server), Rc::new(std::cell::Cell::new(0)));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (server, count) = (Rc::clone(&server), Rc::clone(&count));
                sched::spawn(move || {
                    let mut looks = 0;
                    loop {
                        wait_for(&server.readable());
                        looks += 1;
                        match server.try_read(&mut [0; 64]) {
                            Ok(0) => return looks,
                            Ok(read) => count.set(count.get() + read),
                            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                        }
                    }
                })
            })
            .collect();
        for _ in 0..20 {
            client.write_all(b"x").unwrap();
            sched::sleep(Duration::from_millis(1));
        }
        drop(client);
        for reader in readers {
            let looks: u32 = reader.join().unwrap();
            assert!(looks < 100, "it looked {looks} times, so it did not wait");
        }
        assert_eq!(count.get(), 20);
    });
}

#[test]
fn a_stream_is_writable_while_there_is_room() {
    on_both(|| {
        let (client, mut server) = tcp_pair();
        wait_for(&client.writable());
        while client.try_write(&[0; 4096]).is_ok() {}
        // The network may still take some.
        while is_ready(&client.writable()) {
            while client.try_write(&[0; 4096]).is_ok() {}
        }
        let stop = Rc::new(Flag::new());
        let reader = sched::spawn({
            let stop = Rc::clone(&stop);
            move || {
                let mut buffer = vec![0; 64 << 10];
                while select(&[&server.readable(), &*stop]) == Ok(0) {
                    let _ = server.read(&mut buffer).unwrap();
                }
            }
        });
        wait_for(&client.writable());
        assert!(client.try_write(b"x").is_ok());
        stop.set();
        reader.join().unwrap();
    });
}

#[test]
fn a_listener_is_readable_while_a_connection_waits() {
    on_both(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!is_ready(&listener.readable()));
        let address = listener.local_addr().unwrap();
        let _clients = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
        for _ in 0..2 {
            wait_for(&listener.readable());
            listener.accept().unwrap();
        }
        assert!(!is_ready(&listener.readable()));
    });
}

#[test]
fn unix_sockets_are_readable_as_tcp_sockets_are() {
    on_both(|| {
        let path = SocketPath::new();
        let listener = UnixListener::bind(&path).unwrap();
        assert!(!is_ready(&listener.readable()));
        let mut client = UnixStream::connect(&path).unwrap();
        wait_for(&listener.readable());
        let (mut server, _) = listener.accept().unwrap();
        assert!(!is_ready(&server.readable()));
        client.write_all(b"ab").unwrap();
        for _ in 0..2 {
            wait_for(&server.readable());
            assert_eq!(server.read(&mut [0]).unwrap(), 1);
        }
        assert!(!is_ready(&server.readable()));
        drop(client);
        wait_for(&server.readable());
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_datagram_socket_is_readable_while_a_datagram_is_left() {
    on_both(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        wait_for(&socket.writable());
        assert!(!is_ready(&socket.readable()));
        let address = socket.local_addr().unwrap();
        let mut sent = 0;
        while sent < 3 {
            socket.send_to(b"x", address).unwrap();
            sent += 1;
        }
        // The network of a simulation may lose them.
        while is_ready(&socket.readable()) {
            assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
        }
        assert_eq!(kind(socket.try_recv(&mut [0; 8])), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_cancelled_select_loses_nothing() {
    on_both(|| {
        let (mut client, server) = tcp_pair();
        let server = Rc::new(server);
        let selecting = sched::spawn({
            let server = Rc::clone(&server);
            move || wait_for(&server.readable())
        });
        sched::sleep(SHORT);
        client.write_all(b"!").unwrap();
        selecting.cancel();
        let _ = selecting.join(); // the byte may have been quicker
        wait_for(&server.readable());
        assert_eq!((&*server).read(&mut [0; 8]).unwrap(), 1);
    });
}
