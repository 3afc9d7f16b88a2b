//! Output through a bounded queue, so that no thread waits for the reader.
//!
//! The reader of a program's standard error may stop reading: a terminal is paused, a log collector
//! hangs. Then a write to it blocks, and with it every thread that writes, behind std's lock. Here
//! the text goes into a queue with a bounded number of bytes, and one thread writes the queue out.
//! Text that finds no room is left out and counted.
//!
//! The first line starts the thread. If the system refuses a thread, a later line tries again.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::watchdog::{OwnThread, WRITER_OF_STDERR};

/// A writer that takes text at once; a thread of its own writes it out.
///
/// Each call of [`put`](Self::put), and each `write` or `write!`, is one piece. All of a piece is
/// taken, or nothing if there is no room, which is counted and no error. The writer may be cloned;
/// when the last clone is dropped, its thread ends once all is written.
///
/// ```
/// use std::io::Write;
/// use std::time::Duration;
/// use straightline_sched::QueuedWriter;
///
/// let mut log = QueuedWriter::new(std::io::sink(), 64 * 1024)?;
/// writeln!(log, "{} things have happened", 3)?;
/// assert!(log.flush_within(Duration::from_secs(10)));
/// assert_eq!(log.dropped(), 0);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct QueuedWriter {
    owner: Arc<Owner>,
}

/// The one [`QueuedWriter`] for the standard error of this process, with room for 1 MiB. All output
/// of this library goes through it.
///
/// Control characters, with which text of a client could control a terminal, are escaped, except
/// line ends and tabs. When there is room again, a line says how many lines were left out at that
/// place.
///
/// ```
/// use std::io::Write;
/// use std::time::Duration;
/// use straightline_sched as sched;
///
/// writeln!(sched::stderr(), "the disk is nearly full")?;
/// sched::stderr().flush_within(Duration::from_secs(1)); // before the process ends
/// # std::io::Result::Ok(())
/// ```
pub fn stderr() -> QueuedWriter {
    static STDERR: OnceLock<QueuedWriter> = OnceLock::new();
    let of_process = || {
        let writer = Box::new(Escaped(StandardError));
        let settings = Settings {
            name: "straightline-write",
            bytes_max: STDERR_BYTES,
            reports_lost: true,
            known: Some(&WRITER_OF_STDERR),
        };
        QueuedWriter::make(settings, writer)
    };
    STDERR.get_or_init(of_process).clone()
}

impl QueuedWriter {
    /// For `writer`, with room for that many bytes, including those that the thread is about to
    /// write. A piece that is longer than a quarter of the room is cut there.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn new(writer: impl Write + Send + 'static, bytes_max: usize) -> io::Result<Self> {
        let settings =
            Settings { name: "straightline-log", bytes_max, reports_lost: false, known: None };
        let this = Self::make(settings, Box::new(writer));
        this.queue().start(&mut this.queue().state.lock())?;
        Ok(this)
    }

    fn make(settings: Settings, writer: Box<dyn Write + Send>) -> Self {
        let state = Mutex::new(State { writer: Some(writer), ..State::default() });
        let queue = Arc::new_cyclic(|this| Queue {
            settings,
            state,
            more: Condvar::new(),
            gone: Condvar::new(),
            this: this.clone(),
        });
        Self { owner: Arc::new(Owner(queue)) }
    }

    /// Queues `text`; returns false if there is no room for it, and it is left out.
    ///
    /// Not a yield point, and never blocks.
    pub fn put(&self, text: impl AsRef<[u8]>) -> bool {
        let mut state = self.queue().state.lock();
        self.queue().put(&mut state, text.as_ref())
    }

    /// As [`put`](Self::put), for text after which the process may end at once, such as a panic:
    /// waits as [`flush_within`](Self::flush_within) does.
    ///
    /// # Blocking
    ///
    /// Blocks the thread.
    pub fn put_through(&self, text: impl AsRef<[u8]>, timeout: Duration) -> bool {
        let is_taken = self.put(text);
        self.flush_within(timeout);
        is_taken
    }

    /// As [`put`](Self::put), and waits for room if there is none, but no longer than `timeout`.
    ///
    /// # Blocking
    ///
    /// Blocks the thread, so it is for threads without fibers.
    pub fn put_patiently(&self, text: impl AsRef<[u8]>, timeout: Duration) -> bool {
        let (queue, text, until) = (self.queue(), text.as_ref(), Instant::now() + timeout);
        let mut state = queue.state.lock();
        while !queue.has_room(&state, text.len()) {
            if queue.gone.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        queue.put(&mut state, text)
    }

    /// Waits until all text that was put before is written, or left out; returns false if that
    /// takes longer than `timeout`. If an earlier wait of that length failed and nothing was
    /// written since, it does not wait again.
    ///
    /// # Blocking
    ///
    /// Blocks the thread.
    pub fn flush_within(&self, timeout: Duration) -> bool {
        let (queue, until) = (self.queue(), Instant::now() + timeout);
        let mut state = queue.state.lock();
        let put = state.put;
        while state.gone < put {
            if state.waited_in_vain >= timeout {
                return false;
            }
            let in_time = !queue.gone.wait_until(&mut state, until).timed_out();
            if !in_time && state.gone < put {
                state.waited_in_vain = timeout;
            }
        }
        true
    }

    /// How many lines were left out, or could not be written.
    ///
    /// Not a yield point.
    pub fn dropped(&self) -> u64 {
        self.queue().state.lock().dropped
    }

    fn queue(&self) -> &Queue {
        &self.owner.0
    }
}

