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
//! find out by the time of an answer what another one sent. So a comparison does not end at the
//! first byte that differs: the time tells how long the lines are, and whether a guess at a whole
//! line is right. That is of no use for a value with more than a few possibilities.

use std::mem;

use http::Method;

use super::super::fields::{Field, span};
use super::super::framing::RequestFraming;
use super::super::limits::Limits;
use super::super::scan::{Scanner, chunk_at, is_equal};
use super::{FieldLine, HEAD_BYTES_MAX, Head, Usual, check_head, usual_line, usual_request_line};

/// The memory of a connection's last head. Each connection has its own.
#[derive(Default)]
pub(crate) struct HeadMemory {
    known: Option<Box<KnownHead>>,
    /// The head before was parsed too.
    was_parsed: bool,
    /// What learning has cost and recalling has not earned yet. Beyond [`DEBT_MAX`] nothing is
    /// learnt any more: a client whose heads are often different is not made slower.
    debt: u8,
}

/// A head, and what was found in it.
#[derive(Default)]
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
            self.was_parsed = false;
            self.debt = self.debt.saturating_sub(1);
        }
        is_known
    }

    /// Learns from a head that was parsed; true if the memory may have taken other bytes for that.
    ///
    /// Only the second one in a row is learnt: many connections have only one, and a single odd one
    /// changes nothing. Heads that are rare, such as large ones, and those of other methods than
    /// GET are not.
    #[inline]
    pub(crate) fn learn(&mut self, bytes: &[u8], head: &Head) -> bool {
        let is_usual = head.method == Method::GET
            && head.minor == 1
            && head.end <= BYTES_MAX
            && (1..LINES_MAX).contains(&head.fields.len());
        is_usual
            && self.debt <= DEBT_MAX
            && mem::replace(&mut self.was_parsed, true)
            && self.learn_more(&bytes[..head.end], head)
    }

    #[cold]
    #[inline(never)]
    fn learn_more(&mut self, bytes: &[u8], head: &Head) -> bool {
        self.debt += LEARN_COST;
        if self.debt > DEBT_MAX {
            return self.known.take().is_some();
        }
        let known = self.known.get_or_insert_default();
        if known.note_changes(bytes, head) {
            return false;
        }
        known.learn(bytes, head);
        true
    }

    /// Forgets everything; true if that frees memory.
    #[inline]
    pub(crate) fn forget(&mut self) -> bool {
        (self.was_parsed, self.debt) = (false, 0);
        self.known.take().is_some()
    }

    /// How many bytes the memory takes beside itself.
    pub(crate) fn size(&self) -> usize {
        self.known.as_ref().map_or(0, |known| {
            let fields = known.head.fields.capacity() * size_of::<Field>();
            size_of::<KnownHead>() + known.bytes.capacity() + fields
        })
    }
}

impl KnownHead {
    /// Becomes that head. The memory of the former one is used again.
    fn learn(&mut self, bytes: &[u8], head: &Head) {
        copy_exactly(bytes, &mut self.bytes);
        let mut fields = mem::take(&mut self.head.fields);
        copy_exactly(&head.fields, &mut fields);
        self.head = Head { method: Method::GET, fields, ..*head };
        self.changing = 0;
    }

    /// See [`HeadMemory::recall`].
    #[inline]
    fn recall(&self, bytes: &[u8], limits: &Limits, head: &mut Head) -> Option<()> {
        // The parser, which is called after each read, has refused a head long before.
        debug_assert!(bytes.len() <= HEAD_BYTES_MAX, "positions are 32 bits wide");
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
        let is_alike = head.fields.len() == self.head.fields.len()
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

/// Copies the items into the memory of others if they fit, and otherwise into no more than they
/// need.
fn copy_exactly<T: Copy>(items: &[T], others: &mut Vec<T>) {
    others.clear();
    if others.capacity() < items.len() {
        *others = items.to_vec();
    } else {
        others.extend_from_slice(items);
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

/// A head is learnt anew if so many lines of the known one have changed: to parse them one by one
/// takes nearly as long as to parse the head. Arbitrary.
const CHANGING_MAX: u32 = 8;

/// To learn a head costs about as much as a few heads gain that are recalled.
const LEARN_COST: u8 = 4;

/// Nothing more is learnt after eight heads that had to be, and none that was recalled. Arbitrary.
const DEBT_MAX: u8 = 8 * LEARN_COST;

#[cfg(test)]
mod tests;
