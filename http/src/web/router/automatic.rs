//! What a router answers by itself: 404, 405, OPTIONS, and requests without a path.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};

use super::handler::Endpoint;
use crate::message::{IntoResponse, Request, Response};

pub(super) fn not_found() -> Arc<Endpoint> {
    Arc::new(|_: &mut Request| StatusCode::NOT_FOUND.into_response())
}

/// For the methods that a path has no handler for: a 405, and a 204 to OPTIONS.
pub(super) fn other_methods(methods: &[&str]) -> Arc<Endpoint> {
    let allow = allow(methods);
    Arc::new(move |request: &mut Request| {
        let response = match *request.method() {
            Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        };
        response.header(header::ALLOW, allow.clone())
    })
}

/// RFC 9110 section 9.3.7: `OPTIONS *` asks for the server as a whole. CONNECT (section 9.3.6) is
/// for proxies.
pub(super) fn without_path(methods: &[&str]) -> Arc<Endpoint> {
    let allow = allow(methods);
    Arc::new(move |request: &mut Request| -> Response {
        match *request.method() {
            Method::OPTIONS => {
                StatusCode::NO_CONTENT.into_response().header(header::ALLOW, allow.clone())
            }
            Method::CONNECT => StatusCode::NOT_IMPLEMENTED.into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    })
}

fn allow(methods: &[&str]) -> HeaderValue {
    // A method is a token, and a list of tokens is a valid header value.
    HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static(""))
}
