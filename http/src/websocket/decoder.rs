//! Bytes in, messages out: frames, fragments and their rules (RFC 6455 section 5), without a
//! socket.
//!
//! The decoder keeps its place between two calls, whatever bytes a call got. So a fiber that is
//! unwound between two reads loses nothing. What it keeps is bounded: the head of one frame, one
//! control frame, and one message up to the limit, whose buffer grows as its bytes arrive. A client
//! that only announces a long message costs nothing.

use bytes::Bytes;

use super::close::{CloseCode, CloseFrame};
use super::frame::{FrameKind, HEAD_BYTES_MAX, ReceivedHead, unmask};
use super::growing_text::GrowingText;
use super::message::Message;
#[cfg(feature = "websocket-deflate")]
use super::message::Text;
use super::settings::FrameLimits;
use super::violation::Violation;

/// What a client has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Message(Message),
    /// A message that is to be inflated.
    #[cfg(feature = "websocket-deflate")]
    Compressed {
        is_text: bool,
        bytes: Vec<u8>,
    },
    Ping(Bytes),
    Pong,
    Close(CloseFrame),
}

/// Reads the frames of one client.
#[derive(Debug)]
pub(crate) struct Decoder {
    limits: FrameLimits,
    /// Compressed messages were agreed on.
    is_compressing: bool,
    /// The beginning of a frame's head, whose rest has not come.
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: usize,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The payload of a control frame, at most 125 bytes.
    control: Vec<u8>,
    /// The message of which some frames have come.
    message: Option<Partial>,
}

/// A frame of which the head has come.
#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: FrameKind,
    is_last: bool,
    mask: [u8; 4],
    length: u64,
    read: u64,
}

/// A message that is not complete.
#[derive(Debug)]
struct Partial {
    content: Content,
}

/// What has come of a message.
#[derive(Debug)]
enum Content {
    /// A text is checked as it comes, so that a fault is told before the rest has come.
    Text(GrowingText),
    Bytes(Vec<u8>),
    /// Of a text or of bytes.
    #[cfg(feature = "websocket-deflate")]
    Compressed {
        is_text: bool,
        bytes: Vec<u8>,
    },
}

impl Decoder {
    pub(crate) fn new(limits: FrameLimits, is_compressing: bool) -> Self {
        Self {
            limits,
            is_compressing,
            head: [0; HEAD_BYTES_MAX],
            head_bytes: 0,
            frame: None,
            control: Vec::new(),
            message: None,
        }
    }

