//! Answers a request: finds its route, and runs the handler with all that is around it.

use http::Method;

use super::site::{PathEntry, Site, Sites};
use crate::message::{Request, Response};

#[inline]
pub(super) fn dispatch(sites: &Sites, request: &mut Request) -> Response {
    let site = if sites.by_host.is_empty() { &sites.other } else { sites.of(request.host()) };
    match site.find_fixed(request.path_bytes()) {
        Some(entry) => run(entry, request),
        None => dispatch_by_tree(site, request),
    }
}

#[inline(never)]
fn dispatch_by_tree(site: &Site, request: &mut Request) -> Response {
    let path = request.path();
    let Some((entry, params)) = site.find(path) else {
        // CONNECT has no path, and `OPTIONS *` is for the server as a whole.
        let has_path = path.starts_with('/');
        let endpoint = if has_path { site.not_found(path) } else { &site.without_path };
        return endpoint(request);
    };
    if let Some(params) = params {
        request.extensions_mut().insert(params);
    }
    run(entry, request)
}

#[inline]
fn run(entry: &PathEntry, request: &mut Request) -> Response {
    request.set_route_label(entry.label);
    match &entry.get {
        Some(get) if *request.method() == Method::GET => get(request),
        _ => run_other(entry, request),
    }
}

#[inline(never)]
fn run_other(entry: &PathEntry, request: &mut Request) -> Response {
    let method = request.method();
    let found = entry.methods.iter().find(|(other, _)| other == method);
    let endpoint = found.map_or(&entry.other, |(_, endpoint)| endpoint);
    endpoint(request)
}
