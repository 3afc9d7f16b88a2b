//! A server to measure: `/plaintext`, `/json`, `/big` (1 MiB) and `POST /echo`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use straightline::web::Router;
use straightline::{Bytes, IntoResponse, Method, Next, Request, Response, StatusCode};
use straightline_examples::{ServerArgs, run, serve};

#[derive(Parser)]
#[command(about = None, long_about = None)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Serve `/plaintext` behind a router with 100 routes and two middlewares
    #[arg(long)]
    routed: bool,
}

#[derive(serde::Serialize)]
struct Message {
    message: &'static str,
}

fn answer(request: &mut Request, big: &Bytes) -> Result<Response, StatusCode> {
    Ok(match (request.path(), request.method()) {
        ("/plaintext", &Method::GET | &Method::HEAD) => "Hello, World!".into_response(),
        ("/json", &Method::GET | &Method::HEAD) => {
            let json = serde_json::to_vec(&Message { message: "Hello, World!" })
                .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
            json.into_response().content_type("application/json")
        }
        ("/big", &Method::GET | &Method::HEAD) => big.clone().into_response(),
        ("/echo", &Method::POST) => request.body().read_to_vec(2 << 20).into_response(),
        ("/echo", _) => Response::method_not_allowed(&[Method::POST]),
        ("/plaintext" | "/json" | "/big", _) => {
            Response::method_not_allowed(&[Method::GET, Method::HEAD])
        }
        _ => return Err(StatusCode::NOT_FOUND),
    })
}

/// A router with 100 routes, of the kinds that an API has, and two middlewares that do little: one
/// counts the responses with an error, the other one the bodies that are too long for this server.
fn routed(big: Bytes) -> Router<Bytes> {
    static ERRORS: AtomicU64 = AtomicU64::new(0);
    let mut router = Router::with_state(big)
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
        });
    for path in ["/plaintext", "/json", "/big", "/echo"] {
        router = router.any(path, answer);
    }
    for name in NAMES {
        let answer = |_: &mut Request| "here it is\n";
        for pattern in ["", "/{id}", "/{id}/comments", "/{id}/comments/{comment}"] {
            router = router.get(&format!("/{name}{pattern}"), answer);
        }
    }
    router
}

fn main() -> ExitCode {
    run("Serves fixed responses, to be measured.", |args: Args| {
        let (server, big) = (args.server.server(), Bytes::from(vec![b'x'; 1 << 20]));
        serve(if args.routed {
            server.build(routed(big))?
        } else {
            server.build(move |request: &mut Request| answer(request, &big))?
        })
    })
}

/// With four patterns each, and the four paths of this server, these are 100 routes.
const NAMES: [&str; 24] = [
    "accounts", "albums", "articles", "books", "branches", "carts", "commits", "events", "files",
    "groups", "invoices", "issues", "labels", "messages", "orders", "pages", "payments", "photos",
    "places", "plans", "posts", "products", "projects", "users",
];

/// What `/echo` takes.
const BODY_BYTES_MAX: u64 = 2 << 20;
