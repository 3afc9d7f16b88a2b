//! Cases 7: Close frames.

use super::{Case, run};
use crate::peer::{CLOSE, FIN, PING, TEXT, close, frame, text};

#[test]
fn a_close_is_answered_and_what_follows_is_ignored() {
    let ping = || frame(FIN | PING, "");
    let long = "BAsd7&jh23".repeat(26 * 1024);
    run([
        Case::new("7.1.1", vec![text("Hello World!"), close(1000, "")])
            .receives(TEXT, "Hello World!")
            .ends(1000),
        Case::new("7.1.2", vec![close(1000, ""), close(1000, "")]).ends(1000),
        Case::new("7.1.3", vec![close(1000, ""), ping()]).ends(1000),
        Case::new("7.1.4", vec![close(1000, ""), text("Hello World!")]).ends(1000),
        Case::new(
            "7.1.5",
            vec![frame(TEXT, "fragment1"), close(1000, ""), frame(FIN, "fragment2")],
        )
        .ends(1000),
        Case::new("7.1.6", vec![text(&long), text("Hello World!"), close(1000, ""), ping()])
            .receives(TEXT, &long)
            .receives(TEXT, "Hello World!")
            .ends(1000),
    ]);
}

#[test]
fn a_close_frame_is_checked() {
    let raw = |payload: &[u8]| vec![frame(FIN | CLOSE, payload)];
    run([
        Case::new("7.3.1", raw(b"")).ends(1005),
        Case::new("7.3.2", raw(b"a")).ends(1002),
        Case::new("7.3.3", vec![close(1000, "")]).ends(1000),
        Case::new("7.3.4", vec![close(1000, "Hello World!")]).ends(1000),
        Case::new("7.3.5", vec![close(1000, "*".repeat(123))]).ends(1000),
        Case::new("7.3.6", vec![close(1000, "*".repeat(124))]).ends(1002),
        Case::new("7.5.1", vec![close(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80edited")])
            .ends(1007),
    ]);
}

#[test]
fn a_code_is_one_that_may_be_sent() {
    let valid = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    let invalid = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    let case = |group, (nth, code): (usize, u16)| {
        Case::new(format!("7.{group}.{}", nth + 1), vec![close(code, "")])
    };
    run(valid.into_iter().enumerate().map(|(nth, code)| case(7, (nth, code)).ends(code)));
    run(invalid.into_iter().enumerate().map(|nth| case(9, nth).ends(1002)));
    // What the suite leaves open, and this server refuses.
    run([5000, 65_535].into_iter().enumerate().map(|nth| case(13, nth).ends(1002)));
}
