//! HTTP/1.1 as pure functions, from bytes to meaning and back.
//!
//! Nothing in here knows a scheduler, a socket or a clock, so tests and fuzzers run all of it as it
//! is. `gap` skips the empty lines between requests, `head` parses a request's head with `scan`,
//! which finds the ends of names and values, and `head/memory` recalls lines that the client has
//! sent before. `framing` finds where the body ends, `chunked` decodes and encodes chunked bodies,
//! `fields` is the view of the parsed fields, `refusal` names every reason to refuse a request,
//! `encode` writes the head of a response, and `response` parses that of another server.
//! `proxy_header` is the header of the PROXY protocol, in front of all requests of a connection.

mod chars;
mod chunked;
mod encode;
mod fields;
mod framing;
mod gap;
mod head;
mod limits;
mod proxy_header;
mod refusal;
#[cfg(feature = "proxy")]
mod response;
mod scan;

pub(crate) use chars::is_token;
pub(crate) use chunked::{
    ChunkedDecoder, Next as ChunkedNext, Trailers, begin_chunk, end_chunk, is_forbidden_trailer,
    put_chunk_size, put_last_chunk,
};
#[cfg(feature = "proxy")]
pub(crate) use encode::encode_interim;
pub(crate) use encode::{
    BodyFraming, ConnectionHeader, Encoder, ResponseHead, encode_continue, has_no_body,
};
pub(crate) use fields::Field;
pub use fields::{Headers, HeadersIter};
pub(crate) use framing::BodyLength;
#[cfg(feature = "proxy")]
pub(crate) use framing::is_authority;
pub(crate) use gap::Gap;
pub(crate) use head::{Head, HeadMemory, HeadParser};
pub use limits::Limits;
pub use proxy_header::ProxyHeaderError;
pub(crate) use proxy_header::{PROXY_HEADER_BYTES_MAX, ProxyHeader, ProxySource};
pub use refusal::{Refusal, RefusalKind};
#[cfg(feature = "proxy")]
pub(crate) use response::{HeadBounds, ReceivedBody, ReceivedHead, ResponseFault, ResponseParser};
