use std::io::{BufReader, IoSlice, Read, Write};
use std::time::Duration;

use straightline_net::{MemoryStream, Transport};
use straightline_sched::{self as sched, Interest, sim};
use straightline_tls::TlsProvider;

use crate::common::pair::{pair, pair_over};
use crate::common::tap::Tap;

fn simulate(test: impl Fn(TlsProvider) + Copy + 'static) {
    for &provider in TlsProvider::offered() {
        for seed in 0..5 {
            sim::run(seed, move || test(provider));
        }
    }
}

/// The peer reads everything before it answers, and the reader waits already.
#[test]
fn a_writer_that_does_not_flush_keeps_no_reader_waiting() {
    simulate(|provider| {
        let (client, mut server) = pair(provider, 100);
        let (mut reader, mut writer) = straightline_net::split(client);
        let answer = sched::spawn(move || {
            let mut answer = [0; 6];
            reader.read_exact(&mut answer).map(|()| answer)
        });
        sched::sleep(Duration::from_millis(1));
        let serving = sched::spawn(move || {
            let mut asked = vec![0; 10_000];
            server.read_exact(&mut asked)?;
            server.write_all(b"answer")?;
            std::io::Result::Ok(server)
        });
        writer.write_all(&[7; 10_000]).expect("a reader");
        assert_eq!(&answer.join().expect("no panic").expect("an answer"), b"answer");
        drop(serving.join().expect("no panic").expect("a request"));
    });
}

#[test]
fn slices_of_one_write_make_one_record() {
    simulate(|provider| {
        let (near, far) = MemoryStream::pair(1 << 20);
        let (mut client, mut server) = pair_over(provider, Tap::new(near), far);
        server.write_all(b"x").expect("a reader");
        client.read_exact(&mut [0]).expect("a byte"); // and the tickets
        client.get_ref().take_records();
        let slices = [&b"one "[..], b"", b"two ", b"three"].map(IoSlice::new);
        let count = client.write_vectored(&slices).expect("a reader");
        assert_eq!(count, 13);
        assert_eq!(client.get_ref().take_records().len(), 1);
        let mut read = [0; 13];
        server.read_exact(&mut read).expect("all of it");
        assert_eq!(&read, b"one two three");
    });
}

#[test]
fn a_large_write_makes_full_records() {
    simulate(|provider| {
        let (near, far) = MemoryStream::pair(1 << 20);
        let (mut client, _server) = pair_over(provider, Tap::new(near), far);
        client.get_ref().take_records();
        client.write_all(&vec![7; 100_000]).expect("a reader");
        let records = client.get_ref().take_records();
        assert_eq!(records.len(), 7);
        assert!(records[..6].iter().all(|record| record.payload.len() > 16_384));
    });
}

#[test]
fn an_empty_write_and_an_empty_read_mean_nothing() {
    simulate(|provider| {
        let (near, far) = MemoryStream::pair(1 << 20);
        let (mut client, mut server) = pair_over(provider, Tap::new(near), far);
        client.get_ref().take_records();
        assert_eq!(client.write(&[]).expect("nothing"), 0);
        assert_eq!(client.write_vectored(&[]).expect("nothing"), 0);
        assert_eq!(client.get_ref().take_records(), []);
        assert_eq!(server.read(&mut []).expect("nothing"), 0);
    });
}

