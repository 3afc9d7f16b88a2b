//! Cases 6: UTF-8.

use super::{Case, run};
use crate::peer::{FIN, TEXT, frame, text};

/// The sequences of a group, in the order of their numbers, and whether they are valid.
struct Group(u32, bool, &'static [&'static [u8]]);

#[test]
fn empty_texts_come_back() {
    let fragments =
        |parts: [&str; 3]| vec![frame(TEXT, parts[0]), frame(0, parts[1]), frame(FIN, parts[2])];
    run([
        Case::new("6.1.1", vec![text("")]).receives(TEXT, ""),
        Case::new("6.1.2", fragments(["", "", ""])).receives(TEXT, ""),
        Case::new("6.1.3", fragments(["", "middle frame payload", ""]))
            .receives(TEXT, "middle frame payload"),
    ]);
}

/// Each byte in a fragment of its own.
fn byte_by_byte(bytes: &[u8]) -> Vec<Vec<u8>> {
    let last = bytes.len() - 1;
    let first = |nth| if nth == 0 { TEXT } else { 0 } | if nth == last { FIN } else { 0 };
    bytes.iter().enumerate().map(|(nth, byte)| frame(first(nth), [*byte])).collect()
}

#[test]
fn a_valid_text_in_fragments_comes_back() {
    let greeting = "Hello-µ@ßöäüàá-UTF-8!!";
    let bytes = greeting.as_bytes();
    let kosme = "κόσμε";
    let halves = vec![frame(TEXT, &bytes[..12]), frame(FIN, &bytes[12..])];
    run([
        Case::new("6.2.1", vec![text(greeting)]).receives(TEXT, greeting),
        Case::new("6.2.2", halves).receives(TEXT, greeting),
        Case::new("6.2.3", byte_by_byte(greeting.as_bytes())).receives(TEXT, greeting),
        Case::new("6.2.4", byte_by_byte(kosme.as_bytes())).receives(TEXT, kosme),
    ]);
}

const BROKEN: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";

#[test]
fn an_invalid_text_ends_the_conversation() {
    run([
        Case::new("6.3.1", vec![text(BROKEN)]).ends(1007),
        Case::new("6.3.2", byte_by_byte(BROKEN)).ends(1007),
    ]);
}

/// The rest of the message is never sent: the fault is told without it.
#[test]
fn an_invalid_text_is_refused_before_its_end() {
    const VALID: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
    let long = frame(FIN | TEXT, [VALID, b"\xf4\x90\x80\x80", &[b'*'; 100]].concat());
    let early = |end: usize| vec![long[..end].to_vec()];
    run([
        Case::new("6.4.1", vec![frame(TEXT, VALID), frame(0, b"\xf4\x90\x80\x80")]).ends(1007),
        Case::new("6.4.2", vec![frame(TEXT, VALID), frame(0, b"\xf4\x90")]).ends(1007),
        Case::new("6.4.3", early(6 + VALID.len() + 4)).ends(1007),
        Case::new("6.4.4", early(6 + VALID.len() + 2)).ends(1007),
    ]);
}

