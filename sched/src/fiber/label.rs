//! Labels: a fiber's own words for what it does, for lists and reports.

use std::cell::Cell;
use std::rc::Rc;

/// A short text that says what a fiber is doing: "GET /report", "job 17".
///
/// The text is copied, so that it can be read at any time, even by a signal handler while the fiber
/// keeps its thread; the first 120 bytes count.
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
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Label(Rc<Text>);

/// The bytes before the length.
#[derive(Debug)]
struct Text {
    length: Cell<usize>,
    bytes: [Cell<u8>; TEXT_BYTES],
}

impl Label {
    /// An empty label. Not a yield point.
    #[allow(clippy::new_without_default)] // a label has an identity
    pub fn new() -> Self {
        Self(Rc::new(Text { length: Cell::new(0), bytes: [const { Cell::new(0) }; TEXT_BYTES] }))
    }

    /// Replaces the text. Not a yield point.
    #[inline]
    pub fn set(&self, text: &[u8]) {
        let length = text.len().min(TEXT_BYTES);
        for (to, from) in self.0.bytes.iter().zip(text) {
            to.set(*from);
        }
        self.0.length.set(length);
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        // In a signal handler it may be half of one text and half of another.
        let mut text = [0; TEXT_BYTES];
        for (to, from) in text.iter_mut().zip(&self.0.bytes) {
            *to = from.get();
        }
        read(&text[..self.0.length.get().min(TEXT_BYTES)])
    }

    /// The text; `None` if there is none.
    pub(crate) fn text(&self) -> Option<String> {
        self.read(|text| (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned()))
    }
}

/// With its length it fills two cache lines.
const TEXT_BYTES: usize = 120;
