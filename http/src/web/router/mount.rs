//! A handler below a prefix that it does not know.

use std::sync::Arc;

use http::{StatusCode, header};

use super::definition::RouteDefinition;
use super::handler::Endpoint;
use super::params::PathParams;
use super::settings::RouteSettings;
use crate::message::{IntoResponse, Request, Response};
use crate::web::original_path::{forget_original_path, keep_original_path};

/// The routes of a mounted handler: the prefix itself, which is redirected to the prefix with a
/// slash; that; and everything below.
pub(super) fn routes(prefix: &str, handler: Arc<Endpoint>) -> Vec<(String, RouteDefinition)> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let at_root = Arc::clone(&handler);
    let mut routes = vec![
        (
            format!("{prefix}/"),
            any(Arc::new(move |request: &mut Request| with_path(request, "/", &*at_root))),
        ),
        (
            format!("{prefix}/{{*path}}"),
            any(Arc::new(move |request: &mut Request| {
                let path = below_prefix(request).to_owned();
                with_path(request, &path, &*handler)
            })),
        ),
    ];
    if !prefix.is_empty() {
        routes.push((prefix.to_owned(), any(Arc::new(add_slash))));
    }
    routes
}

/// The part of the path that the wildcard has matched, with the slash before it.
fn below_prefix(request: &Request) -> &str {
    let path = request.path();
    let depth = request.extensions().get().map_or(1, PathParams::depth_of_last);
    let slashes = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
    slashes.map(|(at, _)| at).nth(depth - 1).map_or("/", |at| &path[at..])
}

/// Runs a handler with another path in its request, and gives the request its own back.
fn with_path(request: &mut Request, path: &str, handler: &Endpoint) -> Response {
    let is_outermost = keep_original_path(request);
    let target = request.target().to_owned();
    let query_bytes = request.query().map_or(0, |query| query.len() + 1);
    let query = &target[target.len() - query_bytes..];
    let origin = origin_of(&target);
    if request.set_target(&format!("{origin}{path}{query}")).is_err() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let response = handler(request);
    if is_outermost {
        forget_original_path(request);
    }
    match request.set_target(&target) {
        Ok(()) => response,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(), // no memory
    }
}

/// The beginning of a target in absolute form, which names the host.
fn origin_of(target: &str) -> &str {
    let Some((scheme, rest)) = target.split_once("://").filter(|_| !target.starts_with('/')) else {
        return "";
    };
    let authority = rest.find(['/', '?']).unwrap_or(rest.len());
    &target[..scheme.len() + 3 + authority]
}

/// Redirects to the same path with a slash at its end.
fn add_slash(request: &mut Request) -> Response {
    let path = request.path();
    // A browser takes `//` and `/\` at the beginning for another host.
    if path[1..].starts_with(['/', '\\']) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let query = request.query().map_or(String::new(), |query| format!("?{query}"));
    let location = format!("{path}/{query}");
    let mut response = StatusCode::PERMANENT_REDIRECT.into_response();
    match response.try_set_header(header::LOCATION, location) {
        Ok(()) => response,
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

fn any(endpoint: Arc<Endpoint>) -> RouteDefinition {
    RouteDefinition {
        handlers: vec![(None, endpoint)],
        layers: Vec::new(),
        settings: RouteSettings::default(),
        name: None,
    }
}
