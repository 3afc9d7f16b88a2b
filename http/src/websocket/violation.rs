//! What a client must not do.

use super::close::CloseCode;

/// A fault of a client, for which the conversation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The code that the client is sent.
    pub(crate) code: CloseCode,
    /// What is wrong, also for the client.
    pub(crate) what: &'static str,
}

impl Violation {
    pub(super) const INVALID_TEXT: Self =
        Self { code: CloseCode::INVALID_TEXT, what: "a text that is not UTF-8" };
}
