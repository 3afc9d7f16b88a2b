//! Several fibers may use one stream or one listener, each as if it were alone.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use crate::common::tcp_pair;
use straightline_net::{TcpListener, TcpStream};
use straightline_sched as sched;

#[test]
fn a_waiting_reader_does_not_hold_up_a_writer() {
    sched::run(|| {
        let (client, mut server) = tcp_pair();
        let client = Rc::new(client);
        let reader = sched::spawn({
            let client = Rc::clone(&client);
            move || {
                let mut answer = [0; 6];
                (&*client).read_exact(&mut answer).map(|()| answer)
            }
        });
        sched::sleep(Duration::from_millis(1));
        (&*client).write_all(b"question").unwrap();
        let mut question = [0; 8];
        server.read_exact(&mut question).unwrap();
        assert_eq!(&question, b"question");
        assert!(!reader.is_finished());
        server.write_all(b"answer").unwrap();
        assert_eq!(&reader.join().unwrap().unwrap(), b"answer");
    });
}

#[test]
fn a_writer_that_waits_for_room_does_not_hold_up_a_reader() {
    const BYTES: usize = 32 << 20;
    sched::run(|| {
        let (client, mut server) = tcp_pair();
        let client = Rc::new(client);
        let writer = sched::spawn({
            let client = Rc::clone(&client);
            move || {
                (&*client).write_all(&vec![7; BYTES]).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            }
        });
        sched::sleep(Duration::from_millis(1));
        for number in 0..100 {
            server.write_all(&[number]).unwrap();
            let mut byte = [0];
            (&*client).read_exact(&mut byte).unwrap();
            assert_eq!(byte[0], number);
        }
        assert!(!writer.is_finished());
        assert_eq!(std::io::copy(&mut server, &mut std::io::sink()).unwrap(), BYTES as u64);
        writer.join().unwrap();
    });
}

#[test]
fn several_readers_share_what_comes() {
    const MESSAGES: usize = 1_000;
    sched::run(|| {
        let (mut client, server) = tcp_pair();
        let server = Rc::new(server);
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let server = Rc::clone(&server);
                sched::spawn(move || {
                    let (mut sum, mut buffer) = (0, [0; 3]);
                    loop {
                        match (&*server).read(&mut buffer).unwrap() {
                            0 => return sum,
                            count => sum += count,
                        }
                    }
                })
            })
            .collect();
        for message in 0..MESSAGES {
            client.write_all(b"seven b").unwrap();
            if message % 10 == 0 {
                sched::sleep(Duration::ZERO);
            }
        }
        drop(client);
        let sums = readers.into_iter().map(|reader| reader.join().unwrap());
        assert_eq!(sums.sum::<usize>(), MESSAGES * 7);
    });
}

#[test]
fn several_fibers_accept_on_one_listener() {
    sched::run(|| {
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let acceptors: Vec<_> = (0..4)
            .map(|_| {
                let listener = Rc::clone(&listener);
                sched::spawn(move || (0..10).for_each(|_| drop(listener.accept().unwrap())))
            })
            .collect();
        sched::yield_now();
        let clients: Vec<_> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
        for acceptor in acceptors {
            acceptor.join().unwrap();
        }
        drop(clients);
    });
}

#[test]
fn a_stream_that_always_has_something_lets_others_run() {
    sched::run(|| {
        let (mut client, mut server) = tcp_pair();
        let flood = sched::spawn(move || while client.write_all(&[0; 1_000]).is_ok() {});
        let drain = sched::spawn(move || {
            let mut buffer = [0; 10];
            while server.read(&mut buffer).is_ok_and(|count| count > 0) {}
        });
        for _ in 0..20 {
            sched::sleep(Duration::from_millis(1));
        }
        drain.cancel();
        assert!(drain.join().unwrap_err().is_cancelled());
        flood.join().unwrap();
    });
}