    /// How many bytes of memory it keeps for an incomplete message.
    pub(crate) fn held(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.content.capacity())
    }

    /// Reads `input` up to the end of an item at most: returns how many bytes it has read, and the
    /// item. Without an item, all bytes were read, or [`FRAMES_MAX`] frames: many frames without an
    /// item are work for several calls. The bytes that it has read are changed. After an error it
    /// must not be called again.
    pub(crate) fn decode(&mut self, input: &mut [u8]) -> Result<(usize, Option<Item>), Violation> {
        let mut at = 0;
        for _ in 0..FRAMES_MAX {
            if self.frame.is_none() {
                at += self.read_head(&input[at..])?;
            }
            let Some(mut frame) = self.frame.take() else { return Ok((at, None)) };
            let left = usize::try_from(frame.length - frame.read).unwrap_or(usize::MAX);
            let count = left.min(input.len() - at);
            let payload = &mut input[at..at + count];
            unmask(payload, frame.mask, frame.read);
            at += count;
            frame.read += count as u64;
            let is_whole = frame.read == frame.length;
            self.take_payload(frame, payload, is_whole)?;
            if !is_whole {
                self.frame = Some(frame);
                return Ok((at, None));
            }
            if let Some(item) = self.end_frame(frame)? {
                return Ok((at, Some(item)));
            }
        }
        Ok((at, None))
    }

    /// Reads bytes of a head, and returns how many. If the head is complete then, so is `frame`.
    fn read_head(&mut self, input: &[u8]) -> Result<usize, Violation> {
        let kept = self.head_bytes;
        let count = input.len().min(HEAD_BYTES_MAX - kept);
        self.head[kept..kept + count].copy_from_slice(&input[..count]);
        let parsed = ReceivedHead::parse(&self.head[..kept + count]).map_err(protocol_error)?;
        let Some((head, length)) = parsed else {
            self.head_bytes = kept + count;
            return Ok(count);
        };
        self.head_bytes = 0;
        self.frame = Some(self.checked(head)?);
        Ok(length - kept)
    }

    /// The frame of that head, if it may come now.
    fn checked(&mut self, head: ReceivedHead) -> Result<Frame, Violation> {
        let ReceivedHead { kind, is_last, is_compressed, is_reserved, mask, length } = head;
        let may_compress =
            self.is_compressing && matches!(kind, FrameKind::Text | FrameKind::Binary);
        let fault = match kind {
            _ if is_reserved || is_compressed && !may_compress => {
                Some("a frame of an extension that was not agreed on")
            }
            _ if mask.is_none() => Some("a frame without a mask"),
            _ if kind.is_control() && !is_last => Some("a control frame in fragments"),
            _ if kind.is_control() && length > CONTROL_BYTES_MAX => Some("a long control frame"),
            FrameKind::Close if length == 1 => Some("half a close code"),
            FrameKind::Continuation if self.message.is_none() => Some("a continuation of nothing"),
            FrameKind::Text | FrameKind::Binary if self.message.is_some() => {
                Some("a message within another one")
            }
            _ if length > i64::MAX as u64 => Some("a length beyond 63 bits"),
            _ => None,
        };
        let (Some(mask), None) = (mask, fault) else {
            return Err(protocol_error(fault.unwrap_or_default()));
        };
        if !kind.is_control() {
            self.check_length(length)?;
            if kind != FrameKind::Continuation {
                self.message = Some(Partial::new(kind == FrameKind::Text, is_compressed));
            }
        }
        Ok(Frame { kind, is_last, mask, length, read: 0 })
    }

    fn check_length(&self, length: u64) -> Result<(), Violation> {
        if length > self.limits.frame_bytes as u64 {
            return Err(Violation { code: CloseCode::TOO_LONG, what: "a frame that is too long" });
        }
        let before = self.message.as_ref().map_or(0, |message| message.content.len());
        if (before as u64).saturating_add(length) > self.limits.message_bytes as u64 {
            let what = "a message that is too long";
            return Err(Violation { code: CloseCode::TOO_LONG, what });
        }
        Ok(())
    }

    /// Adds bytes of a frame's payload.
    fn take_payload(
        &mut self,
        frame: Frame,
        payload: &[u8],
        is_whole: bool,
    ) -> Result<(), Violation> {
        match &mut self.message {
            Some(message) if !frame.kind.is_control() => {
                let left = usize::try_from(frame.length - frame.read).unwrap_or(usize::MAX);
                let bytes_max = self.limits.message_bytes;
                message.append(payload, left, !(is_whole && frame.is_last), bytes_max)
            }
            _ => {
                self.control.extend_from_slice(payload);
                Ok(())
            }
        }
    }

    /// A frame is complete: returns the item that ends with it.
    fn end_frame(&mut self, frame: Frame) -> Result<Option<Item>, Violation> {
        match frame.kind {
            FrameKind::Ping => Ok(Some(Item::Ping(std::mem::take(&mut self.control).into()))),
            FrameKind::Pong => {
                self.control = Vec::new();
                Ok(Some(Item::Pong))
            }
            FrameKind::Close => {
                close_frame(&std::mem::take(&mut self.control)).map(Item::Close).map(Some)
            }
            _ if !frame.is_last => Ok(None),
            _ => self.message.take().map(Partial::into_item).transpose(),
        }
    }
}