/// Each call is one piece, and never fails.
impl Write for QueuedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        self.put(text.to_string());
        Ok(())
    }

    /// Does nothing: see [`flush_within`](QueuedWriter::flush_within).
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for QueuedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedWriter").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

/// The part that all clones share; its drop is the end of the queue.
struct Owner(Arc<Queue>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.state.lock().is_closed = true;
        self.0.more.notify_one();
    }
}

struct Queue {
    settings: Settings,
    state: Mutex<State>,
    /// Notified when there is something to write, or never will be.
    more: Condvar,
    /// Notified when something is written or lost: there is room.
    gone: Condvar,
    this: std::sync::Weak<Self>,
}

struct Settings {
    /// The name of the thread.
    name: &'static str,
    bytes_max: usize,
    /// Whether the output says how many lines were left out.
    reports_lost: bool,
    /// Whether the thread is the library's own, which the watchdog must not count.
    known: Option<&'static OwnThread>,
}

#[derive(Default)]
struct State {
    /// `None` once the thread has it.
    writer: Option<Box<dyn Write + Send>>,
    has_thread: bool,
    waiting: Vec<u8>,
    /// How many bytes were ever taken, and how many of those are written or lost.
    put: u64,
    gone: u64,
    dropped: u64,
    /// How many lost lines the output has not reported yet.
    unreported: u64,
    /// A flush waited for that long in vain, and nothing was written since.
    waited_in_vain: Duration,
    is_closed: bool,
    /// Nothing is written any more, as the thread has ended.
    is_over: bool,
}

impl Queue {
    fn has_room(&self, state: &State, bytes: usize) -> bool {
        // A piece that the thread has taken stays in memory until it is written.
        let held = usize::try_from(state.put - state.gone).unwrap_or(usize::MAX);
        let bytes = bytes.min(self.settings.bytes_max / 4 + CUT.len());
        held.saturating_add(bytes) <= self.settings.bytes_max
    }

    fn put(&self, state: &mut MutexGuard<'_, State>, text: &[u8]) -> bool {
        // Without the thread the queue fills up. The text is queued all the same, and the next
        // piece tries again.
        let _ = self.start(state);
        if state.is_over || !self.has_room(state, text.len()) {
            let lines = lines(text);
            state.dropped += lines;
            state.unreported += lines;
            return false;
        }
        let (text, cut) = match text.split_at_checked(self.settings.bytes_max / 4) {
            Some((begin, rest @ [_, ..])) => {
                state.dropped += lines(rest) - 1; // the beginning of the first one is kept
                (begin, CUT)
            }
            _ => (text, &[][..]),
        };
        let needed = state.waiting.len() + text.len() + cut.len();
        if needed > state.waiting.capacity() {
            // Doubled, but never beyond the bound.
            let wanted = (2 * needed).min(self.settings.bytes_max);
            let more = wanted - state.waiting.len();
            state.waiting.reserve_exact(more);
        }
        state.waiting.extend_from_slice(text);
        state.waiting.extend_from_slice(cut);
        state.put += (text.len() + cut.len()) as u64;
        self.more.notify_one();
        true
    }

    /// Starts the thread, unless it runs.
    fn start(&self, state: &mut MutexGuard<'_, State>) -> io::Result<()> {
        if state.has_thread {
            return Ok(());
        }
        let Some(queue) = self.this.upgrade() else { return Ok(()) };
        let known = self.settings.known;
        known.inspect(|thread| thread.begins());
        // The thread takes the writer itself: if it is not started, the writer is still here.
        let started = thread::Builder::new().name(self.settings.name.into()).spawn(move || {
            known.inspect(|thread| thread.runs());
            let writer = queue.state.lock().writer.take();
            let _end = EndOfWriting(&queue);
            writer.into_iter().for_each(|writer| queue.write_out(writer));
        });
        state.has_thread = started.is_ok();
        if started.is_err() {
            known.inspect(|thread| thread.is_refused());
        }
        started.map(drop)
    }

