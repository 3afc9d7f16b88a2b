//! Cases 9 and 10: long messages, and many messages.

use super::{Case, KINDS, echo, run};
use crate::common::serve;
use crate::peer::{FIN, Peer, TEXT, frame};
use straightline::Request;
use straightline::websocket::upgrade;

const MIB: usize = 1024 * 1024;

/// A message of that many bytes, in fragments.
fn fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let last = payload.len().div_ceil(size) - 1;
    let first = |nth| if nth == 0 { opcode } else { 0 } | if nth == last { FIN } else { 0 };
    payload.chunks(size).enumerate().map(|(nth, part)| frame(first(nth), part)).collect()
}

#[test]
fn long_messages_come_back() {
    let sizes = [64 * 1024, 256 * 1024, MIB, 4 * MIB, 8 * MIB, 16 * MIB];
    run(KINDS.into_iter().flat_map(|(group, opcode)| {
        sizes.into_iter().enumerate().map(move |(nth, size)| {
            let payload = vec![b'*'; size];
            Case::new(format!("9.{group}.{}", nth + 1), vec![frame(FIN | opcode, &payload)])
                .receives(opcode, payload)
        })
    }));
}

#[test]
fn long_messages_in_fragments_come_back() {
    let sizes = [64, 256, 1024, 4096, 16 * 1024, 64 * 1024, 256 * 1024, MIB, 4 * MIB];
    run(KINDS.into_iter().flat_map(|(group, opcode)| {
        sizes.into_iter().enumerate().map(move |(nth, size)| {
            let payload = vec![b'*'; 4 * MIB];
            Case::new(format!("9.{}.{}", group + 2, nth + 1), fragments(opcode, &payload, size))
                .receives(opcode, payload)
        })
    }));
}

#[test]
fn long_messages_in_small_pieces_come_back() {
    run(KINDS.into_iter().flat_map(|(group, opcode)| {
        [64, 128, 256, 512, 1024, 2048].into_iter().enumerate().map(move |(nth, chop)| {
            let payload = vec![b'*'; MIB];
            let number = format!("9.{}.{}", group + 4, nth + 1);
            Case::new(number, vec![frame(FIN | opcode, &payload)])
                .chopped(chop)
                .receives(opcode, payload)
        })
    }));
}

/// Cases 9.7 and 9.8, with a tenth of the messages.
#[test]
fn many_messages_come_back_one_after_the_other() {
    let server = serve(|request: &mut Request| upgrade(request, echo));
    for (group, opcode) in KINDS {
        for (nth, size) in [0, 16, 64, 256, 1024, 4096].into_iter().enumerate() {
            let mut peer = Peer::open(&server, "/");
            for message in 0..100 {
                let payload = vec![b'*'; size];
                peer.send(frame(FIN | opcode, &payload));
                let received = peer.next().expect("an echo");
                let case = format!("9.{}.{}: message {message}", group + 6, nth + 1);
                assert!(received == (FIN | opcode, payload), "{case}");
            }
            peer.close();
        }
    }
}

#[test]
fn fragments_of_a_fixed_size_come_back() {
    let payload = vec![b'*'; 65_536];
    let sent = fragments(TEXT, &payload, 1300);
    run([Case::new("10.1.1", sent).receives(TEXT, payload)]);
}
