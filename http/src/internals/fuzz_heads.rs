//! Heads of one client: what is remembered of earlier heads changes nothing about a later one.

use crate::Limits;
use crate::proto::{Head, HeadMemory, HeadParser};

/// Tries heads. A byte that no head may hold parts them.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_heads(data: &[u8]) {
    let limits = Limits {
        request_line_bytes: 200,
        field_line_bytes: 200,
        head_bytes: 600,
        fields: 8,
        ..Limits::default()
    };
    let (mut memory, mut head) = (HeadMemory::default(), Head::default());
    for bytes in data.split(|&byte| byte == 0) {
        // The next head follows, as in a pipeline.
        let bytes = &[bytes, b"\r\n\r\nGET / HTTP/1.1\r\n"].concat()[..];
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
