//! Finding the handler of a request and calling it, without a connection: 100 routes, of this
//! project's router, of axum's, and the bare tree of `matchit`, which both use.
//!
//! The routers do more than the tree: they choose by method, record the parameters and call the
//! handler, which gives a response. axum also consumes a request each time, so its figure includes
//! making one from a target that is parsed already.

use std::hint::black_box;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use clap::ValueEnum;
use straightline::web::Router;
use straightline::{Handler, Request};
use tower_service::Service;

use crate::serve::{BODY, PATH, patterns};

/// Which router.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The tree alone
    Matchit,
    /// This project's router
    Straightline,
    /// axum's router
    Axum,
}

/// Measures each router with each path, in interleaved rounds, and prints the best of each; with
/// `only` that router with the first path alone, for valgrind.
pub(crate) fn run(rounds: u32, count: u32, only: Option<Kind>) -> io::Result<bool> {
    if let Some(kind) = only {
        dispatcher(kind, PATHS[0].1)?(count);
        return Ok(true);
    }
    println!("nanoseconds of one dispatch, the best of {rounds} rounds");
    for (name, path) in PATHS {
        let kinds = Kind::value_variants();
        let mut dispatchers = Vec::new();
        for kind in kinds {
            dispatchers.push((f64::INFINITY, dispatcher(*kind, path)?));
        }
        for _ in 0..rounds {
            for (best, dispatcher) in &mut dispatchers {
                let begin = Instant::now();
                dispatcher(count);
                *best = best.min(begin.elapsed().as_secs_f64() * 1e9 / f64::from(count));
            }
        }
        let [matchit, straightline, axum] = [0, 1, 2].map(|at: usize| dispatchers[at].0);
        println!(
            "{name:10} matchit {matchit:6.1}  straightline {straightline:6.1}  axum {axum:6.1}"
        );
    }
    Ok(true)
}

/// Dispatches so often.
type Dispatcher = Box<dyn FnMut(u32)>;

fn dispatcher(kind: Kind, path: &'static str) -> io::Result<Dispatcher> {
    match kind {
        Kind::Matchit => matchit_tree(path),
        Kind::Straightline => straightline_router(path),
        Kind::Axum => axum_router(path),
    }
}

fn matchit_tree(path: &'static str) -> io::Result<Dispatcher> {
    let mut tree = matchit::Router::new();
    tree.insert(PATH, 0).map_err(io::Error::other)?;
    for (pattern, number) in patterns().zip(1..) {
        tree.insert(pattern, number).map_err(io::Error::other)?;
    }
    Ok(Box::new(move |count| {
        for _ in 0..count {
            let _ = black_box(tree.at(black_box(path)).map(|found| *found.value));
        }
    }))
}

fn straightline_router(path: &'static str) -> io::Result<Dispatcher> {
    let router = Router::new().get(PATH, |_: &mut Request| BODY);
    let router =
        patterns().fold(router, |router, pattern| router.get(&pattern, |_: &mut Request| BODY));
    router.check()?;
    let mut request = Request::builder().target(path).build().map_err(io::Error::other)?;
    Ok(Box::new(move |count| {
        for _ in 0..count {
            drop(black_box(router.handle(black_box(&mut request))));
        }
    }))
}

#[allow(clippy::unnecessary_wraps)] // as the others
fn axum_router(path: &'static str) -> io::Result<Dispatcher> {
    let router = axum::Router::new().route(PATH, axum::routing::get(|| async { BODY }));
    let mut router: axum::Router = patterns().fold(router, |router, pattern| {
        router.route(&pattern, axum::routing::get(|| async { BODY }))
    });
    let target = axum::http::Uri::from_static(path);
    let mut context = Context::from_waker(Waker::noop());
    Ok(Box::new(move |count| {
        for _ in 0..count {
            let mut request = axum::http::Request::new(axum::body::Body::empty());
            *request.uri_mut() = black_box(&target).clone();
            let mut response = pin!(router.call(request));
            match response.as_mut().poll(&mut context) {
                Poll::Ready(response) => drop(black_box(response)),
                Poll::Pending => panic!("the handlers do not wait"),
            }
        }
    }))
}

/// What is looked up, and its name.
const PATHS: [(&str, &str); 4] = [
    ("fixed", PATH),
    ("parameter", "/projects/12345"),
    ("deep", "/projects/12345/comments"),
    ("missing", "/nothing/of/the/kind"),
];
