//! Compresses a body while it is written, and keeps its pace: what the handler has written reaches
//! the client when the handler flushes, and also when it waits for something.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::mem;
use std::rc::Rc;

use straightline_sched::{BeforePark, before_park, checkpoint};

use super::encoder::Encoder;
use crate::message::BodyWriter;
use crate::wire::LateOutput;

/// A writer that compresses into the body of a response.
pub(super) struct CompressedWriter<'w, 'b> {
    writer: &'w mut BodyWriter<'b>,
    shared: Rc<Shared>,
    /// Flushes what was written before the fiber waits; `None` if the writer is not the client.
    hook: Option<Rc<dyn Fn()>>,
    waits: Option<BeforePark>,
}

/// What the hook shares with the writer.
struct Shared {
    /// Borrowed during a write, so that the hook does not come between its pieces.
    encoder: RefCell<Encoder>,
    /// Bytes were written and not flushed.
    has_unflushed: Cell<bool>,
    /// The hook will be called before the next wait.
    is_arranged: Cell<bool>,
}

impl<'w, 'b> CompressedWriter<'w, 'b> {
    pub(super) fn new(writer: &'w mut BodyWriter<'b>, encoder: Encoder) -> Self {
        let shared = Rc::new(Shared {
            encoder: RefCell::new(encoder),
            has_unflushed: Cell::new(false),
            is_arranged: Cell::new(false),
        });
        Self { writer, shared, hook: None, waits: None }
    }

    /// The body is complete: writes its end.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.waits = None;
        let mut encoder = self.shared.encoder.borrow_mut();
        encoder.finish()?;
        write_out(self.writer, encoder.output(), 0)
    }

    /// Arranges that what was written is flushed when the fiber waits.
    fn arrange_flush(&mut self) {
        self.shared.has_unflushed.set(true);
        if self.shared.is_arranged.get() {
            return;
        }
        if self.hook.is_none() {
            let Some(output) = self.writer.late_output() else { return };
            let shared = Rc::clone(&self.shared);
            self.hook = Some(Rc::new(move || shared.flush_late(&output)));
        }
        if let Some(hook) = &self.hook {
            self.shared.is_arranged.set(true);
            self.waits = None;
            self.waits = Some(before_park(Rc::clone(hook)));
        }
    }
}

impl Shared {
    /// Called when the fiber waits. A failure is found again by the next write.
    fn flush_late(&self, output: &LateOutput) {
        self.is_arranged.set(false);
        let Ok(mut encoder) = self.encoder.try_borrow_mut() else { return };
        if self.has_unflushed.replace(false) && encoder.flush().is_ok() {
            let piece = mem::take(encoder.output());
            output.send(&piece);
        }
    }
}

impl Write for CompressedWriter<'_, '_> {
    /// A yield point if bytes are sent, or the fiber's share of the thread is used up. It takes its
    /// bytes after that.
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let count = {
            let mut encoder = self.shared.encoder.borrow_mut();
            checkpoint();
            write_out(self.writer, encoder.output(), OUTPUT_BYTES_MAX)?;
            let count = piece.len().min(INPUT_BYTES_MAX);
            encoder.put(&piece[..count])?;
            count
        };
        self.arrange_flush();
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        {
            let mut encoder = self.shared.encoder.borrow_mut();
            encoder.flush()?;
            self.shared.has_unflushed.set(false);
            write_out(self.writer, encoder.output(), 0)?;
        }
        self.writer.flush()
    }
}

/// Writes the collected output, if it is more than `kept` bytes. If the fiber is unwound meanwhile,
/// what was not written stays.
fn write_out(writer: &mut BodyWriter<'_>, output: &mut Vec<u8>, kept: usize) -> io::Result<()> {
    if output.len() <= kept {
        return Ok(());
    }
    while !output.is_empty() {
        let count = output.len().min(WHOLE_BYTES_MAX);
        writer.write_all(&output[..count])?;
        output.drain(..count);
    }
    Ok(())
}

/// How many bytes are compressed between two checkpoints. Arbitrary: a fraction of a millisecond.
const INPUT_BYTES_MAX: usize = 4 * 1024;

/// From how many bytes on the output is written. Arbitrary: the writer collects as many.
const OUTPUT_BYTES_MAX: usize = 4 * 1024;

/// The writer takes smaller pieces whole or not at all.
const WHOLE_BYTES_MAX: usize = 16 * 1024 - 1;
