//! Cases 5: fragments.

use super::{Case, run};
use crate::peer::{FIN, PING, PONG, TEXT, frame, text};

const MORE: u8 = 0;

#[test]
fn a_control_frame_is_not_fragmented() {
    let halves = |opcode| vec![frame(opcode, "fragment1"), frame(FIN | MORE, "fragment2")];
    run([Case::new("5.1", halves(PING)).ends(1002), Case::new("5.2", halves(PONG)).ends(1002)]);
}

#[test]
fn fragments_are_one_message() {
    let both = || [frame(TEXT, "fragment1"), frame(FIN | MORE, "fragment2")];
    let with_ping = || {
        let [first, second] = both();
        vec![first, frame(FIN | PING, "ping payload"), second]
    };
    // Whole, frame by frame, and byte by byte.
    for (nth, chop) in [0, 15, 1].into_iter().enumerate() {
        run([
            Case::new(format!("5.{}", nth + 3), both().to_vec())
                .chopped(chop)
                .receives(TEXT, "fragment1fragment2"),
            Case::new(format!("5.{}", nth + 6), with_ping())
                .chopped(chop)
                .receives(PONG, "ping payload")
                .receives(TEXT, "fragment1fragment2"),
        ]);
    }
}

#[test]
fn a_continuation_of_nothing_ends_the_conversation() {
    for (nth, chop) in [0, 40, 1].into_iter().enumerate() {
        for (first, bits) in [(9, FIN), (12, 0)] {
            let sent = vec![frame(bits | MORE, "non-continuation payload"), text("Hello, world!")];
            run([Case::new(format!("5.{}", first + nth), sent).chopped(chop).ends(1002)]);
        }
    }
    let whole = [frame(TEXT, "fragment1"), frame(FIN | MORE, "fragment2")];
    let sent = [&whole[..], &[frame(MORE, "fragment3"), frame(FIN | TEXT, "fragment4")]].concat();
    let twice = |bits| [frame(bits | MORE, "fragment1"), frame(FIN | TEXT, "fragment2")];
    run([
        Case::new("5.15", sent).receives(TEXT, "fragment1fragment2").ends(1002),
        Case::new("5.16", [twice(0), twice(0)].concat()).ends(1002),
        Case::new("5.17", [twice(FIN), twice(FIN)].concat()).ends(1002),
    ]);
}

#[test]
fn a_message_within_a_message_ends_the_conversation() {
    let sent = vec![frame(TEXT, "fragment1"), frame(FIN | TEXT, "fragment2")];
    run([Case::new("5.18", sent).ends(1002)]);
}

#[test]
fn pings_come_between_fragments() {
    let sent = vec![
        frame(TEXT, "fragment1"),
        frame(MORE, "fragment2"),
        frame(FIN | PING, "pongme 1!"),
        frame(MORE, "fragment3"),
        frame(MORE, "fragment4"),
        frame(FIN | PING, "pongme 2!"),
        frame(FIN | MORE, "fragment5"),
    ];
    for (number, chop) in [("5.19", 0), ("5.20", 1)] {
        run([Case::new(number, sent.clone())
            .chopped(chop)
            .receives(PONG, "pongme 1!")
            .receives(PONG, "pongme 2!")
            .receives(TEXT, "fragment1fragment2fragment3fragment4fragment5")]);
    }
}
