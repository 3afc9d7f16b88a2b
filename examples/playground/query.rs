//! The parameters of a request's query.

use std::str::FromStr;

use straightline::{IntoResponse, Request, Response, StatusCode};

/// The value of a parameter of the query, or the default if the query does not have it.
pub(crate) fn parameter<N: FromStr>(
    request: &Request,
    name: &str,
    default: N,
) -> Result<N, Response> {
    let parameters = request.query().unwrap_or_default().split('&');
    let mut values =
        parameters.filter_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='));
    match values.next() {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| {
            (StatusCode::BAD_REQUEST, format!("{name} must be a whole number\n")).into_response()
        }),
    }
}
