//! Messages: text and binary.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str::Utf8Error;
use std::sync::Arc;

use bytes::Bytes;
use tungstenite::Utf8Bytes;

use crate::control::Held;

/// A message of a WebSocket. Clones share the bytes.
///
/// ```
/// use straightline::websocket::Message;
///
/// let message = Message::from("hello");
/// assert_eq!(message.as_text(), Some("hello"));
/// assert_eq!(message.len(), 5);
/// assert_eq!(Message::from(vec![1, 2]).as_text(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text.
    Text(Text),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// The text; `None` for bytes. Not a yield point.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The bytes, also of a text. Not a yield point.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// How many bytes it has. Not a yield point.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether it has no bytes. Not a yield point.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// The same, counted as memory of the server until its last clone is dropped. A text is not
    /// checked again.
    pub(super) fn counted(self, held: Held) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.counted(held)),
            Self::Binary(bytes) => {
                Self::Binary(Bytes::from_owner(Counted { content: bytes, _held: held }))
            }
        }
    }

    /// The bytes without their kind. Not a yield point.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl From<Text> for Message {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(bytes))
    }
}

/// UTF-8 whose clones share the bytes. It dereferences to a `str`.
///
/// ```
/// use straightline::websocket::Text;
///
/// let text = Text::from("hello");
/// assert_eq!(text.to_uppercase(), "HELLO");
/// ```
#[derive(Clone)]
pub struct Text(Kind);

#[derive(Clone)]
enum Kind {
    Plain(Utf8Bytes),
    /// The text counts as memory of the server.
    Counted(Arc<Counted<Utf8Bytes>>),
}

/// The content of a message, and its count.
struct Counted<C> {
    content: C,
    _held: Held,
}

/// A counted text as the owner of its bytes.
struct CountedBytes(Arc<Counted<Utf8Bytes>>);

impl Text {
    fn counted(self, held: Held) -> Self {
        match self.0 {
            Kind::Plain(content) => Self(Kind::Counted(Arc::new(Counted { content, _held: held }))),
            Kind::Counted(_) => self,
        }
    }

    /// The bytes, which are UTF-8. Not a yield point.
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Kind::Plain(text) => text.into(),
            Kind::Counted(text) => Bytes::from_owner(CountedBytes(text)),
        }
    }
}

impl AsRef<[u8]> for Counted<Bytes> {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.content.as_bytes()
    }
}

impl Default for Text {
    fn default() -> Self {
        Self(Kind::Plain(Utf8Bytes::default()))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(other)
    }
}

impl TryFrom<Bytes> for Text {
    type Error = Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Self::Error> {
        Utf8Bytes::try_from(bytes).map(Kind::Plain).map(Self)
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Kind::Plain(text) => text.as_str(),
            Kind::Counted(text) => text.content.as_str(),
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Kind::Plain(text.into()))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Kind::Plain(text.into()))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
