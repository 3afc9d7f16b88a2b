//! Multipart bodies, as forms with files send them (RFC 7578, RFC 2046 section 5.1).
//!
//! A body is a stream of parts, and a part is a reader. Nothing holds a part in memory: the buffer
//! has 64 KiB, in which the delimiters are searched, and one head. What a client can make this
//! code hold or repeat is bounded by [`MultipartLimits`] and by constants.
//!
//! | question | answer |
//! |---|---|
//! | `name=` inside of a quoted filename | a part of the filename |
//! | a part without a name, or with two | 400 |
//! | `%22`, `%0D`, `%0A`, `\"` in a name | a quote, CR, LF, a quote, as browsers mean them |
//! | `filename*` (RFC 7578 forbids it) | used if there is no `filename`: libraries send it |
//! | a line that begins with the boundary and goes on | data |
//! | a bare CR or LF behind a boundary or in a head | 400 |
//! | a folded header line | 400 |
//! | `Content-Transfer-Encoding` | `7bit`, `8bit`, `binary` change nothing; others are 400 |
//! | `multipart/mixed` inside of a part | content as any other |
//! | text before the first and behind the last part | skipped, 4 KiB each; more is 413 |
//! | no last boundary, or the end inside a head | 400, unless the client has disconnected |
//! | a delimiter directly behind the empty line of a head | an empty part (RFC 2046) |
//! | a form without parts: only the last boundary | no parts |

mod boundary;
mod head;
mod limits;
mod parameters;
mod part;
mod safe_name;
mod scanner;
mod stream;

use std::fmt;

pub use limits::MultipartLimits;
pub use part::Part;

use boundary::boundary;
use stream::PartStream;

use crate::message::{Problem, Request};
use crate::web::coding::DecodedBody;

/// The parts of a multipart body, in their order, from
/// [`RequestExt::multipart`](crate::web::RequestExt::multipart).
///
/// ```
/// use straightline::web::RequestExt;
/// use straightline::{HandlerError, Request};
///
/// fn upload(request: &mut Request) -> Result<String, HandlerError> {
///     let mut lines = String::new();
///     let mut form = request.multipart()?;
///     while let Some(mut part) = form.next_part()? {
///         let name = part.name().to_owned();
///         let line = match part.safe_filename() {
///             None => format!("{name} is {}\n", part.text(1_000)?),
///             Some(file) => format!("{file} has {} bytes\n", part.copy_to(&mut std::io::sink())?),
///         };
///         lines.push_str(&line);
///     }
///     Ok(lines)
/// }
/// ```
pub struct Multipart<'r> {
    stream: PartStream<'r>,
}

impl<'r> Multipart<'r> {
    /// The parts of the body of `request`.
    pub(in crate::web) fn of(
        request: &'r Request,
        limits: MultipartLimits,
    ) -> Result<Self, Problem> {
        let boundary = boundary(request)?;
        let body = DecodedBody::of(request, limits.body_bytes)?;
        let announced = request.body().remaining().filter(|_| !body.is_encoded());
        let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
        let buffer_bytes = announced.map_or(BUFFER_BYTES, |bytes| bytes.min(BUFFER_BYTES));
        let hold = |bytes| request.link().try_hold(bytes);
        let stream = PartStream::new(body, &boundary, limits, buffer_bytes, hold)?;
        Ok(Self { stream })
    }

    /// The next part; `None` behind the last one. What the handler has not read of the former part
    /// is skipped.
    ///
    /// # Blocking
    ///
    /// A yield point if bytes have to arrive.
    ///
    /// # Cancellation
    ///
    /// After a cancel or a deadline the call may be repeated.
    ///
    /// # Errors
    ///
    /// 400 if the body is malformed, 413 beyond one of the [limits](MultipartLimits), otherwise the
    /// status of the [`BodyError`](crate::BodyError) for which the body could not be read. After an
    /// error each further call returns that error.
    pub fn next_part(&mut self) -> Result<Option<Part<'_>>, Problem> {
        let head = self.stream.next_head()?;
        Ok(head.map(|head| Part::new(head, &mut self.stream)))
    }
}

impl fmt::Debug for Multipart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart").finish_non_exhaustive()
    }
}

/// The bytes in which the delimiters are searched. Arbitrary: system calls hardly count at this
/// size.
const BUFFER_BYTES: usize = 64 * 1024;
