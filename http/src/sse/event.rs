//! An event, and how it is written on the wire.
//!
//! The format is that of WHATWG HTML, section "Parsing an event stream": fields on lines, which end
//! with CR LF, LF or CR, and an empty line behind each event. So text that contains a line end
//! must not reach the wire as it is. The lines of data become fields of their own, which the client
//! joins again; everything else with a line end is refused.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::frame::Frame;

/// An event for a stream.
///
/// ```
/// use straightline::sse::Event;
///
/// let event = Event::new("first line\nsecond line").with_name("note")?.with_id("7")?;
/// let wire = b"event: note\nid: 7\ndata: first line\ndata: second line\n\n";
/// assert_eq!(event.encode().as_bytes(), wire);
/// # Ok::<(), straightline::sse::InvalidField>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    comment: Option<String>,
    /// Without CR, LF and NUL; so is `id`.
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
    data: Option<String>,
}

/// An id or a name of an event contains a character that no client would read as a part of it: CR,
/// LF or NUL.
///
/// ```
/// use straightline::sse::Event;
///
/// let error = Event::new("x").with_id("1\ndata: injected").unwrap_err();
/// assert_eq!(error.to_string(), "the id of an event contains U+000A");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidField {
    field: &'static str,
    found: char,
}

impl Event {
    /// An event with that data, which may have any number of lines. The client gets CR LF and CR as
    /// LF. Not a yield point.
    pub fn new(data: impl Into<String>) -> Self {
        Self { data: Some(data.into()), ..Self::default() }
    }

    /// A comment, which clients ignore. Not a yield point.
    ///
    /// ```
    /// use straightline::sse::Event;
    ///
    /// assert_eq!(Event::comment("still here").encode().as_bytes(), b": still here\n\n");
    /// ```
    pub fn comment(text: impl Into<String>) -> Self {
        Self { comment: Some(text.into()), ..Self::default() }
    }

    /// The name of the event, its *type*: a page listens for it by this name. An event without a
    /// name is a `message`.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if it contains CR, LF or NUL.
    pub fn with_name(mut self, name: impl Into<String>) -> Result<Self, InvalidField> {
        self.name = Some(checked("name", name.into())?);
        Ok(self)
    }

    /// The id of the event: a client that connects again sends the last id that it has seen, see
    /// [`last_event_id`](super::last_event_id). A [`Feed`](super::Feed) numbers its events by
    /// itself.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if it contains CR, LF or NUL.
    pub fn with_id(mut self, id: impl Into<String>) -> Result<Self, InvalidField> {
        self.id = Some(checked("id", id.into())?);
        Ok(self)
    }

    /// How long the client is to wait before it connects again, in whole milliseconds. Not a yield
    /// point.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline::sse::Event;
    ///
    /// let event = Event::new("x").with_retry(Duration::from_secs(2));
    /// assert_eq!(event.encode().as_bytes(), b"retry: 2000\ndata: x\n\n");
    /// ```
    #[must_use]
    pub fn with_retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }

    /// The event as it is sent. Encode it once if it is sent to many. Not a yield point.
    pub fn encode(&self) -> Frame {
        self.encode_with(self.id.as_deref())
    }

    /// As [`encode`](Self::encode), with an id that contains neither CR, LF nor NUL.
    pub(super) fn encode_with(&self, id: Option<&str>) -> Frame {
        let mut text = String::with_capacity(self.length_about());
        if let Some(comment) = &self.comment {
            lines(comment).for_each(|line| put(&mut text, "", line));
        }
        if let Some(name) = &self.name {
            put(&mut text, "event", name);
        }
        if let Some(id) = id {
            put(&mut text, "id", id);
        }
        if let Some(retry) = self.retry {
            put(&mut text, "retry", &retry.as_millis().to_string());
        }
        if let Some(data) = &self.data {
            lines(data).for_each(|line| put(&mut text, "data", line));
        }
        text.push('\n');
        Frame::new(text.as_bytes())
    }

    fn length_about(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        length(&self.data) + length(&self.name) + length(&self.comment) + FIELDS_BYTES_ABOUT
    }
}

fn checked(field: &'static str, text: String) -> Result<String, InvalidField> {
    match text.chars().find(|char| matches!(char, '\r' | '\n' | '\0')) {
        Some(found) => Err(InvalidField { field, found }),
        None => Ok(text),
    }
}

/// The client removes one space behind the colon.
fn put(text: &mut String, field: &str, value: &str) {
    text.push_str(field);
    text.push_str(": ");
    text.push_str(value);
    text.push('\n');
}

/// The lines of a text, by all three line ends of an event stream: at least one line, which may be
/// empty.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\r', '\n']) else {
            return rest.take();
        };
        let behind = if text[end..].starts_with("\r\n") { end + 2 } else { end + 1 };
        rest = Some(&text[behind..]);
        Some(&text[..end])
    })
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} of an event contains U+{:04X}", self.field, u32::from(self.found))
    }
}

impl Error for InvalidField {}

/// Room for the names of the fields and for short values. Arbitrary: a string grows if it is less.
const FIELDS_BYTES_ABOUT: usize = 64;

#[cfg(test)]
mod tests;
