//! HTTP/1.1 as pure functions: bytes in, meaning out, and the other way.
//!
//! Nothing in here knows a scheduler, a socket or a clock, so all of it is tested and fuzzed as it
//! is. `gap` passes over what comes between requests, `head` parses, `chunked` decodes bodies,
//! `fields` is the view of what was parsed, `scan` finds where names and values end, `refusal`
//! names every reason to say no, `encode` writes.

mod chars;
mod chunked;
mod encode;
mod fields;
mod framing;
mod gap;
mod head;
mod limits;
mod refusal;
mod scan;

pub(crate) use chunked::{
    ChunkedDecoder, Next as ChunkedNext, begin_chunk, end_chunk, is_forbidden_trailer,
    put_chunk_size, put_last_chunk,
};
pub(crate) use encode::{Connection, Encoder, Framing, ResponseHead, encode_continue, has_no_body};
pub use fields::Headers;
pub(crate) use framing::BodyLength;
pub(crate) use gap::Gap;
pub(crate) use head::{Head, HeadParser};
pub use limits::Limits;
pub use refusal::{Refusal, RefusalKind};
