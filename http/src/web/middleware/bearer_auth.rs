//! Bearer authentication (RFC 6750): a token with each request.

use http::{HeaderValue, StatusCode};

use super::auth::{Credentials, challenge, credentials};
use crate::conn::Next;
use crate::message::{Problem, Request, Response};

/// Asks each client for a token in its `Authorization` field. `verify` returns the user (or what
/// the token stands for), which goes among the [extensions](Request::extensions) of the request, or
/// `None` for a 401 `invalid_token`; its own error is sent as it is, such as a 403.
///
/// A token in the query or in a form is not looked at (RFC 6750 section 2.3 advises against it): it
/// would stand in logs.
///
/// # Blocking
///
/// `verify` may wait, within the time of the [wrappers](crate::ServerBuilder::wrap).
///
/// ```
/// use straightline::Request;
/// use straightline::testing::Client;
/// use straightline::web::middleware::{bearer_auth, same_secret};
///
/// struct Service(&'static str);
///
/// fn hello(request: &mut Request) -> &'static str {
///     request.extensions().get::<Service>().expect("behind `bearer_auth`").0
/// }
///
/// let client = Client::with_settings(hello, |server| {
///     server.wrap(bearer_auth(|token| {
///         Ok(same_secret(token.as_bytes(), b"mF_9.B5f-4.1JqM").then_some(Service("billing")))
///     }))
/// });
/// client.get("/").send().assert_status(401).assert_header("www-authenticate", "Bearer");
/// let wrong = client.get("/").header("authorization", "Bearer x").send();
/// wrong.assert_status(401).assert_header("www-authenticate", "Bearer error=\"invalid_token\"");
/// let known = client.get("/").header("authorization", "Bearer mF_9.B5f-4.1JqM").send();
/// known.assert_text("billing");
/// ```
pub fn bearer_auth<U: 'static>(
    verify: impl Fn(&str) -> Result<Option<U>, Problem> + Send + Sync + 'static,
) -> impl Fn(&mut Request, Next<'_>) -> Result<Response, Problem> + Send + Sync + 'static {
    move |request, next| {
        let user = match credentials(request, "bearer") {
            Credentials::Of(token) => verify(token)?,
            // RFC 6750 section 3.1: a request without a token gets no error code.
            Credentials::Missing => return Err(refuse(StatusCode::UNAUTHORIZED, "Bearer")),
            Credentials::Malformed => {
                let malformed = "Bearer error=\"invalid_request\"";
                return Err(refuse(StatusCode::BAD_REQUEST, malformed));
            }
        };
        let invalid = || refuse(StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\"");
        request.extensions_mut().insert(user.ok_or_else(invalid)?);
        Ok(next.run(request))
    }
}

fn refuse(status: StatusCode, text: &'static str) -> Problem {
    challenge(status, &HeaderValue::from_static(text))
}
