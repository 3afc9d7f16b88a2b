//! This project with its router: 100 routes and two wrappers around the same response.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use straightline::web::Router;
use straightline::{IntoResponse, Next, Request, Server, StatusCode};

use super::answer::{ANY_PORT, BODY, PATH, announce};

pub(super) fn run() -> io::Result<()> {
    let server = Server::builder().bind(ANY_PORT).workers(1).quiet().build(router())?;
    announce(&server.local_addrs()[0]);
    server.run()?;
    Ok(())
}

/// The routes of an API, and two wrappers that do little: one counts the responses with an error,
/// the other one refuses long bodies. They do what a program would, and add nothing to a request
/// that has neither.
fn router() -> Router {
    static ERRORS: AtomicU64 = AtomicU64::new(0);
    let router = Router::new()
        .wrap(|request: &mut Request, next: Next<'_>| {
            let response = next.run(request);
            if response.status().is_server_error() {
                ERRORS.fetch_add(1, Ordering::Relaxed);
            }
            response
        })
        .wrap(|request: &mut Request, next: Next<'_>| match request.body().remaining() {
            Some(..=BODY_BYTES_MAX) | None => next.run(request),
            Some(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        })
        .get(PATH, |_: &mut Request| BODY);
    patterns().fold(router, |router, pattern| router.get(&pattern, |_: &mut Request| BODY))
}

/// The patterns of the other 99 routes.
pub(crate) fn patterns() -> impl Iterator<Item = String> {
    let kinds = ["", "/{id}", "/{id}/comments"];
    NAMES.iter().flat_map(move |name| kinds.map(|kind| format!("/{name}{kind}")))
}

const NAMES: [&str; 33] = [
    "accounts",
    "albums",
    "articles",
    "authors",
    "books",
    "branches",
    "carts",
    "commits",
    "customers",
    "events",
    "files",
    "groups",
    "invoices",
    "issues",
    "jobs",
    "labels",
    "messages",
    "orders",
    "pages",
    "payments",
    "photos",
    "places",
    "plans",
    "players",
    "posts",
    "products",
    "projects",
    "releases",
    "reports",
    "teams",
    "tickets",
    "users",
    "videos",
];

const BODY_BYTES_MAX: u64 = 1 << 20;
