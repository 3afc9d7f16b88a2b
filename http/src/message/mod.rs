//! Requests and responses, as handlers, wrappers and tests see them.
//!
//! - `request` is the request; `request_edit` changes it, `request_settings` has its times and its
//!   name, `request_builder` makes one, `body` reads its body within a `body_limit`, and
//!   `extensions` has what wrappers attach to it;
//! - `response` is the response, `upgrade_response` one after which the connection is another
//!   protocol's, `into_response` has what a handler may return in its place, and
//!   `handler_error` any error of a handler; `problem` is an error that the client may read;
//! - `response_body` is the body of a response, `file_body` a file as one, `body_writer` what a
//!   streamed one writes to, and `fed` one whose pieces come from elsewhere;
//! - `upstream_error` is the failure of a server whose response is passed on;
//! - `invalid_header` and `invalid_request` are the errors for what a program makes.

mod body;
mod body_limit;
mod body_writer;
mod extensions;
mod fed;
mod file_body;
mod handler_error;
mod into_response;
mod invalid_header;
mod invalid_request;
mod problem;
mod request;
mod request_builder;
mod request_edit;
mod request_settings;
mod response;
mod response_body;
mod upgrade_response;
mod upstream_error;

pub use body::{Body, Lines};
pub use body_writer::BodyWriter;
pub use extensions::Extensions;
pub(crate) use fed::{Fed, Fetched, Piece, Pieces};
pub use handler_error::HandlerError;
pub use into_response::IntoResponse;
pub use invalid_header::InvalidHeader;
pub(crate) use invalid_header::{checked, expect_valid};
pub use invalid_request::InvalidRequest;
pub use problem::{Problem, ProblemValue};
pub use request::Request;
pub use request_builder::RequestBuilder;
pub use response::Response;
pub use response_body::ResponseBody;
pub(crate) use response_body::{ErrorText, RunProtocol, Streamed, WriteBody};
pub(crate) use upstream_error::UpstreamError;
