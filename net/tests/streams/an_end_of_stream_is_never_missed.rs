//! The peer's end of stream is seen, also when it arrives together with the last bytes.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use crate::common::{joined_unless_it_hangs, tcp_pair};
use straightline_net::{TcpListener, TcpStream};
use straightline_sched::{self as sched};

const MESSAGE: &[u8] = b"all there is";

/// Reads up to the end of stream, with a buffer of `buffer_bytes`: shorter than the message, as
/// long, or longer.
const BUFFER_BYTES: [usize; 6] = [1, 5, MESSAGE.len() - 1, MESSAGE.len(), MESSAGE.len() + 1, 4_096];

fn read_to_end(mut stream: &TcpStream, buffer_bytes: usize) -> Vec<u8> {
    let (mut received, mut buffer) = (Vec::new(), vec![0; buffer_bytes]);
    loop {
        match stream.read(&mut buffer).expect("the peer ended in order") {
            0 => return received,
            count => received.extend_from_slice(&buffer[..count]),
        }
    }
}

#[test]
fn an_end_that_was_there_before_the_first_read_is_seen() {
    sched::run(|| {
        for buffer_bytes in BUFFER_BYTES {
            let (mut client, server) = tcp_pair();
            client.write_all(MESSAGE).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let received = joined_unless_it_hangs(move || read_to_end(&server, buffer_bytes));
            assert_eq!(received.unwrap(), MESSAGE);
        }
    });
}

#[test]
fn an_end_that_comes_with_the_data_while_the_reader_waits_is_seen() {
    sched::run(|| {
        for buffer_bytes in BUFFER_BYTES {
            let (mut client, server) = tcp_pair();
            let received = joined_unless_it_hangs(move || {
                let server = Rc::new(server);
                let reader = sched::spawn(move || read_to_end(&server, buffer_bytes));
                (0..3).for_each(|_| sched::sleep(Duration::from_millis(1)));
                assert!(!reader.is_finished());
                client.write_all(MESSAGE).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                reader.join().unwrap()
            });
            assert_eq!(received.unwrap(), MESSAGE);
        }
    });
}

#[test]
fn an_end_that_comes_when_the_data_has_been_read_is_seen() {
    sched::run(|| {
        for buffer_bytes in BUFFER_BYTES {
            let (mut client, mut server) = tcp_pair();
            let received = joined_unless_it_hangs(move || {
                client.write_all(MESSAGE).unwrap();
                server.read_exact(&mut [0; MESSAGE.len()]).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                read_to_end(&server, buffer_bytes)
            });
            assert_eq!(received.unwrap(), b"");
        }
    });
}

#[test]
fn an_end_is_seen_again_by_each_further_read() {
    sched::run(|| {
        let (client, server) = tcp_pair();
        drop(client);
        let reads = joined_unless_it_hangs(move || {
            (0..3).map(|_| (&server).read(&mut [0; 8]).unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(reads.unwrap(), [0; 3]);
    });
}

#[test]
fn an_end_at_any_moment_is_seen() {
    const ROUNDS: usize = 300;
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let clients = thread::spawn(move || {
            for _ in 0..ROUNDS {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                client.write_all(MESSAGE).unwrap();
                client.write_all(MESSAGE).unwrap();
                drop(client);
            }
        });
        for round in 0..ROUNDS {
            let (stream, _) = listener.accept().unwrap();
            let buffer_bytes = BUFFER_BYTES[round % BUFFER_BYTES.len()];
            let received = joined_unless_it_hangs(move || read_to_end(&stream, buffer_bytes));
            assert_eq!(received.unwrap(), [MESSAGE, MESSAGE].concat());
        }
        clients.join().unwrap();
    });
}

#[test]
fn a_half_closed_connection_still_goes_the_other_way() {
    sched::run(|| {
        let (mut client, mut server) = tcp_pair();
        client.shutdown(Shutdown::Write).unwrap();
        assert!(client.write(b"!").is_err());
        let answer = joined_unless_it_hangs(move || {
            assert_eq!(server.read(&mut [0]).unwrap(), 0);
            server.write_all(MESSAGE).unwrap();
            drop(server);
            read_to_end(&client, 4_096)
        });
        assert_eq!(answer.unwrap(), MESSAGE);
    });
}

#[test]
fn a_reader_whose_own_side_shuts_down_is_woken() {
    sched::run(|| {
        let (client, _server) = tcp_pair();
        let read = joined_unless_it_hangs(move || {
            let client = Rc::new(client);
            let reader = sched::spawn({
                let client = Rc::clone(&client);
                move || (&*client).read(&mut [0; 8]).unwrap()
            });
            (0..3).for_each(|_| sched::sleep(Duration::from_millis(1)));
            client.shutdown(Shutdown::Both).unwrap();
            reader.join().unwrap()
        });
        assert_eq!(read.unwrap(), 0);
    });
}
