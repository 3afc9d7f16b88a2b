//! Megabytes in both directions at once arrive whole and in order, however slowly they are read.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;

use crate::common::tcp_pair;
use straightline_net::{TcpStream, UnixStream};
use straightline_sched::{self as sched, JoinHandle};

const BYTES: usize = 8 << 20;

/// Bytes with a long period, so that a lost, doubled or moved piece is noticed.
struct Pattern(u32);

impl Pattern {
    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0.to_be_bytes()[0]
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.next());
    }

    fn check(&mut self, bytes: &[u8]) {
        assert!(bytes.iter().all(|byte| *byte == self.next()), "bytes were changed or moved");
    }
}

fn send(seed: u32, mut write: impl FnMut(&[u8]) -> usize) {
    let (mut pattern, mut left) = (Pattern(seed), BYTES);
    let mut buffer = vec![0; 50_000];
    while left > 0 {
        let piece = left.min(buffer.len());
        pattern.fill(&mut buffer[..piece]);
        let mut written = 0;
        while written < piece {
            written += write(&buffer[written..piece]);
        }
        left -= piece;
    }
}

fn receive(seed: u32, mut read: impl FnMut(&mut [u8]) -> usize) {
    let (mut pattern, mut received) = (Pattern(seed), 0);
    let mut buffer = vec![0; 70_000];
    loop {
        let count = read(&mut buffer);
        if count == 0 {
            break;
        }
        pattern.check(&buffer[..count]);
        received += count;
        if received % 3 == 0 {
            sched::yield_now();
        }
    }
    assert_eq!(received, BYTES);
}

/// One end: sends one pattern while it receives the other.
fn end(stream: TcpStream, sends: u32, receives: u32) -> [JoinHandle<()>; 2] {
    let stream = Rc::new(stream);
    let writer = Rc::clone(&stream);
    let writer = sched::spawn(move || {
        send(sends, |bytes| (&*writer).write(bytes).expect("the other end reads"));
        writer.shutdown(Shutdown::Write).expect("the socket is connected");
    });
    let reader = sched::spawn(move || {
        receive(receives, |buffer| (&*stream).read(buffer).expect("the other end writes"));
    });
    [writer, reader]
}

#[test]
fn both_directions_at_once_arrive_whole() {
    sched::run(|| {
        let (one, other) = tcp_pair();
        for fiber in end(one, 1, 2).into_iter().chain(end(other, 2, 1)) {
            fiber.join().unwrap();
        }
    });
}

#[test]
fn a_writer_does_not_run_ahead_of_its_reader() {
    sched::run(|| {
        let (one, other) = tcp_pair();
        let writer = sched::spawn(move || {
            send(3, |bytes| (&one).write(bytes).unwrap());
        });
        // Far more than both kernel buffers take, so the writer cannot finish before the peer
        // reads.
        for _ in 0..1_000 {
            sched::yield_now();
        }
        assert!(!writer.is_finished());
        receive(3, |buffer| (&other).read(buffer).unwrap());
        writer.join().unwrap();
    });
}

#[test]
fn vectored_reads_and_writes_keep_the_order() {
    sched::run(|| {
        let (one, other) = tcp_pair();
        let writer = sched::spawn(move || {
            send(4, |bytes| {
                let (first, rest) = bytes.split_at(bytes.len() / 3);
                let (second, third) = rest.split_at(rest.len() / 2);
                let slices = [first, &[], second, third].map(IoSlice::new);
                (&one).write_vectored(&slices).expect("the other end reads")
            });
        });
        receive(4, |buffer| {
            let middle = buffer.len() / 7;
            let (first, second) = buffer.split_at_mut(middle);
            let mut slices = [IoSliceMut::new(first), IoSliceMut::new(second)];
            (&other).read_vectored(&mut slices).expect("the other end writes")
        });
        writer.join().unwrap();
    });
}

#[test]
fn a_unix_stream_takes_as_much() {
    sched::run(|| {
        let (one, other) = UnixStream::pair().unwrap();
        let writer = sched::spawn(move || send(5, |bytes| (&one).write(bytes).unwrap()));
        receive(5, |buffer| (&other).read(buffer).unwrap());
        writer.join().unwrap();
    });
}
