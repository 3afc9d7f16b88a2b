//! Cases 1 to 4: whole frames, Pings, and what is reserved.

use super::{Case, KINDS, run};
use crate::peer::{BINARY, CLOSE, FIN, PING, PONG, TEXT, frame, text};

#[test]
fn messages_of_any_length_come_back() {
    run(KINDS.into_iter().flat_map(|(group, opcode)| {
        let sizes = [(0, 0), (125, 0), (126, 0), (127, 0), (128, 0), (65_535, 0), (65_536, 0)];
        let sizes = sizes.into_iter().chain([(65_536, 997)]).enumerate();
        sizes.map(move |(nth, (size, chop))| {
            let payload = vec![b'*'; size];
            Case::new(format!("1.{group}.{}", nth + 1), vec![frame(FIN | opcode, &payload)])
                .chopped(chop)
                .receives(opcode, payload)
        })
    }));
}

#[test]
fn a_ping_gets_a_pong_and_a_pong_gets_nothing() {
    let ping = |payload: &[u8]| frame(FIN | PING, payload);
    let ping_case = |number: &str, payload: &[u8]| {
        Case::new(number, vec![ping(payload)]).receives(PONG, payload)
    };
    let ten = |number: &str| {
        let names: Vec<_> = (0..10).map(|nth| format!("payload-{nth}")).collect();
        let case = Case::new(number, names.iter().map(|name| ping(name.as_bytes())).collect());
        names.iter().fold(case, |case, name| case.receives(PONG, name))
    };
    run([
        ping_case("2.1", b""),
        ping_case("2.2", b"Hello, world!"),
        ping_case("2.3", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
        ping_case("2.4", &[0xfe; 125]),
        Case::new("2.5", vec![ping(&[0xfe; 126])]).ends(1002),
        ping_case("2.6", &[0xfe; 125]).chopped(1),
        Case::new("2.7", vec![frame(FIN | PONG, "")]),
        Case::new("2.8", vec![frame(FIN | PONG, "unsolicited pong payload")]),
        Case::new("2.9", vec![frame(FIN | PONG, "unsolicited"), ping(b"ping payload")])
            .receives(PONG, "ping payload"),
        ten("2.10"),
        ten("2.11").chopped(1),
    ]);
}

#[test]
fn a_reserved_bit_ends_the_conversation() {
    let (hello, ping) = ("Hello, world!", || frame(FIN | PING, ""));
    let with_bits = |bits: u8, opcode| frame(FIN | bits << 4 | opcode, hello);
    let after_a_text = |number: &str, bits, chop| {
        Case::new(number, vec![text(hello), with_bits(bits, TEXT), ping()])
            .chopped(chop)
            .receives(TEXT, hello)
            .ends(1002)
    };
    run([
        Case::new("3.1", vec![with_bits(1, TEXT)]).ends(1002),
        after_a_text("3.2", 2, 0),
        after_a_text("3.3", 3, 19),
        after_a_text("3.4", 4, 1),
        Case::new("3.5", vec![with_bits(5, BINARY)]).ends(1002),
        Case::new("3.6", vec![with_bits(6, PING)]).ends(1002),
        Case::new("3.7", vec![with_bits(7, CLOSE)]).ends(1002),
    ]);
}

#[test]
fn a_reserved_opcode_ends_the_conversation() {
    let hello = "Hello, world!";
    run([(1, 3), (2, 11)].into_iter().flat_map(|(group, opcode)| {
        (0..5).map(move |nth| {
            let number = format!("4.{group}.{}", nth + 1);
            let payload = if nth % 2 == 0 { "" } else { "reserved opcode payload" };
            let reserved = frame(FIN | (opcode + nth), payload);
            if nth < 2 {
                return Case::new(number, vec![reserved]).ends(1002);
            }
            Case::new(number, vec![text(hello), reserved, frame(FIN | PING, "")])
                .chopped(usize::from(nth == 4))
                .receives(TEXT, hello)
                .ends(1002)
        })
    }));
}
