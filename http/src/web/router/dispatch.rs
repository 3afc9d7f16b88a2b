//! Answers a request: finds its route, and runs the wrappers and the handler.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};

use super::site::{PathEntry, Scope, Site, Sites, Target};
use crate::conn::{Next, Wrapper};
use crate::message::{IntoResponse, Request, Response};

pub(super) fn dispatch(sites: &Sites, request: &mut Request) -> Response {
    let site = if sites.by_host.is_empty() { &sites.other } else { sites.of(request.host()) };
    let Some((entry, params)) = site.find(request.path()) else {
        return not_found(site, request);
    };
    if let Some(params) = params {
        request.extensions_mut().insert(params);
    }
    request.set_route_label(entry.label);
    let method = request.method();
    let target = entry.methods.iter().find(|(other, _)| other == method);
    match target.map(|(_, target)| target).or(entry.any.as_ref()) {
        Some(target) => run(target, request),
        None => without_handler(entry, request),
    }
}

#[inline]
fn run(target: &Target, request: &mut Request) -> Response {
    match &target.settings {
        None => run_within(&target.wrappers, request, &*target.endpoint),
        Some(settings) => {
            settings.apply(request);
            run_within(&target.wrappers, request, &|request: &mut Request| {
                settings.refuse(request).unwrap_or_else(|| (target.endpoint)(request))
            })
        }
    }
}

#[inline]
fn run_within(
    wrappers: &[Arc<Wrapper>],
    request: &mut Request,
    endpoint: &dyn Fn(&mut Request) -> Response,
) -> Response {
    Next::inside(wrappers, endpoint).run(request)
}

/// A method that the path has no handler for.
#[cold]
fn without_handler(entry: &PathEntry, request: &mut Request) -> Response {
    run_within(&entry.wrappers, request, &|request: &mut Request| {
        let response = match *request.method() {
            Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
            _ => Response::error(
                StatusCode::METHOD_NOT_ALLOWED,
                "Method Not Allowed\n".to_owned(),
                None,
            ),
        };
        response.header(header::ALLOW, entry.allow.clone())
    })
}

#[cold]
fn not_found(site: &Site, request: &mut Request) -> Response {
    // RFC 9110 section 9.3.7: `OPTIONS *` asks for the server as a whole. CONNECT has no path.
    if request.path() == "*" && request.method() == Method::OPTIONS {
        return run_scope(&site.root, request, &|_: &mut Request| server_options(site));
    }
    if request.method() == Method::CONNECT {
        let answer = |_: &mut Request| StatusCode::NOT_IMPLEMENTED.into_response();
        return run_scope(&site.root, request, &answer);
    }
    let scope = site.scope(request.path());
    match &scope.fallback {
        Some(fallback) => run_scope(scope, request, &**fallback),
        None => run_scope(scope, request, &|_: &mut Request| StatusCode::NOT_FOUND.into_response()),
    }
}

fn run_scope(scope: &Scope, request: &mut Request, endpoint: &EndpointRef<'_>) -> Response {
    let Some(settings) = &scope.settings else {
        return run_within(&scope.wrappers, request, endpoint);
    };
    settings.apply(request);
    run_within(&scope.wrappers, request, &|request: &mut Request| {
        settings.refuse(request).unwrap_or_else(|| endpoint(request))
    })
}

/// All methods for which there is a handler anywhere.
fn server_options(site: &Site) -> Response {
    let mut names: Vec<&str> = vec![Method::OPTIONS.as_str()];
    for (method, _) in site.paths.iter().flat_map(|entry| &entry.methods) {
        if !names.contains(&method.as_str()) {
            names.push(method.as_str());
        }
    }
    names.sort_unstable();
    let response = StatusCode::NO_CONTENT.into_response();
    match HeaderValue::from_str(&names.join(", ")) {
        Ok(allow) => response.header(header::ALLOW, allow),
        Err(_) => response, // a method is a token
    }
}

/// An endpoint that is not shared.
type EndpointRef<'e> = dyn Fn(&mut Request) -> Response + 'e;
