//! Compressed messages: `permessage-deflate` (RFC 7692), each message by itself.
//!
//! The server agrees on it only without context takeover in both directions, so nothing is kept
//! between two messages, and all conversations of a shard share one compressor and one
//! decompressor. What a client's bytes become is bounded by the limit of a message: a bomb costs
//! that much at most until it is found out, and ends the conversation. A message is inflated in one
//! go, without a yield, and counts as memory of the server from then on.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use http::header;
use straightline_sched::checkpoint;

use super::close::CloseCode;
use super::violation::Violation;
use crate::proto::Headers;

/// What the server answers to an offer that it takes.
pub(super) const AGREED: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// Whether one of the client's offers can be taken.
pub(super) fn is_offered(headers: Headers<'_>) -> bool {
    headers.list(header::SEC_WEBSOCKET_EXTENSIONS).any(is_acceptable)
}

/// An offer is declined if it has a parameter twice, or an unknown one, or a value that no peer may
/// send, or wants a smaller window of the server (RFC 7692 section 7).
fn is_acceptable(offer: &str) -> bool {
    let mut parts = offer.split(';').map(str::trim);
    if !parts.next().is_some_and(|name| name.eq_ignore_ascii_case("permessage-deflate")) {
        return false;
    }
    let mut seen = Vec::new();
    parts.all(|parameter| {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim_start().trim_matches('"'))),
            None => (parameter, None),
        };
        let is_first = !seen.contains(&name);
        seen.push(name);
        is_first
            && match (name, value) {
                ("server_no_context_takeover" | "client_no_context_takeover", value) => {
                    value.is_none()
                }
                ("server_max_window_bits", value) => value == Some("15"),
                ("client_max_window_bits", None) => true,
                ("client_max_window_bits", Some(bits)) => {
                    matches!(bits, "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15")
                }
                _ => false,
            }
    })
}

/// What a compressed message stands for, up to that many bytes. Not a yield point.
pub(super) fn inflate(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, Violation> {
    thread_local! {
        static INFLATER: RefCell<Decompress> = RefCell::new(Decompress::new(false));
    }
    INFLATER.with_borrow_mut(|inflater| {
        inflater.reset(false);
        let mut message = Vec::new();
        inflate_part(inflater, bytes, &mut message, bytes_max)?;
        inflate_part(inflater, &TAIL, &mut message, bytes_max)?;
        message.shrink_to_fit();
        Ok(message)
    })
}

fn inflate_part(
    inflater: &mut Decompress,
    mut bytes: &[u8],
    message: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<(), Violation> {
    loop {
        if message.len() > bytes_max {
            let what = "a message that is too long";
            return Err(Violation { code: CloseCode::TOO_LONG, what });
        }
        if message.len() == message.capacity() {
            // One byte beyond the limit shows that the message is too long.
            let more = message.len().max(INFLATED_BYTES_MIN);
            message.reserve_exact(more.min(bytes_max.saturating_add(1) - message.len()));
        }
        let before = inflater.total_in();
        let status = inflater.decompress_vec(bytes, message, FlushDecompress::Sync);
        let count = usize::try_from(inflater.total_in() - before).unwrap_or(bytes.len());
        bytes = &bytes[count..];
        match status {
            // A final block is allowed in the middle (RFC 7692 section 7.2.3.5).
            Ok(Status::StreamEnd) => inflater.reset(false),
            Ok(Status::Ok) => {}
            Ok(Status::BufError) if bytes.is_empty() => {}
            Ok(Status::BufError) | Err(_) => {
                let what = "a message that is not compressed as agreed";
                return Err(Violation { code: CloseCode::INVALID_TEXT, what });
            }
        }
        if bytes.is_empty() && message.len() < message.capacity() {
            return Ok(());
        }
    }
}

/// A message, compressed; `None` if that is not shorter.
///
/// A yield point for a long message.
pub(super) fn deflate(bytes: &Bytes) -> Option<Bytes> {
    thread_local! {
        static DEFLATER: Cell<Option<Box<Compress>>> = const { Cell::new(None) };
    }
    if bytes.len() < DEFLATE_BYTES_MIN {
        return None;
    }
    let new = || Box::new(Compress::new(Compression::fast(), false));
    let mut deflater = DEFLATER.take().unwrap_or_else(new);
    deflater.reset();
    let mut message = Vec::with_capacity(bytes.len());
    for piece in bytes.chunks(PIECE_BYTES) {
        // Another fiber that compresses meanwhile makes a compressor of its own.
        checkpoint();
        if !deflate_part(&mut deflater, piece, &mut message, FlushCompress::None) {
            break;
        }
    }
    let is_shorter = deflate_part(&mut deflater, &[], &mut message, FlushCompress::Sync);
    DEFLATER.set(Some(deflater));
    let whole = message.strip_suffix(&TAIL)?;
    is_shorter.then(|| Bytes::copy_from_slice(whole))
}

/// False if the message has no room.
fn deflate_part(
    deflater: &mut Compress,
    mut bytes: &[u8],
    message: &mut Vec<u8>,
    flush: FlushCompress,
) -> bool {
    while message.len() < message.capacity() {
        let before = deflater.total_in();
        if deflater.compress_vec(bytes, message, flush).is_err() {
            return false;
        }
        let count = usize::try_from(deflater.total_in() - before).unwrap_or(bytes.len());
        bytes = &bytes[count..];
        // What did not fill the room is complete.
        if bytes.is_empty() && message.len() < message.capacity() {
            return true;
        }
    }
    false
}

/// The end of a flush, which is left out of each message (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// A shorter message becomes hardly shorter.
const DEFLATE_BYTES_MIN: usize = 64;

/// Some hundred microseconds of work.
const PIECE_BYTES: usize = 32 * 1024;

/// The first room of a message that is inflated.
const INFLATED_BYTES_MIN: usize = 1024;

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn a_message_becomes_itself_again(words: Vec<u8>, repeat: u8) -> bool {
            let bytes = Bytes::from(words.repeat(usize::from(repeat)));
            match deflate(&bytes) {
                None => true,
                Some(compressed) => {
                    compressed.len() < bytes.len()
                        && inflate(&compressed, bytes.len()).as_deref() == Ok(&bytes[..])
                        && inflate(&compressed, bytes.len() - 1).is_err()
                }
            }
        }

        fn any_bytes_are_bounded(bytes: Vec<u8>, bytes_max: u16) -> bool {
            let bytes_max = usize::from(bytes_max);
            inflate(&bytes, bytes_max).is_ok_and(|message| message.len() <= bytes_max)
                || inflate(&bytes, bytes_max).is_err()
        }
    }

    /// RFC 7692 section 7.2.3.
    #[test]
    fn the_examples_of_the_rfc_are_read() {
        for compressed in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(inflate(compressed, 5).as_deref(), Ok(&b"Hello"[..]));
        }
    }

    #[test]
    fn offers_are_taken_that_cost_nothing_between_messages() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "Permessage-Deflate;client_max_window_bits=\"10\" ; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits=15; client_no_context_takeover",
        ] {
            assert!(is_acceptable(offer), "{offer}");
        }
        for offer in [
            "",
            "x-webkit-deflate-frame",
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=016",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; unknown",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        ] {
            assert!(!is_acceptable(offer), "{offer}");
        }
    }
}
