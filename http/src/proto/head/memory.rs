//! The head that a client sent last: lines that come again are not parsed again.
//!
//! Most clients send nearly the same head each time. What is remembered is one head, with the
//! fields that were found in it:
//!
//! ```text
//!   request line | line | line | line that changes | line | line | the end
//!   <---------- one comparison ------>               <- one comparison ->
//! ```
//!
//! The next head is compared with it in pieces: the lines up to one that changes, and those behind
//! it. A line that was different in an earlier head is known to change, and is parsed. If all else
//! is the same, the head says what the remembered one says. Otherwise the parser reads all of it.
//!
//! Why the outcome is the parser's: what a line says depends on its bytes alone. A line that
//! changes has no say in where the body ends and in whether the connection closes, neither in the
//! remembered head nor in the new one. So these are said by the same lines in the same order. The
//! limits, which the caller must not change, hold for the same lines; those of a line that changes
//! and of the whole head are checked.
//!
//! A proxy may send the requests of several users over one connection, and one of them may try to
//! find out by the time of an answer what another one sent. So a comparison goes on to its end,
//! whatever it finds: the time tells only whether lines are the same as a whole.

use http::Method;

use super::super::fields::{Field, span};
use super::super::framing::RequestFraming;
use super::super::limits::Limits;
use super::super::scan::{Scanner, chunk_at, is_equal};
use super::{FieldLine, Head, Usual, check_head, usual_line, usual_request_line};

/// The memory of a connection's last head. Each connection has its own.
#[derive(Default)]
pub(crate) struct HeadMemory {
    known: Option<Box<KnownHead>>,
    /// How many heads were parsed since the last one that was recalled.
    parsed: u8,
}

/// A head, and what was found in it.
struct KnownHead {
    bytes: Vec<u8>,
    head: Head,
    /// The lines that change: bit 0 is the request line, bit 1 the first header line.
    changing: u64,
}

impl HeadMemory {
    /// Fills in the head if it is as the last one was, but for the lines that change; false if it
    /// has to be parsed. Then `head` holds nothing of use.
    ///
    /// The limits are the same at each call.
    #[inline]
    pub(crate) fn recall(&mut self, bytes: &[u8], limits: &Limits, head: &mut Head) -> bool {
        let Some(known) = &self.known else { return false };
        let is_known = known.recall(bytes, limits, head).is_some();
        if is_known {
            self.parsed = 1; // not the first one
        }
        is_known
    }

    /// Learns from a head that was parsed; true if the memory has taken other bytes for that.
    ///
    /// The first head is not learnt: many connections have only one. Nor is anything learnt after
    /// many heads that all had to be parsed.
    #[inline]
    pub(crate) fn learn(&mut self, bytes: &[u8], head: &Head) -> bool {
        self.parsed = self.parsed.saturating_add(1);
        (2..=PARSED_MAX + 1).contains(&self.parsed) && self.learn_more(bytes, head)
    }

    #[cold]
    #[inline(never)]
    fn learn_more(&mut self, bytes: &[u8], head: &Head) -> bool {
        if self.parsed > PARSED_MAX {
            return self.known.take().is_some();
        }
        if let Some(known) = &mut self.known
            && known.note_changes(bytes, head)
        {
            return false;
        }
        // Others are not worth it.
        let is_usual = head.method == Method::GET && head.minor == 1 && head.end <= BYTES_MAX;
        if is_usual && (1..LINES_MAX).contains(&head.fields.len()) {
            self.known = Some(Box::new(KnownHead::new(&bytes[..head.end], head)));
            return true;
        }
        false
    }

    /// Forgets everything; true if that frees memory.
    #[inline]
    pub(crate) fn forget(&mut self) -> bool {
        self.parsed = 0;
        self.known.take().is_some()
    }

    /// How many bytes the memory takes beside itself.
    pub(crate) fn size(&self) -> usize {
        self.known.as_ref().map_or(0, |known| {
            size_of::<KnownHead>() + known.bytes.len() + size_of_val(&known.head.fields[..])
        })
    }
}

impl KnownHead {
    fn new(bytes: &[u8], head: &Head) -> Self {
        let head = Head { method: Method::GET, fields: head.fields.clone(), ..*head };
        Self { bytes: bytes.to_vec(), head, changing: 0 }
    }

    /// See [`HeadMemory::recall`].
    #[inline]
    fn recall(&self, bytes: &[u8], limits: &Limits, head: &mut Head) -> Option<()> {
        head.fields.clear();
        if head.fields.capacity() < self.head.fields.len() {
            head.fields.try_reserve(self.head.fields.len()).ok()?;
        }
        if self.changing == 0 {
            self.recall_whole(bytes, head)
        } else {
            self.recall_in_runs(bytes, limits, head)
        }
    }

    /// No line changes.
    #[inline]
    fn recall_whole(&self, bytes: &[u8], head: &mut Head) -> Option<()> {
        if !is_equal(bytes.get(..self.bytes.len())?, &self.bytes) {
            return None;
        }
        head.fields.extend_from_slice(&self.head.fields);
        self.fill_request_line(head);
        self.fill_end(head, self.head.end);
        Some(())
    }

