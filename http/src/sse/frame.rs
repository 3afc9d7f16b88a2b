//! An encoded event.

use std::fmt;

use crate::message::Piece;

/// An event as it is sent, encoded once for all its receivers. To clone it is to count one more
/// reference.
///
/// ```
/// use straightline::sse::Event;
///
/// let frame = Event::new("hello").encode();
/// assert_eq!(frame.clone().as_bytes(), b"data: hello\n\n");
/// ```
#[derive(Clone)]
pub struct Frame(Piece);

impl Frame {
    pub(super) fn new(text: &[u8]) -> Self {
        Self(Piece::new(text))
    }

    /// The bytes of the event. Not a yield point.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.data()
    }

    pub(super) fn into_piece(self) -> Piece {
        self.0
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:?})", self.as_bytes().escape_ascii().to_string())
    }
}
