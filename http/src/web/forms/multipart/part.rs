//! One part of a multipart body.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use super::head::PartHead;
use super::safe_name::safe_name;
use super::stream::Content;
use crate::body_error::BodyError;
use crate::message::Problem;
use crate::proto::Headers;

/// A part of a [multipart body](super::Multipart): a field of a form, or a file. It is a
/// [`Read`] straight from the connection, and a [`BufRead`].
///
/// # Blocking
///
/// A read is a yield point if bytes have to arrive.
///
/// # Errors
///
/// The errors of a read carry a [`BodyError`]: [`Malformed`](BodyError::Malformed) if the body ends
/// inside the part, [`LimitExceeded`](BodyError::LimitExceeded) or
/// [`TooLong`](BodyError::TooLong) beyond one of the [limits](super::MultipartLimits), otherwise
/// the reason why the body could not be read. A handler that returns the error, also inside of a
/// [`HandlerError`](crate::HandlerError), answers with its status.
///
/// # Cancellation
///
/// A cancel or a deadline takes effect before anything of the part is taken, so the read may be
/// repeated.
///
/// ```
/// use std::io;
/// use straightline::{fs::File, web::Part};
///
/// /// Saves a file in flat memory, whatever its size.
/// fn save(part: &mut Part<'_>) -> io::Result<u64> {
///     let Some(name) = part.safe_filename() else { return Ok(0) };
///     part.copy_to(&mut File::create(format!("uploads/{name}"))?)
/// }
/// ```
pub struct Part<'f> {
    head: PartHead,
    content: &'f mut dyn Content,
}

impl<'f> Part<'f> {
    pub(super) fn new(head: PartHead, content: &'f mut dyn Content) -> Self {
        Self { head, content }
    }

    /// The name of the form's field. Several parts may have the same name. Not a yield point.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// The name of the file, if the part is one; empty if the form had no file in this field. It
    /// is the client's word, with whatever the client put in it: slashes, dots, control characters.
    /// For a name on disk there is [`safe_filename`](Self::safe_filename). Not a yield point.
    pub fn filename(&self) -> Option<&str> {
        self.head.filename.as_deref()
    }

    /// The name of the file without what could lead out of a folder, hide the file, or confuse its
    /// readers: only the last piece of a path, without control characters, without the characters
    /// that Windows forbids, without dots and spaces at either end, 200 bytes at most. `None` if
    /// nothing is left, or the part is not a file.
    ///
    /// Two files may have the same name, and a file of that name may exist. Not a yield point.
    ///
    /// ```
    /// use straightline::web::RequestExt;
    /// use straightline::{Method, Request};
    ///
    /// let body = "--b\r\n\
    ///     Content-Disposition: form-data; name=f; filename=\"../../etc/passwd\"\r\n\r\n\
    ///     \r\n--b--";
    /// let request = Request::builder()
    ///     .method(Method::POST)
    ///     .header("content-type", "multipart/form-data; boundary=b")
    ///     .body(body)
    ///     .build()?;
    /// let mut form = request.multipart()?;
    /// let part = form.next_part()?.unwrap();
    /// assert_eq!(part.filename(), Some("../../etc/passwd"));
    /// assert_eq!(part.safe_filename().as_deref(), Some("passwd"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn safe_filename(&self) -> Option<String> {
        safe_name(self.filename()?)
    }

    /// The type of the part, as it stands there; `None` is text (RFC 7578 section 4.4). Not a yield
    /// point.
    pub fn content_type(&self) -> Option<&str> {
        self.head.headers().content_type()
    }

    /// The header fields of the part. Not a yield point.
    pub fn headers(&self) -> Headers<'_> {
        self.head.headers()
    }

    /// Reads the rest of the part, which may have `bytes_max` bytes.
    ///
    /// # Blocking
    ///
    /// A yield point if bytes have to arrive.
    ///
    /// # Errors
    ///
    /// 413 if the part is longer; otherwise as for a [read](Self#errors).
    pub fn read_to_vec(&mut self, bytes_max: usize) -> Result<Vec<u8>, Problem> {
        Ok(self.collect(bytes_max)?)
    }

    /// Reads the rest of the part as text, which may have `bytes_max` bytes.
    ///
    /// # Blocking
    ///
    /// A yield point if bytes have to arrive.
    ///
    /// # Errors
    ///
    /// 400 if it is not UTF-8; 413 if it is longer; otherwise as for a [read](Self#errors).
    pub fn text(&mut self, bytes_max: usize) -> Result<String, Problem> {
        let bytes = self.collect(bytes_max)?;
        let not_text = |_| BodyError::Malformed("a field of the form is not UTF-8");
        Ok(String::from_utf8(bytes).map_err(not_text)?)
    }

    /// Writes the rest of the part to `writer`, piece by piece as it arrives; returns how many
    /// bytes it had.
    ///
    /// # Blocking
    ///
    /// A yield point if bytes have to arrive; the writer may wait too.
    ///
    /// # Errors
    ///
    /// The part's errors hold a [`BodyError`], all others are the writer's.
    pub fn copy_to(&mut self, writer: &mut (impl Write + ?Sized)) -> io::Result<u64> {
        let mut copied = 0;
        loop {
            let piece = self.content.peek()?;
            if piece.is_empty() {
                return Ok(copied);
            }
            writer.write_all(piece)?;
            let count = piece.len();
            copied += count as u64;
            self.content.take(count);
        }
    }

    fn collect(&mut self, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
        let mut bytes = Vec::new();
        loop {
            let piece = self.content.peek()?;
            let count = piece.len();
            if count == 0 {
                return Ok(bytes);
            }
            if count > bytes_max - bytes.len() {
                return Err(BodyError::TooLong(bytes_max as u64));
            }
            if bytes.capacity() - bytes.len() < count {
                self.content.hold(bytes.len() + count)?; // it becomes twice as large
            }
            bytes.try_reserve(count).map_err(|_| BodyError::NoMemory)?;
            bytes.extend_from_slice(self.content.peek()?);
            self.content.take(count);
        }
    }
}

impl Read for Part<'_> {
    /// A yield point if bytes have to arrive.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.content.peek()?;
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        self.content.take(count);
        Ok(count)
    }
}

impl BufRead for Part<'_> {
    /// A yield point if bytes have to arrive.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.content.peek()?)
    }

    fn consume(&mut self, count: usize) {
        self.content.take(count);
    }
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("name", &self.name())
            .field("filename", &self.filename())
            .field("headers", &self.headers())
            .finish_non_exhaustive()
    }
}
