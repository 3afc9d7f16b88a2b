//! A WebSocket at `/ws/echo`: text comes back as text, and binary as binary.

use std::io;
use std::process::ExitCode;

use straightline::Request;
use straightline::web::Router;
use straightline::websocket::{Endpoint, Origins, WebSocket};
use straightline_examples::{ServerArgs, logger, run, serve};

/// Deadlines, Pings, the client's Close frame and the drain of the server are the socket's.
fn echo(mut socket: WebSocket) -> io::Result<()> {
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    run("Echoes what a client says over a WebSocket.", |args: ServerArgs| {
        // An echo knows no users, so a page of any site may speak with it.
        let endpoint =
            Endpoint::new().message_bytes(MESSAGE_BYTES).origins(Origins::Any).compression(true);
        let router = Router::new()
            .get("/", |_: &mut Request| "a WebSocket is at /ws/echo\n")
            .get("/ws/echo", move |request: &mut Request| endpoint.upgrade(request, echo));
        serve(args.server().logger(logger(slog::Level::Info)).build(router)?)
    })
}

/// A longer message ends the conversation with 1009.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
