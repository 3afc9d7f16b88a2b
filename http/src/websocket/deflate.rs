//! Compressed messages: `permessage-deflate` (RFC 7692), each message by itself.
//!
//! The server agrees on it only without context takeover in both directions, so nothing is kept
//! between two messages, and the conversations of a shard share one compressor and one
//! decompressor.
//!
//! A message is inflated in pieces, with a yield between two of them, because few bytes may stand
//! for much work. Three bounds hold. What a message becomes is no longer than the limit of a
//! message, so a bomb costs that much at most until it is found out. It grows only as far as the
//! memory of the server allows. And it has few final blocks, each of which makes the decompressor
//! begin anew.

use std::cell::Cell;
use std::fmt;
use std::mem;

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use http::header;
use straightline_sched::checkpoint;

use super::close::CloseCode;
use super::violation::Violation;
use crate::proto::Headers;

/// What the server answers to the first of the client's offers that can be taken; `None` if there
/// is none.
pub(super) fn answer(headers: Headers<'_>) -> Option<&'static str> {
    headers.list(header::SEC_WEBSOCKET_EXTENSIONS).find_map(answer_to)
}

/// An offer is declined if it has a parameter twice, or an unknown one, or a value that no peer may
/// send, or wants a smaller window of the server (RFC 7692 section 7.1).
fn answer_to(offer: &str) -> Option<&'static str> {
    let mut parts = offer.split(';').map(str::trim);
    if !parts.next().is_some_and(|name| name.eq_ignore_ascii_case("permessage-deflate")) {
        return None;
    }
    let mut seen = Vec::new();
    let is_fit = parts.all(|parameter| {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start()))),
            None => (parameter, None),
        };
        let is_first = !seen.contains(&name);
        seen.push(name);
        is_first
            && match (name, value) {
                ("server_no_context_takeover" | "client_no_context_takeover", value) => {
                    value.is_none()
                }
                (SERVER_WINDOW, value) => value == Some("15"),
                ("client_max_window_bits", None) => true,
                ("client_max_window_bits", Some(bits)) => {
                    matches!(bits, "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15")
                }
                _ => false,
            }
    });
    // A client that bounds the window of the server must be told of the bound (section 7.1.2.1).
    let answer = if seen.contains(&SERVER_WINDOW) { AGREED_WITH_WINDOW } else { AGREED };
    is_fit.then_some(answer)
}

/// The value of a parameter, which may be a quoted string (RFC 6455 section 9.1).
fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    inner.unwrap_or(value)
}

/// The answer to most offers.
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

const AGREED_WITH_WINDOW: &str = "permessage-deflate; server_no_context_takeover; \
     client_no_context_takeover; server_max_window_bits=15";

const SERVER_WINDOW: &str = "server_max_window_bits";

/// A compressed message that becomes the bytes that it stands for, piece by piece.
pub(crate) struct Inflation {
    compressed: Vec<u8>,
    /// So many of the compressed bytes, and of [`END`] behind them, have been read.
    read: usize,
    /// The last step has filled its output, so there may be more without further input.
    is_full: bool,
    message: Vec<u8>,
    bytes_max: usize,
    final_blocks: u32,
    inflater: Option<Box<Inflater>>,
}

/// How far a step has come.
pub(crate) enum Inflated {
    /// There is more to do.
    Part,
    /// The message is complete.
    Whole(Vec<u8>),
    /// The message has no room to grow.
    NoRoom,
}

/// A decompressor, and the room for what one step makes.
struct Inflater {
    decompress: Decompress,
    output: Box<[u8]>,
}

thread_local! {
    /// The shard's, while no message is being inflated.
    static INFLATER: Cell<Option<Box<Inflater>>> = const { Cell::new(None) };
}

impl Inflation {
    /// Of a message that stands for `bytes_max` bytes at most.
    pub(crate) fn new(compressed: Vec<u8>, bytes_max: usize) -> Self {
        // Another message that is inflated meanwhile has made a decompressor of its own.
        let mut inflater = INFLATER.take().unwrap_or_else(|| {
            let output = vec![0; OUTPUT_BYTES].into_boxed_slice();
            Box::new(Inflater { decompress: Decompress::new(false), output })
        });
        inflater.decompress.reset(false);
        let message = Vec::new();
        Self {
            compressed,
            read: 0,
            is_full: false,
            message,
            bytes_max,
            final_blocks: 0,
            inflater: Some(inflater),
        }
    }

