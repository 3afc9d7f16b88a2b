//! The name that a client asks for (SNI), from rustls's choice of a certificate to the session.
//!
//! rustls's interface without buffers does not tell a server the name. It tells it to the code that
//! chooses the certificate, in the middle of a step. So that code notes it here, and the session
//! takes it after the step, on the same thread.

use std::cell::Cell;

thread_local! {
    static NAME: Cell<Option<Box<str>>> = const { Cell::new(None) };
}

/// A client asks for `name`.
pub(crate) fn note(name: Option<&str>) {
    NAME.set(name.map(Into::into));
}

/// The name that was noted since the last call.
pub(crate) fn take() -> Option<Box<str>> {
    NAME.take()
}
