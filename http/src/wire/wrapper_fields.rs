//! The header fields that wrappers have added to a handler's response.
//!
//! The server may have to replace that response later: a stream fails before its first byte, the
//! request's body turns out malformed. The response that is sent then has these fields too, as far
//! as they do not describe the body that is replaced.

use std::cell::Cell;

use http::{HeaderName, HeaderValue, header};

type Fields = Vec<(HeaderName, HeaderValue)>;

/// The fields of the current request; nothing is allocated on a server without wrappers.
#[derive(Default)]
#[allow(clippy::box_collection)] // one word for each connection
pub(crate) struct WrapperFields(Cell<Option<Box<Fields>>>);

impl WrapperFields {
    /// A request begins.
    pub(crate) fn begin(&self) {
        self.0.take();
    }

    /// The handler has returned a response with these fields, which are not of the wrappers.
    pub(crate) fn begin_wrappers(&self, handler: &Fields) {
        self.0.set(Some(Box::new(handler.clone())));
    }

    /// The wrappers have returned a response with these fields.
    pub(crate) fn end_wrappers(&self, all: &Fields) {
        let handler = self.0.take().unwrap_or_default();
        let added = all.iter().filter(|field| !handler.contains(field) && is_of_any_body(&field.0));
        self.0.set(Some(Box::new(added.cloned().collect())));
    }

    /// The fields that the wrappers have added.
    pub(crate) fn added(&self) -> Fields {
        let added = self.0.take();
        let copy = added.as_deref().cloned().unwrap_or_default();
        self.0.set(added);
        copy
    }
}

/// Whether a field says nothing about the body that it came with, or about its freshness.
fn is_of_any_body(name: &HeaderName) -> bool {
    let of_body = [
        header::ACCEPT_RANGES,
        header::CACHE_CONTROL,
        header::ETAG,
        header::EXPIRES,
        header::LAST_MODIFIED,
        header::TRAILER,
        header::UPGRADE,
    ];
    let of_content = name.as_str().starts_with("content-")
        && !name.as_str().starts_with("content-security-policy");
    !of_content && !of_body.contains(name)
}
