//! Functions that move a whole file do it in pieces, and lose nothing between them.

use std::fs;
use std::io::{Read, Write};

use crate::common::run;
use crate::scratch::Scratch;
use straightline_sched as sched;

const PIECE: usize = 1 << 20;

fn bytes(count: usize) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(count / 251 + 1);
    bytes.truncate(count);
    bytes
}

#[test]
fn files_around_the_length_of_a_piece_are_whole() {
    run(|| {
        let scratch = Scratch::new();
        let path = scratch.join("file");
        for count in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5] {
            let bytes = bytes(count);
            sched::fs::write(&path, &bytes).unwrap();
            assert!(fs::read(&path).unwrap() == bytes, "{count} bytes were written");
            assert!(sched::fs::read(&path).unwrap() == bytes, "{count} bytes are read");
            let mut read = b"before".to_vec();
            let mut file = sched::fs::File::open(&path).unwrap();
            assert_eq!(file.read_to_end(&mut read).unwrap(), count);
            assert!(read[6..] == bytes && &read[..6] == b"before");
        }
    });
}

#[test]
fn a_file_of_unknown_length_is_read() {
    if cfg!(target_os = "linux") {
        run(|| {
            let version = sched::fs::read_to_string("/proc/version").unwrap(); // its length is 0
            assert!(version.starts_with("Linux"));
        });
    }
}

#[test]
fn a_copy_around_the_length_of_its_pieces_is_whole() {
    const COPY_PIECE: usize = 16 << 20;
    run(|| {
        let scratch = Scratch::new();
        let (from, to) = (scratch.join("from"), scratch.join("to"));
        fs::write(&to, "an older and longer text").unwrap();
        for count in [0, 7, COPY_PIECE - 1, COPY_PIECE, COPY_PIECE + 1] {
            let bytes = bytes(count);
            fs::write(&from, &bytes).unwrap();
            assert_eq!(sched::fs::copy(&from, &to).unwrap(), count as u64);
            assert!(fs::read(&to).unwrap() == bytes, "{count} bytes");
        }
    });
}

#[test]
fn a_call_moves_a_part_of_a_large_buffer() {
    const CALL: usize = 256 * 1024;
    run(|| {
        let scratch = Scratch::new();
        let mut file = sched::fs::File::create_new(scratch.join("file")).unwrap();
        for (count, moved) in [(CALL - 1, CALL - 1), (CALL, CALL), (CALL + 1, CALL)] {
            assert_eq!(file.write(&bytes(count)).unwrap(), moved);
            assert_eq!(file.read_at(&mut vec![0; count], 0).unwrap(), moved);
            file.set_len(0).unwrap();
        }
        let all = bytes(5 * CALL + 3);
        file.write_all_at(&all, 0).unwrap();
        let mut read = vec![0; all.len()];
        file.read_exact_at(&mut read, 0).unwrap();
        assert!(read == all);
    });
}