impl Partial {
    fn new(is_text: bool, is_compressed: bool) -> Self {
        #[cfg(feature = "websocket-deflate")]
        if is_compressed {
            let content = Content::Compressed { is_text, bytes: Vec::new() };
            return Self { content };
        }
        // Without the feature no head is let in that says so.
        let _ = is_compressed;
        let text = is_text.then(|| Content::Text(GrowingText::default()));
        Self { content: text.unwrap_or(Content::Bytes(Vec::new())) }
    }

    /// Appends bytes of a frame that has `left` more. The buffer grows to twice its size, but not
    /// beyond what the frame or the longest message needs.
    fn append(
        &mut self,
        payload: &[u8],
        left: usize,
        goes_on: bool,
        bytes_max: usize,
    ) -> Result<(), Violation> {
        let content = &mut self.content;
        let needed = content.len() + payload.len();
        if needed > content.capacity() {
            let doubled = needed.max((content.capacity() * 2).min(bytes_max));
            // More frames may follow, of a byte each.
            let capacity = if goes_on { doubled } else { doubled.min(needed.saturating_add(left)) };
            content.reserve_exact(capacity - content.len());
        }
        content.append(payload)
    }

    fn into_item(self) -> Result<Item, Violation> {
        Ok(match self.content {
            Content::Text(text) => Item::Message(text.finish()?.into()),
            Content::Bytes(bytes) => Item::Message(bytes.into()),
            #[cfg(feature = "websocket-deflate")]
            Content::Compressed { is_text, bytes } => Item::Compressed { is_text, bytes },
        })
    }
}

impl Content {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            #[cfg(feature = "websocket-deflate")]
            Self::Compressed { bytes, .. } => bytes.len(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Bytes(bytes) => bytes.capacity(),
            #[cfg(feature = "websocket-deflate")]
            Self::Compressed { bytes, .. } => bytes.capacity(),
        }
    }

    fn reserve_exact(&mut self, additional: usize) {
        match self {
            Self::Text(text) => text.reserve_exact(additional),
            Self::Bytes(bytes) => bytes.reserve_exact(additional),
            #[cfg(feature = "websocket-deflate")]
            Self::Compressed { bytes, .. } => bytes.reserve_exact(additional),
        }
    }

    fn append(&mut self, payload: &[u8]) -> Result<(), Violation> {
        match self {
            Self::Text(text) => return text.append(payload),
            Self::Bytes(bytes) => bytes.extend_from_slice(payload),
            #[cfg(feature = "websocket-deflate")]
            Self::Compressed { bytes, .. } => bytes.extend_from_slice(payload),
        }
        Ok(())
    }
}

/// A message of those bytes. A text has to be UTF-8.
#[cfg(feature = "websocket-deflate")]
pub(crate) fn message(is_text: bool, bytes: Bytes) -> Result<Message, Violation> {
    if !is_text {
        return Ok(Message::Binary(bytes));
    }
    Text::try_from(bytes).map(Message::Text).map_err(|_| Violation::INVALID_TEXT)
}

/// What a Close frame says.
fn close_frame(payload: &[u8]) -> Result<CloseFrame, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return Ok(CloseFrame::default());
    };
    let code = CloseCode::new(u16::from_be_bytes(*code));
    let Some(code) = code else { return Err(protocol_error("an invalid close code")) };
    let reason = str::from_utf8(reason).map_err(|_| Violation::INVALID_TEXT)?;
    Ok(CloseFrame { code: Some(code), reason: reason.into() })
}

fn protocol_error(what: &'static str) -> Violation {
    Violation { code: CloseCode::PROTOCOL_ERROR, what }
}

/// How many frames a call reads. Each call counts as one operation of its fiber, and a read of the
/// stream may find ten thousand empty fragments. Arbitrary: as much work as another operation.
const FRAMES_MAX: usize = 32;

/// RFC 6455 section 5.5.
const CONTROL_BYTES_MAX: u64 = 125;
