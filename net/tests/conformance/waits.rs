//! Waits that end by a deadline, a cancel or a timeout. None of these loses data or a client.

use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use straightline_net::{TcpListener, TcpStream};
use straightline_sched as sched;

use crate::both::{kind, on_both};
use crate::common::tcp_pair;

const SHORT: Duration = Duration::from_millis(5);

#[test]
fn a_deadline_in_the_middle_of_a_read_loses_nothing() {
    on_both(|| {
        let (mut client, mut server) = tcp_pair();
        assert!(sched::deadline(SHORT, || server.read(&mut [0; 8])).is_err());
        client.write_all(b"later").unwrap();
        let mut text = [0; 5];
        server.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"later");
    });
}

#[test]
fn a_cancel_in_the_middle_of_a_read_loses_nothing() {
    on_both(|| {
        let (mut client, server) = tcp_pair();
        let server = Rc::new(server);
        let reader = Rc::clone(&server);
        let reader = sched::spawn(move || (&*reader).read(&mut [0; 8]));
        sched::yield_now();
        reader.cancel();
        client.write_all(b"later").unwrap();
        assert!(reader.join().unwrap_err().is_cancelled());
        let mut text = [0; 5];
        (&*server).read_exact(&mut text).unwrap();
        assert_eq!(&text, b"later");
    });
}

#[test]
fn a_deadline_in_the_middle_of_an_accept_loses_no_client() {
    on_both(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(sched::deadline(SHORT, || listener.accept()).is_err());
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
    });
}

#[test]
fn a_cancel_in_the_middle_of_a_connect_leaves_nothing() {
    on_both(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connecting = sched::spawn(move || TcpStream::connect(address));
        sched::yield_now();
        connecting.cancel();
        // The connect may have succeeded before the cancel.
        drop(connecting.join());
        // A later client is served. The earlier client has closed its connection, or never had one.
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"!").unwrap();
        loop {
            let (mut server, peer) = listener.accept().unwrap();
            if peer == client.local_addr().unwrap() {
                assert_eq!(server.read(&mut [0; 8]).unwrap(), 1);
                break;
            }
            assert!(matches!(server.read(&mut [0; 8]), Ok(0) | Err(_)));
        }
    });
}

#[test]
fn a_read_timeout_is_an_error_and_nothing_is_lost() {
    on_both(|| {
        let (mut client, mut server) = tcp_pair();
        server.set_read_timeout(Some(SHORT)).unwrap();
        let start = sched::now();
        assert_eq!(kind(server.read(&mut [0])), ErrorKind::TimedOut);
        assert!(sched::now() - start >= SHORT);
        client.write_all(b"!").unwrap();
        server.set_read_timeout(None).unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 1);
    });
}

#[test]
fn a_write_timeout_is_an_error() {
    on_both(|| {
        let (mut client, server) = tcp_pair();
        client.set_write_timeout(Some(SHORT)).unwrap();
        let block = vec![0; 64 * 1024];
        let error = loop {
            if let Err(error) = client.write(&block) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(server);
    });
}

#[test]
fn a_try_never_waits() {
    on_both(|| {
        let (mut client, server) = tcp_pair();
        assert_eq!(kind(server.try_read(&mut [0; 8])), ErrorKind::WouldBlock);
        client.write_all(b"!").unwrap();
        while server.try_read(&mut [0; 8]).is_err() {
            server.wait_readable().unwrap();
        }
        assert_eq!(kind(server.try_read(&mut [0; 8])), ErrorKind::WouldBlock);
    });
}

#[test]
fn what_came_before_the_wait_ends_it_at_once() {
    on_both(|| {
        let (mut client, server) = tcp_pair();
        assert_eq!(kind(server.try_read(&mut [0; 8])), ErrorKind::WouldBlock);
        client.write_all(b"!").unwrap();
        // Usually the byte arrives in this time. The test also succeeds if it does not.
        sched::sleep(Duration::from_millis(if sched::sim::is_simulated() { 10_000 } else { 10 }));
        let in_time = sched::deadline(Duration::from_secs(60), || server.wait_readable());
        assert!(in_time.is_ok());
    });
}

#[test]
fn a_reader_and_a_writer_share_a_stream() {
    on_both(|| {
        let (client, mut server) = tcp_pair();
        let client = Rc::new(client);
        let reader = Rc::clone(&client);
        let reader = sched::spawn(move || {
            let mut text = [0; 4];
            (&*reader).read_exact(&mut text).map(|()| text)
        });
        sched::yield_now();
        (&*client).write_all(b"ping").unwrap();
        let mut text = [0; 4];
        server.read_exact(&mut text).unwrap();
        server.write_all(&text).unwrap();
        assert_eq!(&reader.join().unwrap().unwrap(), b"ping");
    });
}

#[test]
fn of_two_readers_each_gets_its_part() {
    on_both(|| {
        let (mut client, server) = tcp_pair();
        let server = Rc::new(server);
        let readers = [(); 2].map(|()| {
            let server = Rc::clone(&server);
            sched::spawn(move || (&*server).read(&mut [0; 1]).unwrap())
        });
        sched::yield_now();
        client.write_all(b"ab").unwrap();
        let total: usize = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        assert_eq!(total, 2);
    });
}

#[test]
fn an_end_ends_every_wait() {
    on_both(|| {
        let (client, server) = tcp_pair();
        let server = Rc::new(server);
        let readers = [(); 3].map(|()| {
            let server = Rc::clone(&server);
            sched::spawn(move || (&*server).read(&mut [0; 1]).unwrap())
        });
        sched::yield_now();
        drop(client);
        readers.into_iter().for_each(|reader| assert_eq!(reader.join().unwrap(), 0));
    });
}

#[test]
fn a_wait_for_room_ends_on_time_and_when_there_is_some() {
    on_both(|| {
        let (mut client, server) = tcp_pair();
        let mut filled = 0;
        // On some networks the buffer never fills, because data under way leaves it.
        let timed_out = loop {
            match server.try_write(&[7; 16 * 1024]) {
                Ok(count) => filled += count,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    let at = sched::turn_start() + Duration::from_millis(50);
                    if !server.wait_until(sched::Interest::Write, Some(at)).unwrap() {
                        break sched::turn_start() >= at;
                    }
                }
            }
        };
        assert!(timed_out);
        let reader = sched::spawn(move || {
            let mut bytes = vec![0; filled];
            client.read_exact(&mut bytes).map(|()| (client, bytes))
        });
        let at = sched::turn_start() + Duration::from_secs(3_600);
        while let Err(error) = server.try_write(b"!") {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            assert!(server.wait_until(sched::Interest::Write, Some(at)).unwrap());
        }
        let (_client, bytes) = reader.join().unwrap().unwrap();
        assert!(bytes.iter().all(|byte| *byte == 7));
    });
}

#[test]
fn a_peer_that_closes_is_gone_and_one_that_is_silent_is_not() {
    on_both(|| {
        let (client, server) = tcp_pair();
        assert!(!server.is_peer_gone());
        client.shutdown(std::net::Shutdown::Write).unwrap();
        server.wait_readable().unwrap();
        assert!(server.is_peer_gone());
        let (client, server) = tcp_pair();
        client.set_zero_linger().unwrap();
        drop(client);
        server.wait_readable().unwrap();
        assert!(server.is_peer_gone());
    });
}
