//! The parts of a body, one after the other.

use std::io::Read;

use super::head::PartHead;
use super::limits::MultipartLimits;
use super::scanner::{Head, Next, Scanner};
use crate::body_error::BodyError;

/// Where the parts of a body are read from, and how far.
pub(super) struct PartStream<'r> {
    scanner: Scanner<'r>,
    limits: MultipartLimits,
    place: Place,
    /// How many parts have begun.
    parts: usize,
    /// How many bytes of the current part may still come.
    part_left: u64,
    /// Makes room in the server's budget of memory.
    hold: Box<dyn Fn(usize) -> bool + 'r>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    BeforeFirst,
    InPart,
    End,
    /// The body is not what it should be, or could not be read: no part follows.
    Failed(BodyError),
}

/// The content of the current part. A trait, so that a [`Part`](super::Part) need not name the
/// lifetime of the request beside its own.
pub(super) trait Content {
    /// The next bytes, which then wait for [`take`](Self::take); empty at the end. A yield point.
    fn peek(&mut self) -> Result<&[u8], BodyError>;

    /// Takes `count` of the bytes that `peek` has returned.
    fn take(&mut self, count: usize);

    /// Makes room for `bytes` in the server's budget of memory.
    fn hold(&self, bytes: usize) -> Result<(), BodyError>;
}

impl<'r> PartStream<'r> {
    pub(super) fn new(
        source: impl Read + 'r,
        boundary: &[u8],
        limits: MultipartLimits,
        buffer_bytes: usize,
        hold: impl Fn(usize) -> bool + 'r,
    ) -> Result<Self, BodyError> {
        if !hold(buffer_bytes) {
            return Err(BodyError::NoMemory);
        }
        let scanner = Scanner::new(source, boundary, limits.body_bytes, buffer_bytes);
        let hold = Box::new(hold);
        Ok(Self { scanner, limits, place: Place::BeforeFirst, parts: 0, part_left: 0, hold })
    }

    /// The head of the next part, behind what is left of the current one; `None` behind the last. A
    /// yield point.
    pub(super) fn next_head(&mut self) -> Result<Option<PartHead>, BodyError> {
        match self.place {
            Place::Failed(error) => return Err(error),
            Place::End => return Ok(None),
            Place::BeforeFirst | Place::InPart => {}
        }
        let result = self.try_next_head();
        if let Err(error) = result {
            self.place = Place::Failed(error);
        }
        result
    }

    fn try_next_head(&mut self) -> Result<Option<PartHead>, BodyError> {
        let delimiter = self.skip_data()?;
        if let Next::Last(length) = delimiter {
            self.scanner.take(length);
            self.scanner.skip_rest(EPILOGUE_BYTES_MAX)?;
            self.place = Place::End;
            return Ok(None);
        }
        if let Next::Delimiter(length) = delimiter {
            self.scanner.take(length);
        }
        if self.parts == self.limits.parts {
            return Err(BodyError::LimitExceeded("the body has too many parts"));
        }
        let Head { lines, length } = self.scanner.head(self.limits.part_head_bytes)?;
        let head = PartHead::parse(self.scanner.peek(lines), self.limits.part_fields)?;
        self.scanner.take(length);
        self.parts += 1;
        self.part_left = self.limits.part_bytes;
        self.place = Place::InPart;
        Ok(Some(head))
    }

    /// Skips the text in front of the first part, or the rest of the current part.
    fn skip_data(&mut self) -> Result<Next, BodyError> {
        let (mut left, too_long) = match self.place {
            // The CR LF in front of the first delimiter was added by the scanner.
            Place::BeforeFirst => {
                (PREAMBLE_BYTES_MAX + 2, "there is too much before the first part")
            }
            _ => (self.part_left, PART_TOO_LONG),
        };
        loop {
            match self.scanner.next()? {
                Next::Data(count) => {
                    left =
                        left.checked_sub(count as u64).ok_or(BodyError::LimitExceeded(too_long))?;
                    self.scanner.take(count);
                    self.part_left = left;
                }
                delimiter => return Ok(delimiter),
            }
        }
    }

    fn try_peek(&mut self) -> Result<usize, BodyError> {
        match self.place {
            Place::Failed(error) => return Err(error),
            Place::End | Place::BeforeFirst => return Ok(0),
            Place::InPart => {}
        }
        let Next::Data(count) = self.scanner.next()? else { return Ok(0) };
        if self.part_left == 0 {
            return Err(BodyError::LimitExceeded(PART_TOO_LONG));
        }
        Ok(usize::try_from(self.part_left).map_or(count, |left| left.min(count)))
    }
}

impl Content for PartStream<'_> {
    fn peek(&mut self) -> Result<&[u8], BodyError> {
        match self.try_peek() {
            Ok(count) => Ok(self.scanner.peek(count)),
            Err(error) => {
                self.place = Place::Failed(error);
                Err(error)
            }
        }
    }

    fn take(&mut self, count: usize) {
        self.scanner.take(count);
        self.part_left = self.part_left.saturating_sub(count as u64);
    }

    fn hold(&self, bytes: usize) -> Result<(), BodyError> {
        if (self.hold)(bytes) { Ok(()) } else { Err(BodyError::NoMemory) }
    }
}

const PART_TOO_LONG: &str = "a part is too long";

/// How many bytes may stand in front of the first part. Arbitrary: clients of forms send none, and
/// RFC 2046 section 5.1.1 asks to ignore them.
const PREAMBLE_BYTES_MAX: u64 = 4 * 1024;

/// How many bytes may stand behind the last part, with the line end of its delimiter. Likewise.
const EPILOGUE_BYTES_MAX: u64 = 4 * 1024;

#[cfg(test)]
mod tests;
