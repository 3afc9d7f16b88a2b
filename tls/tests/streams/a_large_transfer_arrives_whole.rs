//! Many bytes in both directions at once, over a stream below that holds few.

use std::io::{Read, Write};

use straightline_sched::{self as sched, sim};
use straightline_tls::TlsProvider;

use crate::common::pair::pair;

/// A byte that says where it belongs.
fn byte(index: usize) -> u8 {
    u8::try_from((index * 7 + index / 251) % 256).expect("a byte")
}

fn check(mut reader: impl Read, total: usize) {
    let mut buffer = vec![0; 30_000];
    let mut index = 0;
    loop {
        let count = reader.read(&mut buffer).expect("a whole stream");
        if count == 0 {
            break;
        }
        for read in &buffer[..count] {
            assert_eq!(*read, byte(index));
            index += 1;
        }
    }
    assert_eq!(index, total);
}

/// In both directions at once, each end with a reader and a writer.
fn transfer(provider: TlsProvider, capacity: usize, piece: usize, total: usize) {
    let (client, server) = pair(provider, capacity);
    let ends = [client, server].map(|stream| {
        let (reader, mut writer) = straightline_net::split(stream);
        let writing = sched::spawn(move || {
            for start in (0..total).step_by(piece) {
                let end = total.min(start + piece);
                let piece: Vec<u8> = (start..end).map(byte).collect();
                writer.write_all(&piece).expect("a reader");
            }
            writer.get_ref().close().expect("a reader");
        });
        let reading = sched::spawn(move || check(reader, total));
        (writing, reading)
    });
    for (writing, reading) in ends {
        writing.join().expect("no panic");
        reading.join().expect("no panic");
    }
}

#[test]
fn ten_megabytes_go_both_ways_through_a_hundred_bytes() {
    for &provider in TlsProvider::offered() {
        sched::run(move || transfer(provider, 100, 100_000, 10_000_000));
    }
}

#[test]
fn pieces_of_any_size_go_both_ways_in_any_order_of_turns() {
    for &provider in TlsProvider::offered() {
        for (seed, capacity) in [10, 100, 5_000, 20_000, 1_000_000].into_iter().enumerate() {
            for (piece, total) in [(1, 100), (5, 1_000), (16_384, 50_000), (200_000, 400_000)] {
                if total / capacity < 10_000 {
                    sim::run(seed as u64, move || transfer(provider, capacity, piece, total));
                }
            }
        }
    }
}