    #[inline(never)]
    fn recall_in_runs(&self, bytes: &[u8], limits: &Limits, head: &mut Head) -> Option<()> {
        let known = &self.head;
        let count = known.fields.len();
        // Where the walk stands in the new head, and in the known one.
        let (mut at, mut known_at) = (0, 0);
        if self.changing & 1 == 0 {
            self.fill_request_line(head);
        } else {
            at = usual_request_line(bytes, limits, head)?;
            known_at = self.line_start(0);
        }
        let mut line = 0;
        loop {
            let same = (self.changing >> (line + 1)).trailing_zeros() as usize;
            let next = count.min(line + same);
            let run_end = self.line_start(next);
            if known_at < run_end {
                let run = self.bytes.get(known_at as usize..run_end as usize)?;
                if !is_equal(bytes.get(at as usize..)?.get(..run.len())?, run) {
                    return None;
                }
                let moved = at.wrapping_sub(known_at);
                let fields = known.fields.get(line..next)?.iter();
                head.fields.extend(fields.map(|field| field.moved(moved)));
                at = run_end.wrapping_add(moved);
            }
            if next == count {
                break;
            }
            at = add_changed_line(bytes, at, limits, &mut head.fields)?;
            line = next + 1;
            if line == count {
                break;
            }
            known_at = self.line_start(line);
        }
        (chunk_at(bytes, at)? == b"\r\n").then_some(())?;
        check_head(at + 2, limits).ok()?;
        self.fill_end(head, at as usize + 2);
        Some(())
    }

    #[inline]
    fn fill_request_line(&self, head: &mut Head) {
        (head.method, head.minor) = (Method::GET, 1);
        (head.target, head.path) = (self.head.target, self.head.path);
    }

    #[inline]
    fn fill_end(&self, head: &mut Head, end: usize) {
        (head.body, head.keep_alive) = (self.head.body, self.head.keep_alive);
        (head.expect_continue, head.end) = (self.head.expect_continue, end);
    }

    /// Notes which lines of a head that was parsed are different; false if it differs so much that
    /// it has to be learnt anew.
    fn note_changes(&mut self, bytes: &[u8], head: &Head) -> bool {
        let is_alike = head.method == Method::GET
            && head.minor == 1
            && head.fields.len() == self.head.fields.len()
            && (head.body, head.keep_alive) == (self.head.body, self.head.keep_alive);
        if !is_alike {
            return false;
        }
        let request_line = |head: &Head| line_start(head, 0) as usize;
        let (line, known) = (request_line(head), request_line(&self.head));
        let mut changing = self.changing;
        if !is_equal(&bytes[..line], &self.bytes[..known]) {
            changing |= 1;
        }
        for index in 0..head.fields.len() {
            let line =
                &bytes[line_start(head, index) as usize..line_start(head, index + 1) as usize];
            let known =
                &self.bytes[self.line_start(index) as usize..self.line_start(index + 1) as usize];
            if is_equal(line, known) {
                continue;
            }
            if has_meaning(bytes, &head.fields[index])
                || has_meaning(&self.bytes, &self.head.fields[index])
            {
                return false;
            }
            changing |= 2 << index;
        }
        // A head of which nothing new was found was parsed because of a line that changes, and is
        // written in an unusual way.
        let is_worth = changing != self.changing && changing.count_ones() <= CHANGING_MAX;
        self.changing = changing;
        is_worth
    }

    /// Where a header line of the known head begins, or its last line.
    fn line_start(&self, line: usize) -> u32 {
        line_start(&self.head, line)
    }
}

/// Where a header line begins. The line behind the last one is the empty line.
#[inline]
fn line_start(head: &Head, line: usize) -> u32 {
    head.fields.get(line).map_or(span(0..head.end).1 - 2, |field| field.name.0)
}

/// Adds the field of a line that changes, and returns where the next line begins; `None` if the
/// parser has to look at it. The fields have room.
#[inline(never)]
fn add_changed_line(
    bytes: &[u8],
    line: u32,
    limits: &Limits,
    fields: &mut Vec<Field>,
) -> Option<u32> {
    let Usual::Line(found) = usual_line(&mut Scanner::new(bytes, line), line) else { return None };
    let FieldLine { name_end, value, value_end, line_end } = found;
    let field = Field { name: (line, name_end), value: (value, value_end) };
    if (line_end - line) as usize > limits.field_line_bytes || has_meaning(bytes, &field) {
        return None;
    }
    fields.push(field);
    Some(line_end + 2)
}

/// Whether the field may say where the body ends, or whether the connection closes.
#[inline]
fn has_meaning(bytes: &[u8], field: &Field) -> bool {
    let (start, end) = field.name;
    RequestFraming::may_have_meaning(end - start, bytes[start as usize])
}

/// A larger head is not learnt. Arbitrary: a browser's head with some large cookies.
const BYTES_MAX: usize = 4096;

/// Nor is a head with so many lines: each has a bit.
const LINES_MAX: usize = 63;

/// A head is learnt anew if so many lines of the known one have changed. Arbitrary.
const CHANGING_MAX: u32 = 16;

/// Nothing more is learnt when so many heads in a row had to be parsed. Arbitrary.
const PARSED_MAX: u8 = 8;

#[cfg(test)]
mod tests;