    /// The thread's work: writes what is queued, until all writers are gone.
    fn write_out(&self, mut writer: Box<dyn Write + Send>) {
        let mut batch = Vec::new();
        loop {
            let unreported = {
                let mut state = self.state.lock();
                while state.waiting.is_empty() {
                    if state.is_closed {
                        return;
                    }
                    self.more.wait(&mut state);
                }
                mem::swap(&mut batch, &mut state.waiting);
                mem::take(&mut state.unreported)
            };
            let mut rest = &batch[..];
            while !rest.is_empty() {
                let (chunk, behind) = rest.split_at(chunk_end(rest));
                let written = writer.write_all(chunk).and_then(|()| writer.flush());
                rest = behind;
                // A full disk is no reason to stop; later lines may fit.
                self.let_go(chunk, written.is_ok());
            }
            if self.settings.reports_lost && unreported > 0 {
                let text =
                    format!("straightline: {unreported} lines were left out here: no room\n");
                // If this fails, so do the lines around it, which are counted.
                let _ = writer.write_all(text.as_bytes()).and_then(|()| writer.flush());
            }
            batch.clear();
            if batch.capacity() > CHUNK_BYTES {
                batch = Vec::new(); // a spike is over
            }
        }
    }

    fn let_go(&self, chunk: &[u8], is_written: bool) {
        let mut state = self.state.lock();
        state.gone += chunk.len() as u64;
        state.waited_in_vain = Duration::ZERO;
        if !is_written {
            state.dropped += lines(chunk);
        }
        drop(state);
        self.gone.notify_all();
    }
}

/// However the thread ends, no caller waits for it: a writer may panic.
struct EndOfWriting<'q>(&'q Queue);

impl Drop for EndOfWriting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_over = true;
        // The piece that the thread was writing is lost as well; its number of lines is unknown.
        let waiting = mem::take(&mut state.waiting);
        state.dropped += if waiting.is_empty() { 0 } else { lines(&waiting) };
        state.gone = state.put;
        drop(state);
        self.0.gone.notify_all();
    }
}

/// How many lines the text has; at least one.
fn lines(text: &[u8]) -> u64 {
    let mut lines = text.split(|byte| *byte == b'\n').count() as u64;
    if text.ends_with(b"\n") {
        lines -= 1;
    }
    lines
}

/// How many bytes of the text to write at once: whole lines, if they are short enough.
fn chunk_end(text: &[u8]) -> usize {
    if text.len() <= CHUNK_BYTES {
        return text.len();
    }
    let end = text[..CHUNK_BYTES].iter().rposition(|byte| *byte == b'\n');
    end.map_or(CHUNK_BYTES, |end| end + 1)
}

/// The process's standard error without std's lock: while this write blocks, no other thread must
/// wait for it.
struct StandardError;

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match io::stderr().as_fd().try_clone_to_owned() {
            Ok(descriptor) => File::from(descriptor).write(bytes),
            // It is closed, so no reader loses anything, or there are no descriptors left.
            Err(_) => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Escapes control characters, except line ends and tabs, and bytes that are not UTF-8.
struct Escaped<W>(W);

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = String::with_capacity(bytes.len());
        for piece in bytes.utf8_chunks() {
            for character in piece.valid().chars() {
                match character {
                    '\n' | '\t' => text.push(character),
                    _ if character.is_control() => text.extend(character.escape_default()),
                    _ => text.push(character),
                }
            }
            piece
                .invalid()
                .iter()
                .for_each(|byte| text.extend(byte.escape_ascii().map(char::from)));
        }
        self.0.write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The mark where a piece was cut.
const CUT: &[u8] = b"...\n";

/// Arbitrary: system calls cost little at this size, and room comes back in such steps.
const CHUNK_BYTES: usize = 64 * 1024;

/// Arbitrary: some thousands of lines, or a listing of as many fibers.
const STDERR_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_escaped() {
        let mut written = Escaped(Vec::new());
        let text = b"a\tb\x1b[2J\r\x7f\xc2\x9b \xff\xc3\xa9\n";
        written.write_all(text).unwrap();
        let expected = "a\tb\\u{1b}[2J\\r\\u{7f}\\u{9b} \\xff\u{e9}\n";
        assert_eq!(String::from_utf8(written.0).unwrap(), expected);
    }

    #[test]
    fn chunks_end_with_their_lines() {
        let lines = b"0123456789\n".repeat(20_000);
        let mut rest = &lines[..];
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(chunk_end(rest));
            assert!(chunk.len() <= CHUNK_BYTES && chunk.ends_with(b"\n"));
            rest = behind;
        }
        assert_eq!(chunk_end(&vec![b'x'; 2 * CHUNK_BYTES]), CHUNK_BYTES);
    }
}