const GROUPS: &[Group] = &[
    Group(
        5,
        true,
        &[
            b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
            b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
            b"\xcf\x83",
            b"\xe2\x82\xac",
            b"\xf0\x9f\x98\x80",
        ],
    ),
    Group(7, true, &[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
    Group(8, false, &[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
    Group(9, true, &[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
    Group(10, false, &[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]),
    // The fifth case of this group is invalid, and stands alone below.
    Group(11, true, &[b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"]),
    Group(
        12,
        false,
        &[
            b"\x80",
            b"\xbf",
            b"\x80\xbf",
            b"\x80\xbf\x80",
            b"\x80\xbf\x80\xbf",
            b"\x80\xbf\x80\xbf\x80",
            b"\x80\xbf\x80\xbf\x80\xbf",
            b"\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\xa0\xb0\xbe",
        ],
    ),
    Group(
        13,
        false,
        &[b"\xc0 \xc1 \xc2 ", b"\xe0 \xe1 \xe2 ", b"\xf0 \xf1 ", b"\xf8 \xf9 ", b"\xfc "],
    ),
    Group(
        14,
        false,
        &[
            b"\xc0",
            b"\xe0\x80",
            b"\xf0\x80\x80",
            b"\xf8\x80\x80\x80",
            b"\xfc\x80\x80\x80\x80",
            b"\xdf",
            b"\xef\xbf",
            b"\xf7\xbf\xbf",
            b"\xfb\xbf\xbf\xbf",
            b"\xfd\xbf\xbf\xbf\xbf",
        ],
    ),
    Group(
        15,
        false,
        &[b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf"],
    ),
    Group(16, false, &[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
    Group(
        17,
        false,
        &[
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xf0\x80\x80\xaf",
            b"\xf8\x80\x80\x80\xaf",
            b"\xfc\x80\x80\x80\x80\xaf",
        ],
    ),
    Group(
        18,
        false,
        &[
            b"\xc1\xbf",
            b"\xe0\x9f\xbf",
            b"\xf0\x8f\xbf\xbf",
            b"\xf8\x87\xbf\xbf\xbf",
            b"\xfc\x83\xbf\xbf\xbf\xbf",
        ],
    ),
    Group(
        19,
        false,
        &[
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xf0\x80\x80\x80",
            b"\xf8\x80\x80\x80\x80",
            b"\xfc\x80\x80\x80\x80\x80",
        ],
    ),
    Group(
        20,
        false,
        &[
            b"\xed\xa0\x80",
            b"\xed\xad\xbf",
            b"\xed\xae\x80",
            b"\xed\xaf\xbf",
            b"\xed\xb0\x80",
            b"\xed\xbe\x80",
            b"\xed\xbf\xbf",
        ],
    ),
    Group(
        21,
        false,
        &[
            b"\xed\xa0\x80\xed\xb0\x80",
            b"\xed\xa0\x80\xed\xbf\xbf",
            b"\xed\xad\xbf\xed\xb0\x80",
            b"\xed\xad\xbf\xed\xbf\xbf",
            b"\xed\xae\x80\xed\xb0\x80",
            b"\xed\xae\x80\xed\xbf\xbf",
            b"\xed\xaf\xbf\xed\xb0\x80",
            b"\xed\xaf\xbf\xed\xbf\xbf",
        ],
    ),
    Group(
        23,
        true,
        &[
            "\u{fff9}".as_bytes(),
            "\u{fffa}".as_bytes(),
            "\u{fffb}".as_bytes(),
            "\u{fffc}".as_bytes(),
            "\u{fffd}".as_bytes(),
            "\u{fffe}".as_bytes(),
            "\u{ffff}".as_bytes(),
        ],
    ),
];

#[test]
fn each_sequence_is_judged_as_the_standard_says() {
    run(GROUPS.iter().flat_map(|Group(group, is_valid, sequences)| {
        sequences.iter().enumerate().map(move |(nth, bytes)| {
            let case = Case::new(format!("6.{group}.{}", nth + 1), vec![text(bytes)]);
            if *is_valid { case.receives(TEXT, bytes) } else { case.ends(1007) }
        })
    }));
    run([Case::new("6.11.5", vec![text(b"\xf4\x90\x80\x80")]).ends(1007)]);
}

/// Cases 6.6: a text that ends in the middle of a character is not UTF-8.
#[test]
fn each_beginning_of_a_text_is_judged() {
    let kosme = "κόσμε".as_bytes();
    run((1..=kosme.len()).map(|end| {
        let case = Case::new(format!("6.6.{end}"), vec![text(&kosme[..end])]);
        match str::from_utf8(&kosme[..end]) {
            Ok(valid) => case.receives(TEXT, valid),
            Err(_) => case.ends(1007),
        }
    }));
}

/// Cases 6.22: the last two characters of each plane are no characters, and are valid.
#[test]
fn noncharacters_come_back() {
    let characters = (0..=16).flat_map(|plane| [plane << 16 | 0xfffe, plane << 16 | 0xffff]);
    run(characters.enumerate().map(|(nth, code)| {
        let text_of = char::from_u32(code).expect("no surrogate").to_string();
        Case::new(format!("6.22.{}", nth + 1), vec![text(&text_of)]).receives(TEXT, text_of)
    }));
}
