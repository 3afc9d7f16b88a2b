//! Heads of one client: what is remembered of earlier heads changes nothing about a later one.

use crate::Limits;
use crate::proto::{Head, HeadMemory, HeadParser};

/// Tries heads. A byte that no head may hold parts them. The first byte chooses the limits, and
/// what follows each head.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_heads(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    let limits = if choice & 1 == 0 {
        Limits::default()
    } else {
        Limits {
            request_line_bytes: 200,
            field_line_bytes: 200,
            head_bytes: 600,
            fields: 8,
            ..Limits::default()
        }
    };
    let behind: &[u8] = match choice & 6 {
        0 => b"",
        2 => b"\r\n",
        4 => b"\r\n\r\n",
        _ => b"\r\n\r\nGET / HTTP/1.1\r\n", // as in a pipeline
    };
    let mut memory = HeadMemory::default();
    for bytes in data.split(|&byte| byte == 0) {
        let bytes = &[bytes, behind].concat()[..];
        // Nothing of another head may be left in it.
        let mut head = Head { minor: 9, end: 7, expect_continue: true, ..Head::default() };
        let mut fresh = Head::default();
        let outcome = HeadParser::default().parse(bytes, &limits, &mut fresh);
        if memory.recall(bytes, &limits, &mut head) {
            assert_eq!(outcome, Ok(true), "recalled");
            assert_eq!(format!("{head:?}"), format!("{fresh:?}"));
        } else if outcome == Ok(true) {
            memory.learn(bytes, &fresh);
        }
    }
}
