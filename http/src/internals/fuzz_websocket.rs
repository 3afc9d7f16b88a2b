//! Frames of a WebSocket: they mean the same in one piece and in several, no more is kept than the
//! limits allow, and another reader of the protocol finds the same messages.

use std::io::{self, Cursor, Read, Write};

use tungstenite::Message as OtherMessage;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

use crate::websocket::{Decoder, FrameLimits, Item, Message, Violation};
#[cfg(feature = "websocket-deflate")]
use crate::websocket::{Inflated, Inflation};

/// Tries the bytes of a client. The first byte says how they are cut into pieces.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_websocket(data: &[u8]) {
    let Some((&step, frames)) = data.split_first() else { return };
    let step = usize::from(step) + 1;
    // Also as if compressed messages were agreed on.
    decode_in_pieces(frames, step, true);
    let (items, violation) = decode_in_pieces(frames, step, false);
    let messages: Vec<_> = items
        .into_iter()
        .filter_map(|item| match item {
            Item::Message(message) => Some(message),
            _ => None,
        })
        .collect();
    let others = messages_of_other(frames);
    // Where one of them refuses what the other takes, the messages before that are the same.
    let common = messages.len().min(others.len());
    assert_eq!(messages[..common], others[..common]);
    if violation.is_none() {
        assert_eq!(messages.len(), others.len());
    }
}

/// As `decode`, which is to find the same in any pieces.
fn decode_in_pieces(
    frames: &[u8],
    step: usize,
    is_compressing: bool,
) -> (Vec<Item>, Option<Violation>) {
    let whole = decode(frames, frames.len().max(1), is_compressing);
    assert_eq!(whole, decode(frames, step, is_compressing));
    assert_eq!(whole, decode(frames, 1, is_compressing));
    whole
}

/// The items up to a Close frame or a violation.
fn decode(frames: &[u8], step: usize, is_compressing: bool) -> (Vec<Item>, Option<Violation>) {
    let mut decoder = Decoder::new(LIMITS, is_compressing);
    let mut items = Vec::new();
    for piece in frames.chunks(step) {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        while !rest.is_empty() {
            let (count, item) = match decoder.decode(rest) {
                Ok(result) => result,
                Err(violation) => return (items, Some(violation)),
            };
            assert!(count > 0 || item.is_some(), "no progress");
            assert!(decoder.held() <= LIMITS.message_bytes, "more than a message");
            rest = &mut rest[count..];
            match item {
                Some(Item::Message(message)) => {
                    assert!(message.len() <= LIMITS.message_bytes);
                    items.push(Item::Message(message));
                }
                #[cfg(feature = "websocket-deflate")]
                Some(Item::Compressed { bytes, .. }) => match inflate(bytes) {
                    Ok(message) => items.push(Item::Message(message.into())),
                    Err(violation) => return (items, Some(violation)),
                },
                Some(Item::Close(_)) => return (items, None),
                Some(item) => items.push(item),
                None => {}
            }
        }
    }
    (items, None)
}

/// What a compressed message stands for, within its limits.
#[cfg(feature = "websocket-deflate")]
fn inflate(bytes: Vec<u8>) -> Result<Vec<u8>, Violation> {
    let steps_max = bytes.len() + LIMITS.message_bytes + 10;
    let mut inflation = Inflation::new(bytes, LIMITS.message_bytes);
    for _ in 0..steps_max {
        match inflation.step(|_| true)? {
            Inflated::Part => {}
            Inflated::Whole(message) => {
                assert!(message.len() <= LIMITS.message_bytes);
                return Ok(message);
            }
            Inflated::NoRoom => unreachable!("there is room"),
        }
    }
    unreachable!("no progress")
}

/// The messages that `tungstenite` finds, up to its first error.
fn messages_of_other(frames: &[u8]) -> Vec<Message> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LIMITS.message_bytes))
        .max_frame_size(Some(LIMITS.frame_bytes))
        .read_buffer_size(1024);
    let stream = OneWay(Cursor::new(frames));
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    let mut messages = Vec::new();
    loop {
        match socket.read() {
            Ok(OtherMessage::Text(text)) => messages.push(Message::from(text.as_str())),
            Ok(OtherMessage::Binary(bytes)) => messages.push(Message::from(bytes)),
            Ok(OtherMessage::Close(_)) | Err(_) => return messages,
            Ok(_) => {}
        }
    }
}

/// A stream to read from, into which answers vanish.
struct OneWay<'f>(Cursor<&'f [u8]>);

impl Read for OneWay<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for OneWay<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const LIMITS: FrameLimits = FrameLimits { message_bytes: 300, frame_bytes: 200 };

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        /// Frames that are mostly valid, which random bytes are not.
        fn frames_of_any_kind_hold_them(step: u8, frames: Vec<(u8, u8, Vec<u8>)>) -> bool {
            let mut data = vec![step];
            for (kind, mask, payload) in frames {
                let opcodes = [0x01, 0x81, 0x02, 0x82, 0x00, 0x00, 0x80, 0x80, 0x89, 0x8a];
                let opcode = opcodes[usize::from(kind) % opcodes.len()];
                let is_text = kind < 128;
                let payload = &payload[..payload.len().min(125)];
                data.extend([opcode, 0x80 | u8::try_from(payload.len()).expect("short")]);
                data.extend([mask; 4]);
                let readable = |byte: &u8| if is_text { byte & 0x7f } else { *byte };
                data.extend(payload.iter().map(|byte| readable(byte) ^ mask));
            }
            fuzz_websocket(&data);
            true
        }
    }
}
