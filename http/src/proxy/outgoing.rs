//! How the body of a request is sent: whole with its head, or piece by piece.

use http::Method;

use super::failure::Failure;
use super::request_head::SentBody;
use crate::message::Request;

/// The body of a request.
pub(super) enum Outgoing {
    /// There is none. The framing says whether the head has a length all the same.
    Nothing(SentBody),
    /// A small body, which has been read. The upstream gets it with the head.
    Whole(Vec<u8>),
    /// A body that is sent while it is read.
    Streamed(SentBody),
}

impl Outgoing {
    /// Reads a small body whole, before an upstream is chosen: a slow client then keeps no
    /// connection of an upstream.
    ///
    /// A yield point.
    pub(super) fn of(request: &Request) -> Result<Self, Failure> {
        let expects = request.head().expect_continue;
        match request.body().remaining() {
            Some(0) => {
                let has_length = request.headers().contains("content-length");
                let framing = if has_length { SentBody::Length(0) } else { SentBody::None };
                Ok(Self::Nothing(framing))
            }
            Some(length) if length <= WHOLE_BYTES_MAX && !expects => {
                let bytes = request.body().read_to_vec(length);
                bytes.map(Self::Whole).map_err(|error| Failure::Client(error.into()))
            }
            Some(length) => Ok(Self::Streamed(SentBody::Length(length))),
            None => Ok(Self::Streamed(SentBody::Chunked)),
        }
    }

    pub(super) fn framing(&self) -> SentBody {
        match self {
            Self::Nothing(framing) | Self::Streamed(framing) => *framing,
            Self::Whole(bytes) => SentBody::Length(bytes.len() as u64),
        }
    }

    /// Whether the request may be sent again, if no byte of a response has come: its method is
    /// idempotent (RFC 9110 section 9.2.2), and its body is still there.
    pub(super) fn is_replayable(&self, method: &Method) -> bool {
        let is_idempotent = matches!(
            *method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
        );
        is_idempotent && !matches!(self, Self::Streamed(_))
    }
}

/// The largest body that is read before an upstream is chosen. Arbitrary: what a connection's read
/// buffer may hold anyway.
const WHOLE_BYTES_MAX: u64 = 16 * 1024;