/// The peer's window is full, and output waits; a `select` on what can be read sends it.
#[test]
fn a_wait_for_data_sends_what_is_left() {
    simulate(|provider| {
        let (client, mut server) = pair(provider, 100);
        let reading = sched::spawn(move || {
            let mut read = vec![0; 5_000];
            server.read_exact(&mut read)?;
            server.write_all(b"answer")?;
            std::io::Result::Ok(server)
        });
        assert_eq!(client.try_write(&[7; 5_000]).expect("room for it"), 5_000);
        assert!(client.unacknowledged().is_some_and(|count| count > 4_000));
        let mut answer = [0; 6];
        loop {
            straightline_sched::sync::select(&[&client.ready(Interest::Read)]).expect("no unwind");
            match client.try_read(&mut answer) {
                Ok(count) => break assert_eq!(&answer[..count], b"answer"),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
        drop(reading.join().expect("no panic").expect("data"));
    });
}

/// As above, with the fiber's stack gone.
#[test]
fn a_fiber_without_a_stack_sends_what_is_left() {
    simulate(|provider| {
        let (client, mut server) = pair(provider, 100);
        let reading = sched::spawn(move || {
            let mut read = vec![0; 5_000];
            server.read_exact(&mut read)?;
            server.write_all(b"answer")?;
            std::io::Result::Ok(server)
        });
        assert_eq!(client.try_write(&[7; 5_000]).expect("room for it"), 5_000);
        let resting = sched::spawn_stackless(move || {
            let mut answer = [0; 6];
            loop {
                match client.try_read(&mut answer) {
                    Ok(count) => {
                        assert_eq!(&answer[..count], b"answer");
                        return std::ops::ControlFlow::Break(());
                    }
                    Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
                }
                if client.arm(Interest::Read).expect("a stream in memory") {
                    return std::ops::ControlFlow::Continue(());
                }
            }
        });
        resting.join().expect("no panic");
        drop(reading.join().expect("no panic").expect("data"));
    });
}

#[test]
fn what_was_decrypted_and_not_read_is_news() {
    simulate(|provider| {
        let (client, mut server) = pair(provider, 1 << 20);
        server.write_all(b"hello").expect("a reader");
        let mut one = [0];
        let mut reader = BufReader::with_capacity(1, &client);
        for expected in b"hello" {
            assert!(client.wait_until(Interest::Read, None).expect("a stream in memory"));
            assert!(!client.arm(Interest::Read).expect("a stream in memory"));
            reader.read_exact(&mut one).expect("a byte");
            assert_eq!(one[0], *expected);
        }
        assert!(client.is_drained());
        let soon = sched::now() + Duration::from_millis(50);
        assert!(!client.wait_until(Interest::Read, Some(soon)).expect("a stream in memory"));
    });
}

#[test]
fn a_file_is_sent_in_bounded_pieces() {
    let path = std::env::temp_dir().join(format!("straightline-tls-{}", std::process::id()));
    let content: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    std::fs::write(&path, &content).expect("a folder for it");
    let kept = path.clone();
    simulate(move |provider| {
        let path = std::env::temp_dir().join(format!("straightline-tls-{}", std::process::id()));
        let (client, mut server) = pair(provider, 10_000);
        let file = std::fs::File::open(&path).expect("written above");
        let reading = sched::spawn(move || {
            let mut read = Vec::new();
            server.read_to_end(&mut read).map(|_| read)
        });
        let mut sent = 0;
        while sent < 200_000 {
            match client.try_send_file(&file, sent, 150_000) {
                Ok(count) => {
                    assert!(count <= 65_536, "a piece of {count} bytes");
                    sent += count as u64;
                }
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    client.wait_until(Interest::Write, None).expect("a stream in memory");
                }
            }
        }
        assert_eq!(client.try_send_file(&file, 200_000, 10).unwrap_or(0), 0);
        client.close().expect("a reader");
        let read = reading.join().expect("no panic").expect("a goodbye");
        assert_eq!(read.len(), 200_000);
        assert!(read.iter().copied().eq((0..=255).cycle().take(200_000)));
    });
    std::fs::remove_file(kept).expect("written above");
}

/// A client that sends its request and vanishes: the server cannot write, and reads what came.
#[test]
fn what_a_client_sent_before_it_left_is_read() {
    simulate(|provider| {
        let (near, far) = MemoryStream::pair(1 << 16);
        let config = crate::common::echo::config(provider);
        let server = sched::spawn(move || {
            let mut stream = straightline_tls::TlsStream::accept(far, &config)?;
            let mut asked = Vec::new();
            let read = stream.read_to_end(&mut asked);
            let written = stream.write_all(b"answer").and_then(|()| stream.flush());
            read.map(|_| (asked, written.is_err()))
        });
        let connector = crate::common::pair::connector(provider);
        let mut client = connector.connect("localhost", near).expect("a good server");
        client.write_all(b"hello").expect("a reader");
        client.close().expect("a reader");
        drop(client);
        let (asked, is_refused) = server.join().expect("no panic").expect("a whole request");
        assert_eq!(asked, b"hello");
        assert!(is_refused);
    });
}
