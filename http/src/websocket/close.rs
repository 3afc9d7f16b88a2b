//! Why a conversation ends: the code and the text of a Close frame (RFC 6455 section 7.4).

use std::fmt;

use bytes::Bytes;

use super::message::Text;

/// The number in a Close frame that says why the conversation ends (RFC 6455 section 7.4.1).
///
/// ```
/// use straightline::websocket::CloseCode;
///
/// assert_eq!(CloseCode::new(4000).map(CloseCode::number), Some(4000));
/// assert_eq!(CloseCode::new(1005), None); // no peer may send it
/// assert_eq!(CloseCode::GOING_AWAY.to_string(), "1001");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The conversation has served its purpose.
    pub const NORMAL: Self = Self(1000);
    /// The server shuts down, or the client leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the rules of the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// The peer sent a kind of message that this endpoint does not take.
    pub const UNSUPPORTED: Self = Self(1003);
    /// A text was not UTF-8.
    pub const INVALID_TEXT: Self = Self(1007);
    /// The peer broke a rule of the program.
    pub const POLICY: Self = Self(1008);
    /// A message or a frame was too long.
    pub const TOO_LONG: Self = Self(1009);
    /// The server met with a fault.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// The server has no room at the moment; the client may try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// The code of that number: 1000 to 1003, 1007 to 1014, which are registered, or 3000 to 4999,
    /// which belong to libraries and to programs. `None` for a number that must not be sent. Not a
    /// yield point.
    pub const fn new(number: u16) -> Option<Self> {
        match number {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(number)),
            _ => None,
        }
    }

    /// The number. Not a yield point.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a peer said when it ended the conversation.
///
/// ```
/// use straightline::websocket::{CloseFrame, WebSocket};
///
/// /// Waits for the end; messages before it are dropped.
/// fn why(socket: &mut WebSocket) -> std::io::Result<String> {
///     while socket.receive()?.is_some() {}
///     Ok(match socket.close_frame() {
///         Some(CloseFrame { code: Some(code), reason, .. }) => format!("{code} {reason}"),
///         _ => "no reason".to_owned(),
///     })
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseFrame {
    /// The code; `None` if the peer gave none.
    pub code: Option<CloseCode>,
    /// The text behind the code, at most 123 bytes, often empty. It is for logs, and not for users.
    pub reason: Text,
}

impl CloseFrame {
    /// The payload of a Close frame. A reason that is too long is cut behind its last whole
    /// character.
    pub(super) fn payload(code: CloseCode, reason: &str) -> Bytes {
        let most = reason.len().min(REASON_BYTES_MAX);
        let end = (0..=most).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        let code = code.0.to_be_bytes();
        [&code[..], &reason.as_bytes()[..end]].concat().into()
    }
}

/// A control frame has 125 bytes at most (RFC 6455 section 5.5), and two are the code's.
const REASON_BYTES_MAX: usize = 123;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_into_a_control_frame() {
        for (length, expected) in [(122, 122), (123, 123), (124, 123)] {
            let payload = CloseFrame::payload(CloseCode::NORMAL, &"x".repeat(length));
            assert_eq!(payload.len(), 2 + expected);
        }
        let payload = CloseFrame::payload(CloseCode::NORMAL, &"é".repeat(62));
        assert_eq!(payload.len(), 2 + 122);
        assert!(str::from_utf8(&payload[2..]).is_ok());
    }

    #[test]
    fn only_codes_that_may_be_sent_exist() {
        let valid = (0..=u16::MAX).filter(|&number| CloseCode::new(number).is_some()).count();
        assert_eq!(valid, 4 + 8 + 2000);
        for number in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
            assert_eq!(CloseCode::new(number), None, "{number}");
        }
    }
}
