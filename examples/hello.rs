//! A small server: `cargo run --release --example hello`, then `curl localhost:8080`.

use std::process::ExitCode;

use straightline::{IntoResponse, Method, Request, Response, StatusCode};
use straightline_examples::{ServerArgs, logger, run, serve};

fn hello(request: &mut Request) -> impl IntoResponse {
    match (request.path(), request.method()) {
        ("/", &Method::GET | &Method::HEAD) => Ok("Hello, World!\n"),
        ("/", _) => Err(Response::method_not_allowed(&[Method::GET, Method::HEAD])),
        _ => Err(StatusCode::NOT_FOUND.into_response()),
    }
}

fn main() -> ExitCode {
    run("Says hello on fibers.", |args: ServerArgs| {
        serve(args.server().logger(logger(slog::Level::Info)).build(hello)?)
    })
}
