//! What the kit reads from a request, as methods.

use super::files::Validators;
use super::negotiation::{AcceptedEncodings, AcceptedLanguages, AcceptedTypes};
use crate::message::{Request, Response};

/// What the kit reads from a request. Each method belongs to a piece of the kit, whose page says
/// more.
pub trait RequestExt {
    /// The content codings that the client accepts, see [`AcceptedEncodings`]. Not a yield point.
    fn accepted_encodings(&self) -> AcceptedEncodings<'_>;

    /// The languages that the client accepts, see [`AcceptedLanguages`]. Not a yield point.
    fn accepted_languages(&self) -> AcceptedLanguages<'_>;

    /// The media types that the client accepts, see [`AcceptedTypes`]. Not a yield point.
    fn accepted_types(&self) -> AcceptedTypes<'_>;

    /// Evaluates the request's conditions: the response if the method must not be performed, a 304
    /// or a 412. See [`Validators`]. Not a yield point.
    fn check_conditions(&self, validators: &Validators) -> Option<Response>;
}

impl RequestExt for Request {
    fn accepted_encodings(&self) -> AcceptedEncodings<'_> {
        AcceptedEncodings::of(self.headers())
    }

    fn accepted_languages(&self) -> AcceptedLanguages<'_> {
        AcceptedLanguages::of(self.headers())
    }

    fn accepted_types(&self) -> AcceptedTypes<'_> {
        AcceptedTypes::of(self.headers())
    }

    fn check_conditions(&self, validators: &Validators) -> Option<Response> {
        validators.check(self)
    }
}