    /// Goes on: less than a hundred microseconds of work. Before the message grows, `try_hold` is
    /// asked for the memory that all of it has then; false if there is no room for that.
    ///
    /// Not a yield point.
    pub(crate) fn step(
        &mut self,
        mut try_hold: impl FnMut(usize) -> bool,
    ) -> Result<Inflated, Violation> {
        let Some(inflater) = &mut self.inflater else { return Ok(Inflated::Part) };
        if self.compressed.is_empty() {
            return Ok(Inflated::Whole(Vec::new()));
        }
        let Inflater { decompress, output } = &mut **inflater;
        let in_end = self.read.checked_sub(self.compressed.len());
        let input = match in_end {
            None => &self.compressed[self.read..],
            Some(_) if self.is_full => &[],
            Some(at) => &END[at..],
        };
        let input = &input[..input.len().min(INPUT_BYTES)];
        let before = (decompress.total_in(), decompress.total_out());
        let status = decompress.decompress(input, output, FlushDecompress::Sync);
        let read = count(before.0, decompress.total_in());
        let made = count(before.1, decompress.total_out());
        self.read += read;
        let is_read = self.read == self.compressed.len() + END.len();
        let is_whole = match status {
            Ok(Status::StreamEnd) if is_read => true,
            // A final block is allowed in the middle (RFC 7692 section 7.2.3.4), and at the end.
            Ok(Status::StreamEnd) if self.final_blocks < FINAL_BLOCKS_MAX => {
                self.final_blocks += 1;
                decompress.reset(false);
                self.read == self.compressed.len()
            }
            Ok(Status::Ok) if !is_read => false,
            Ok(Status::BufError) if input.is_empty() => false,
            Ok(Status::StreamEnd | Status::Ok | Status::BufError) | Err(_) => {
                return Err(NOT_AS_AGREED);
            }
        };
        // The end stands for nothing, unless it was taken for the rest of a block.
        if in_end.is_some() && !self.is_full && made > 0 {
            return Err(NOT_AS_AGREED);
        }
        self.is_full = made == OUTPUT_BYTES;
        let length = self.message.len() + made;
        if length > self.bytes_max {
            let what = "a message that is too long";
            return Err(Violation { code: CloseCode::TOO_LONG, what });
        }
        if length > self.message.capacity() {
            // It grows to twice its size, but not beyond its limit.
            let capacity = (self.message.capacity() * 2).min(self.bytes_max).max(length);
            if !try_hold(self.compressed.capacity() + INFLATER_BYTES + capacity) {
                return Ok(Inflated::NoRoom);
            }
            self.message.reserve_exact(capacity - self.message.len());
        }
        self.message.extend_from_slice(&output[..made]);
        if !is_whole {
            return Ok(Inflated::Part);
        }
        self.message.shrink_to_fit();
        Ok(Inflated::Whole(mem::take(&mut self.message)))
    }

    /// How many bytes of memory it keeps.
    pub(crate) fn held(&self) -> usize {
        self.compressed.capacity() + INFLATER_BYTES + self.message.capacity()
    }
}

impl Drop for Inflation {
    fn drop(&mut self) {
        // At the end of the thread there is no place for it any more.
        let _ = INFLATER.try_with(|place| place.set(self.inflater.take()));
    }
}

impl fmt::Debug for Inflation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflation").field("read", &self.read).finish_non_exhaustive()
    }
}

