//! Labels: what a fiber is doing, in words, for whoever lists the fibers or finds one stuck.

use std::cell::Cell;
use std::rc::Rc;

/// A short text that says what a fiber is doing: "GET /report", "job 17".
///
/// It is copied, so that it can be told at any time, even by a signal handler while the fiber keeps
/// its thread; the first 127 bytes count.
///
/// ```
/// use straightline_sched::{self as sched, Label};
///
/// sched::run(|| {
///     sched::spawn(|| {
///         let label = Label::new();
///         sched::set_label(Some(&label));
///         for job in 0.. {
///             label.set(format!("job {job}").as_bytes());
///             sched::park();
///         }
///     });
///     sched::yield_now();
///     let fibers = sched::inspect();
///     assert!(fibers.iter().any(|fiber| fiber.label.as_deref() == Some("job 0")));
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Label(Rc<Cell<Text>>);

/// The bytes before the length.
#[derive(Clone, Copy, Debug)]
struct Text {
    bytes: [u8; TEXT_BYTES],
    length: u8,
}

impl Label {
    /// An empty one. Not a yield point.
    #[allow(clippy::new_without_default)] // a label is no value
    pub fn new() -> Self {
        Self(Rc::new(Cell::new(Text { bytes: [0; TEXT_BYTES], length: 0 })))
    }

    /// Says something else. Not a yield point.
    #[inline]
    pub fn set(&self, text: &[u8]) {
        let length = text.len().min(TEXT_BYTES);
        let mut bytes = [0; TEXT_BYTES];
        bytes[..length].copy_from_slice(&text[..length]);
        #[allow(clippy::cast_possible_truncation)] // at most 127
        self.0.set(Text { bytes, length: length as u8 });
    }

    pub(crate) fn tell<R>(&self, tell: impl FnOnce(&[u8]) -> R) -> R {
        let text = self.0.get();
        // In a signal handler it may be half of one text and half of another.
        tell(&text.bytes[..usize::from(text.length).min(TEXT_BYTES)])
    }

    /// The text; `None` if there is none.
    pub(crate) fn text(&self) -> Option<String> {
        self.tell(|text| (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned()))
    }
}

/// With the length it fills two cache lines.
const TEXT_BYTES: usize = 127;
