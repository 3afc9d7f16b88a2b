//! Full buffers and large transfers.

use std::fs::{self, File};
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, process};

use straightline_sched as sched;

use crate::both::{arrived, on_both, read_to_end};
use crate::common::{pattern, tcp_pair};

const LARGE: usize = 600_000;

#[test]
fn all_of_it_arrives_in_order() {
    on_both(|| {
        let (mut client, server) = tcp_pair();
        let writer = sched::spawn(move || client.write_all(&pattern(LARGE)));
        assert!(read_to_end(server) == pattern(LARGE));
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn both_directions_can_be_full() {
    on_both(|| {
        let (client, server) = tcp_pair();
        let (client, server) = (Rc::new(client), Rc::new(server));
        let ends = [Rc::clone(&client), Rc::clone(&server)];
        let writers = ends.map(|end| {
            sched::spawn(move || {
                (&*end).write_all(&pattern(LARGE)).unwrap();
                end.shutdown(std::net::Shutdown::Write).unwrap();
            })
        });
        let readers = [client, server].map(|end| sched::spawn(move || read_to_end(&*end)));
        readers.into_iter().for_each(|reader| assert!(reader.join().unwrap() == pattern(LARGE)));
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
}

#[test]
fn a_writer_waits_for_a_reader() {
    on_both(|| {
        let (client, server) = tcp_pair();
        let client = Rc::new(client);
        let (block, written) = (vec![7; 64 * 1024], Rc::new(std::cell::Cell::new(0)));
        let (writer, count) = (Rc::clone(&client), Rc::clone(&written));
        let writing = sched::spawn(move || {
            loop {
                let Ok(some) = (&*writer).write(&block) else { return };
                count.set(count.get() + some);
            }
        });
        arrived(&server, 1);
        // The writer stops after some time, because the peer does not read.
        let mut before = 0;
        while written.get() > before {
            before = written.get();
            sched::sleep(std::time::Duration::from_millis(if sched::sim::is_simulated() {
                20_000
            } else {
                200
            }));
        }
        writing.cancel();
        assert!(writing.join().unwrap_err().is_cancelled());
        client.shutdown(std::net::Shutdown::Write).unwrap();
        // The peer reads exactly the bytes that were written.
        assert_eq!(read_to_end(server).len(), written.get());
    });
}

#[test]
fn a_peek_takes_nothing() {
    on_both(|| {
        let (mut client, mut server) = tcp_pair();
        client.write_all(b"abc").unwrap();
        arrived(&server, 3);
        let mut buffer = [0; 8];
        assert_eq!(server.peek(&mut buffer[..2]).unwrap(), 2);
        assert_eq!(server.peek(&mut buffer).unwrap(), 3);
        assert_eq!(server.read(&mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], b"abc");
        let error = server.try_read(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn several_buffers_are_one() {
    on_both(|| {
        let (mut client, mut server) = tcp_pair();
        let slices = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
        let mut count = client.write_vectored(&slices).unwrap();
        while count < 5 {
            count += client.write(&b"abcde"[count..]).unwrap();
        }
        arrived(&server, 5);
        let (mut one, mut two) = ([0; 3], [0; 8]);
        let mut slices = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        assert_eq!(server.read_vectored(&mut slices).unwrap(), 5);
        assert_eq!((&one, &two[..2]), (b"abc", &b"de"[..]));
    });
}

#[test]
fn of_many_slices_some_are_taken() {
    on_both(|| {
        let (mut client, mut server) = tcp_pair();
        let writer = sched::spawn(move || {
            let sent = pattern(3_000);
            let mut slices: Vec<_> = sent.chunks(1).map(IoSlice::new).collect();
            let taken = client.try_write_vectored(&slices).unwrap();
            assert!((1..=1_024).contains(&taken), "{taken}");
            let mut rest = &mut slices[taken..];
            while !rest.is_empty() {
                let taken = client.write_vectored(rest).unwrap();
                assert!((1..=1_024).contains(&taken), "{taken}");
                IoSlice::advance_slices(&mut rest, taken);
            }
        });
        // One read fills at most 1,024 slices. The next read takes the remaining data at once,
        // without a wait for an event.
        let (mut received, mut count) = (vec![0; 3_000], 0);
        while count < 3_000 {
            let mut slices: Vec<_> = received[count..].chunks_mut(1).map(IoSliceMut::new).collect();
            let taken = server.read_vectored(&mut slices).unwrap();
            assert!((1..=1_024).contains(&taken), "{taken}");
            count += taken;
        }
        assert!(received == pattern(3_000));
        writer.join().unwrap();
    });
}

#[test]
fn a_short_read_leaves_nothing_behind() {
    on_both(|| {
        let (mut client, server) = tcp_pair();
        client.write_all(b"abc").unwrap();
        arrived(&server, 3);
        assert_eq!(server.try_read(&mut [0; 2]).unwrap(), 2);
        assert_eq!(server.try_read(&mut [0; 2]).unwrap(), 1);
        assert_eq!(server.try_read(&mut [0; 2]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

/// A file without a name, and its content.
fn a_file(bytes: usize) -> (File, Vec<u8>) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("straightline-{}-{number}", process::id()));
    let content = pattern(bytes);
    fs::write(&path, &content).expect("room on the disk");
    let file = File::open(&path).expect("the test has just written it");
    fs::remove_file(&path).expect("the test made the file");
    (file, content)
}

#[test]
fn a_file_is_sent_from_where_it_is_asked_for() {
    on_both(|| {
        let (file, content) = a_file(300_000);
        let (client, server) = tcp_pair();
        let reader = sched::spawn(move || read_to_end(client));
        let mut offset = 1;
        loop {
            match server.send_file(&file, offset, 100_000).expect("the client reads") {
                0 => break,
                count => offset += count as u64,
            }
        }
        assert_eq!(offset, 300_000);
        assert_eq!(server.send_file(&file, 1 << 40, 1).unwrap(), 0);
        drop(server);
        assert!(reader.join().expect("no panic") == content[1..]);
    });
}