fn count(before: u64, after: u64) -> usize {
    usize::try_from(after - before).unwrap_or(usize::MAX)
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

/// What is read behind a message: its tail, and an empty final block. The stream ends with that
/// only if the message ended between two blocks, as a flush does, and was not cut.
const END: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

const NOT_AS_AGREED: Violation =
    Violation { code: CloseCode::INVALID_TEXT, what: "a message that is not compressed as agreed" };

/// A shorter message becomes hardly shorter.
const DEFLATE_BYTES_MIN: usize = 64;

/// Some hundred microseconds of work.
const PIECE_BYTES: usize = 32 * 1024;

/// How much of a compressed message is read in one step: less than a hundred microseconds of work,
/// also if it is nothing but the heads of blocks.
const INPUT_BYTES: usize = 4 * 1024;

/// How much one step makes.
const OUTPUT_BYTES: usize = 32 * 1024;

/// What a decompressor counts for: its window and its tables, and the output of a step.
const INFLATER_BYTES: usize = 48 * 1024 + OUTPUT_BYTES;

/// How many final blocks a message may have. Arbitrary: a client that ends its stream with each
/// flush makes one for each piece of its message.
const FINAL_BLOCKS_MAX: u32 = 16;

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    /// The whole message, which asks for all the memory that it takes.
    fn inflate(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, Violation> {
        let mut inflation = Inflation::new(bytes.to_vec(), bytes_max);
        loop {
            let mut asked = 0;
            let step = inflation.step(|bytes| {
                asked = bytes;
                true
            })?;
            assert!(asked == 0 || inflation.held() <= asked, "more than was asked for");
            match step {
                Inflated::Part => {}
                Inflated::Whole(message) => return Ok(message),
                Inflated::NoRoom => unreachable!("there is room"),
            }
        }
    }

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
    fn a_message_that_was_cut_is_refused() {
        let json = br#"{"from":"ada","to":"ada","text":"the fox jumps, the fox sees the fox"}"#;
        let mut stored = vec![0, json.len().try_into().expect("short"), 0];
        stored.extend([!stored[1], 0xff]);
        stored.extend(json);
        stored.push(0);
        let compressed = deflate(&Bytes::copy_from_slice(json)).expect("it becomes shorter");
        for whole in [&compressed[..], &stored[..]] {
            assert_eq!(inflate(whole, 100).as_deref(), Ok(&json[..]));
            // A single zero is a message of nothing.
            for cut in 2..whole.len() {
                assert_eq!(inflate(&whole[..cut], 100), Err(NOT_AS_AGREED), "{cut}");
            }
        }
    }

    #[test]
    fn a_message_of_nothing_is_empty() {
        for nothing in [&[][..], &[0], &[3, 0, 0]] {
            assert_eq!(inflate(nothing, 0).as_deref(), Ok(&[][..]));
        }
    }

    #[test]
    fn a_message_has_few_final_blocks() {
        let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        for (blocks, fits) in [(1, true), (16, true), (17, false), (1000, false)] {
            let mut compressed = hello.repeat(blocks);
            compressed.push(0);
            let inflated = inflate(&compressed, 5 * blocks);
            assert_eq!(inflated.is_ok(), fits, "{blocks}");
            assert!(inflated.is_err() || inflated == Ok(b"Hello".repeat(blocks)));
        }
    }

    #[test]
    fn what_stands_for_nothing_takes_many_steps() {
        let empty = [0, 0, 0, 0xff, 0xff].repeat(100_000);
        let mut inflation = Inflation::new(empty[..empty.len() - 4].to_vec(), 1);
        let mut steps = 0;
        while let Ok(Inflated::Part) = inflation.step(|_| true) {
            steps += 1;
        }
        assert!(steps >= 500_000 / INPUT_BYTES, "{steps}");
    }

    #[test]
    fn a_message_grows_only_where_there_is_room() {
        let bytes = Bytes::from(vec![0; 1 << 20]);
        let compressed = deflate(&bytes).expect("zeros");
        let most = 512 * 1024;
        let mut inflation = Inflation::new(compressed.to_vec(), 1 << 20);
        loop {
            match inflation.step(|bytes| bytes <= most) {
                Ok(Inflated::Part) => assert!(inflation.held() <= most),
                Ok(Inflated::NoRoom) => return,
                other => panic!("{}", other.is_ok()),
            }
        }
    }

    /// RFC 7692 sections 7.1.1, 7.1.2 and 5.1.
    #[test]
    fn offers_are_taken_that_cost_nothing_between_messages() {
        let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        for (offer, more) in [
            ("permessage-deflate", ""),
            ("permessage-deflate; server_no_context_takeover", ""),
            ("permessage-deflate; client_no_context_takeover", ""),
            ("permessage-deflate; client_max_window_bits", ""),
            ("permessage-deflate; client_max_window_bits=8", ""),
            ("permessage-deflate; client_max_window_bits=15", ""),
            ("Permessage-Deflate;client_max_window_bits=\"10\" ; server_no_context_takeover", ""),
            ("permessage-deflate; server_max_window_bits=15", "; server_max_window_bits=15"),
            ("permessage-deflate; server_max_window_bits=\"15\"", "; server_max_window_bits=15"),
            (
                "permessage-deflate; server_max_window_bits=15; client_no_context_takeover",
                "; server_max_window_bits=15",
            ),
        ] {
            assert_eq!(answer_to(offer), Some(&*format!("{agreed}{more}")), "{offer}");
        }
        for offer in [
            "",
            "x-webkit-deflate-frame",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=14",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=015",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=\"15",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=016",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=\"\"",
            "permessage-deflate; unknown",
            "permessage-deflate;",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        ] {
            assert_eq!(answer_to(offer), None, "{offer}");
        }
    }
}
