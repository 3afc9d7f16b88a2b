//! The limits on the size of a request and its parts.

use crate::with_fields::with_fields;

/// The limits on what a client sends. A request beyond a limit is refused, and its connection is
/// closed.
///
/// ```
/// use straightline::Limits;
///
/// let limits = Limits::default().with_body_bytes(16 * 1024 * 1024);
/// assert_eq!(limits.fields, 100);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the request line, without its line end; more is 414. Default 8,192: RFC 9112
    /// section 3 asks for at least 8,000.
    pub request_line_bytes: usize,
    /// Bytes of one header line, without its line end; more is 431. Default 8,192: room for the
    /// largest cookies that browsers keep (4,096 bytes each), two of them in a line.
    pub field_line_bytes: usize,
    /// Bytes of the whole request head, line ends included; more is 431. Default 32,768: as much as
    /// the most generous of the common proxies forwards. A connection's read buffer grows up to
    /// this.
    pub head_bytes: usize,
    /// Header lines; more is 431. Default 100, which is what Apache allows.
    pub fields: usize,
    /// Bytes of a request's body; more is 413. Default 2 MiB: forms and JSON, not uploads.
    pub body_bytes: u64,
    /// Bytes of all chunk extensions of a body together; more is 413. Default 1,024: clients hardly
    /// use them, and the server ignores them.
    pub chunk_extension_bytes: usize,
    /// Bytes of the trailers of a chunked body, line ends included; more is 431. Default 4,096: a
    /// checksum or a signature or two.
    pub trailer_bytes: usize,
    /// Requests of one connection; the response to the last one says `Connection: close`. Default:
    /// no limit, as an old connection costs no more than a new one. A limit makes clients with
    /// long-lived connections connect again now and then, so that they spread over new servers.
    pub requests: u64,
}

with_fields! { Limits {
    with_request_line_bytes: request_line_bytes: usize,
    with_field_line_bytes: field_line_bytes: usize,
    with_head_bytes: head_bytes: usize,
    with_fields: fields: usize,
    with_body_bytes: body_bytes: u64,
    with_chunk_extension_bytes: chunk_extension_bytes: usize,
    with_trailer_bytes: trailer_bytes: usize,
    with_requests: requests: u64,
} }

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line_bytes: 8 * 1024,
            field_line_bytes: 8 * 1024,
            head_bytes: 32 * 1024,
            fields: 100,
            body_bytes: 2 * 1024 * 1024,
            chunk_extension_bytes: 1024,
            trailer_bytes: 4 * 1024,
            requests: u64::MAX,
        }
    }
}
