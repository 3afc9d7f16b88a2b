//! Changes of a request, by wrappers and for tests.
//!
//! A head is offsets into its bytes. What is added stands behind the head, in a copy of its own, so
//! that what was received stays as it is.

use std::fmt;

use http::{HeaderName, HeaderValue, Method};

use super::invalid_header::{InvalidHeader, checked, expect_valid};
use super::invalid_request::InvalidRequest;
use super::request::Request;
use crate::proto::{Field, Head, HeadParser, Limits, RefusalKind};
use crate::wire::Buffers;

impl Request {
    /// Replaces the method, for handlers behind this one: a wrapper may serve a HEAD as a GET. The
    /// response is still one to the client's method: a HEAD gets no body.
    ///
    /// Not a yield point.
    pub fn set_method(&mut self, method: Method) {
        self.method = Some(Box::new(method));
    }

    /// Replaces the target, for handlers behind this one: a wrapper may strip a prefix.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// If a request of this method cannot have such a target. The request stays as it is then.
    ///
    /// ```
    /// use straightline::{InvalidRequest, Request};
    ///
    /// fn strip_version(request: &mut Request) -> Result<(), InvalidRequest> {
    ///     match request.target().strip_prefix("/v1").map(str::to_owned) {
    ///         Some(target) => request.set_target(&target),
    ///         None => Ok(()),
    ///     }
    /// }
    ///
    /// let mut request = Request::builder().target("/v1/things?all").build()?;
    /// strip_version(&mut request)?;
    /// assert_eq!((request.path(), request.query()), ("/things", Some("all")));
    /// # Ok::<(), InvalidRequest>(())
    /// ```
    pub fn set_target(&mut self, target: &str) -> Result<(), InvalidRequest> {
        let prefix = self.method().as_str().len() + 1;
        if let Some(at) = target.bytes().position(|byte| !byte.is_ascii_graphic()) {
            return Err(InvalidRequest::refused(RefusalKind::Target.at(prefix + at)));
        }
        let text = format!("{} {target} HTTP/1.1\r\nhost: a\r\n\r\n", self.method());
        let (limits, mut head) =
            (Limits { head_bytes: HEAD_BYTES_MAX, ..Limits::default() }, Head::default());
        HeadParser::default()
            .parse(text.as_bytes(), &limits, &mut head)
            .map_err(InvalidRequest::refused)?;
        let start = self.add_text(target.as_bytes()).ok_or_else(InvalidRequest::no_memory)?;
        let place = |(from, to): (u32, u32)| {
            let first = head.target.0;
            (from - first + start, to - first + start)
        };
        (self.buffers.head.target, self.buffers.head.path) = (place(head.target), place(head.path));
        Ok(())
    }

    /// Sets a header field, in place of all fields of that name, for handlers behind this one.
    ///
    /// Not a yield point. [`try_set_header`](Self::try_set_header) does not panic.
    ///
    /// # Panics
    ///
    /// If the name or the value is not valid, or if there is no memory for them.
    ///
    /// ```
    /// use straightline::Request;
    ///
    /// let mut request = Request::builder().build()?;
    /// request.set_header("x-request-id", "7");
    /// request.append_header("x-tag", "a");
    /// request.append_header("x-tag", "b");
    /// assert_eq!(request.headers().get("x-request-id"), Some("7"));
    /// assert_eq!(request.headers().all("x-tag").count(), 2);
    /// request.remove_header("x-tag");
    /// assert!(!request.headers().contains("x-tag"));
    /// # Ok::<(), straightline::InvalidRequest>(())
    /// ```
    #[track_caller]
    pub fn set_header<N, V>(&mut self, name: N, value: V)
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        expect_valid(self.try_set_header(name, value));
    }

    /// As [`set_header`](Self::set_header), for names and values from outside.
    ///
    /// # Errors
    ///
    /// Where `set_header` panics. The request stays as it is then.
    pub fn try_set_header<N, V>(&mut self, name: N, value: V) -> Result<(), InvalidHeader>
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        let (name, value) = checked(name, value)?;
        self.add_field(&name, &value)?;
        let last = self.buffers.head.fields.pop();
        self.remove_header(&name);
        self.buffers.head.fields.extend(last);
        Ok(())
    }

    /// Adds a header field; earlier fields of that name stay.
    ///
    /// Not a yield point.
    ///
    /// # Panics
    ///
    /// As [`set_header`](Self::set_header).
    #[track_caller]
    pub fn append_header<N, V>(&mut self, name: N, value: V)
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        expect_valid(checked(name, value).and_then(|(name, value)| self.add_field(&name, &value)));
    }

    /// Removes all header fields of that name.
    ///
    /// Not a yield point.
    pub fn remove_header(&mut self, name: impl AsRef<str>) {
        let Buffers { input, head, .. } = &mut *self.buffers;
        let name = name.as_ref().as_bytes();
        head.fields.retain(|field| !field.has_name(input.unread(), name));
    }

    fn add_field(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), InvalidHeader> {
        let no_room = || InvalidHeader::new("no memory for another header field");
        let name = self.add_text(name.as_str().as_bytes()).ok_or_else(no_room)?;
        let value_start = self.add_text(value.as_bytes()).ok_or_else(no_room)?;
        let end = self.buffers.input.unread().len();
        let (name, value_start) = (name as usize, value_start as usize);
        self.buffers.head.fields.push(Field::new(name..value_start, value_start..end));
        Ok(())
    }

    /// Adds text behind the head, and returns where it begins; `None` if there is no room.
    fn add_text(&mut self, text: &[u8]) -> Option<u32> {
        self.split_head().ok()?;
        let input = &mut self.buffers.input;
        let start = input.unread().len();
        if start + text.len() > HEAD_BYTES_MAX {
            return None;
        }
        input.push(text).ok()?;
        u32::try_from(start).ok()
    }
}

/// The most bytes of a head to which a program adds: far more than a client may send.
const HEAD_BYTES_MAX: usize = 16 << 20;
