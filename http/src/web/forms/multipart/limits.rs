//! The limits on a multipart body.

use crate::with_fields::with_fields;

/// The limits on a [multipart body](super::Multipart). Beyond a limit the client gets a 413.
///
/// The server's own limit, [`Limits::body_bytes`](crate::Limits::body_bytes), holds too, and it is
/// 2 MiB by default: a program that takes files raises it.
///
/// ```
/// use straightline::web::MultipartLimits;
///
/// let limits = MultipartLimits::default().with_parts(10).with_part_bytes(5 << 20);
/// assert_eq!(limits.part_head_bytes, 8 * 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MultipartLimits {
    /// The number of parts. Default 1,024. Arbitrary: more than a person fills in.
    pub parts: usize,
    /// Bytes of the content of one part. Default: no limit of its own, so that `body_bytes` bounds
    /// it.
    pub part_bytes: u64,
    /// Bytes of the header lines of one part, without the empty line. They are held in memory.
    /// Default 8,192, as for a header line of a request.
    pub part_head_bytes: usize,
    /// Header lines of one part. Default 16: browsers send two.
    pub part_fields: usize,
    /// Bytes of the whole body, after its content codings are decoded. Default 1 GiB. Arbitrary: a
    /// body without a content coding meets the server's limit first.
    pub body_bytes: u64,
}

with_fields! { MultipartLimits {
    with_parts: parts: usize,
    with_part_bytes: part_bytes: u64,
    with_part_head_bytes: part_head_bytes: usize,
    with_part_fields: part_fields: usize,
    with_body_bytes: body_bytes: u64,
} }

impl Default for MultipartLimits {
    fn default() -> Self {
        Self {
            parts: 1_024,
            part_bytes: u64::MAX,
            part_head_bytes: 8 * 1_024,
            part_fields: 16,
            body_bytes: 1 << 30,
        }
    }
}
