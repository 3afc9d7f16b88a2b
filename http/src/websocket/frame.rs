//! Heads of frames (RFC 6455 section 5.2), read and written by `tungstenite`.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Text,
    Binary,
    /// More of the message before it.
    Continuation,
    /// A text or bytes, compressed; only to be sent.
    #[cfg(feature = "websocket-deflate")]
    CompressedText,
    #[cfg(feature = "websocket-deflate")]
    CompressedBinary,
    Ping,
    Pong,
    Close,
}

/// The head of a frame that was received.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceivedHead {
    pub(super) kind: FrameKind,
    /// The message ends with this frame.
    pub(super) is_last: bool,
    /// The bit of a compressed message (RFC 7692 section 6).
    pub(super) is_compressed: bool,
    /// A bit is set that belongs to another extension.
    pub(super) is_reserved: bool,
    /// The frame's mask; a client must have one.
    pub(super) mask: Option<[u8; 4]>,
    /// How long the payload is.
    pub(super) length: u64,
}

impl ReceivedHead {
    /// The head at the beginning of `bytes`, and its length; `None` while it is not complete. An
    /// error is an opcode that does not exist, or a length with more bytes than it needs.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, &'static str> {
        let mut cursor = Cursor::new(bytes);
        let Ok(parsed) = FrameHeader::parse(&mut cursor) else {
            return Err(UNKNOWN_OPCODE);
        };
        let Some((header, length)) = parsed else { return Ok(None) };
        let kind = match header.opcode {
            OpCode::Data(Data::Text) => FrameKind::Text,
            OpCode::Data(Data::Binary) => FrameKind::Binary,
            OpCode::Data(Data::Continue) => FrameKind::Continuation,
            OpCode::Control(Control::Ping) => FrameKind::Ping,
            OpCode::Control(Control::Pong) => FrameKind::Pong,
            OpCode::Control(Control::Close) => FrameKind::Close,
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
                return Err(UNKNOWN_OPCODE);
            }
        };
        let head = Self {
            kind,
            is_last: header.is_final,
            is_compressed: header.rsv1,
            is_reserved: header.rsv2 || header.rsv3,
            mask: header.mask,
            length,
        };
        let head_bytes = usize::try_from(cursor.position()).unwrap_or(bytes.len());
        if head_bytes > shortest_head_bytes(length, header.mask.is_some()) {
            return Err(LONG_LENGTH);
        }
        Ok(Some((head, head_bytes)))
    }
}

/// The minimal number of bytes must be used for a length (RFC 6455 section 5.2).
fn shortest_head_bytes(length: u64, is_masked: bool) -> usize {
    let length_bytes = match length {
        0..126 => 0,
        126..65_536 => 2,
        _ => 8,
    };
    2 + length_bytes + if is_masked { 4 } else { 0 }
}

impl FrameKind {
    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Ping | Self::Pong | Self::Close)
    }

    fn is_compressed(self) -> bool {
        #[cfg(feature = "websocket-deflate")]
        let is_compressed = matches!(self, Self::CompressedText | Self::CompressedBinary);
        #[cfg(not(feature = "websocket-deflate"))]
        let is_compressed = {
            let _ = self;
            false
        };
        is_compressed
    }

    /// The head of a whole frame with a payload of that length, without a mask, as a server sends
    /// it.
    pub(super) fn head(self, length: usize) -> SentHead {
        let opcode = match self {
            Self::Text => OpCode::Data(Data::Text),
            Self::Binary => OpCode::Data(Data::Binary),
            #[cfg(feature = "websocket-deflate")]
            Self::CompressedText => OpCode::Data(Data::Text),
            #[cfg(feature = "websocket-deflate")]
            Self::CompressedBinary => OpCode::Data(Data::Binary),
            Self::Continuation => OpCode::Data(Data::Continue),
            Self::Ping => OpCode::Control(Control::Ping),
            Self::Pong => OpCode::Control(Control::Pong),
            Self::Close => OpCode::Control(Control::Close),
        };
        let rsv1 = self.is_compressed();
        let header = FrameHeader { is_final: true, rsv1, opcode, ..FrameHeader::default() };
        let (mut bytes, length) = ([0; SENT_HEAD_BYTES_MAX], length as u64);
        let written = header.format(length, &mut &mut bytes[..]);
        debug_assert!(written.is_ok(), "a head without a mask fits");
        let len = u8::try_from(header.len(length)).unwrap_or(0);
        SentHead { bytes, len }
    }
}

/// The head of a frame that is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentHead {
    bytes: [u8; SENT_HEAD_BYTES_MAX],
    len: u8,
}

impl SentHead {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Applies a mask to bytes of a payload, the first of which is byte `offset` of that payload (RFC
/// 6455 section 5.3). Eight bytes at a time, which the compiler makes wider.
pub(super) fn unmask(bytes: &mut [u8], mask: [u8; 4], offset: u64) {
    let mut turned = mask;
    turned.rotate_left(usize::try_from(offset % 4).unwrap_or(0));
    let [a, b, c, d] = turned;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let mut value = [0; 8];
        value.copy_from_slice(word);
        word.copy_from_slice(&(u64::from_ne_bytes(value) ^ wide).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(turned.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The head of a frame that a client sends: two bytes, eight of a length, and four of a mask.
pub(super) const HEAD_BYTES_MAX: usize = 14;

/// A server sends no mask.
const SENT_HEAD_BYTES_MAX: usize = 10;

const UNKNOWN_OPCODE: &str = "a frame of an unknown kind";

const LONG_LENGTH: &str = "a length with more bytes than it needs";

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn a_mask_is_the_same_in_any_pieces(bytes: Vec<u8>, mask: u32, at: usize) -> bool {
            let mask = mask.to_be_bytes();
            let simple = |(at, byte): (usize, &u8)| byte ^ mask[at % 4];
            let expected: Vec<u8> = bytes.iter().enumerate().map(simple).collect();
            let mut masked = bytes;
            let at = at % (masked.len() + 1);
            let (first, second) = masked.split_at_mut(at);
            unmask(first, mask, 0);
            unmask(second, mask, at as u64);
            masked == expected
        }

        fn a_head_has_the_shortest_length(length: u32) -> bool {
            let head = FrameKind::Binary.head(length as usize);
            let expected = match length {
                0..126 => 2,
                126..65_536 => 4,
                _ => 10,
            };
            let parsed = ReceivedHead::parse(head.bytes()).expect("known").expect("complete");
            head.bytes().len() == expected && parsed.0.length == u64::from(length)
        }
    }
}
