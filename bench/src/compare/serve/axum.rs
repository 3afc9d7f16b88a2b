//! axum on tokio, with `TCP_NODELAY`. The files are those of `tower-http`.

use std::convert::Infallible;
use std::io;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use futures_util::stream;
use tower_http::services::ServeDir;

use super::answer::{MESSAGE, PIECE, listen, runtime};
use super::setup::Setup;
use super::work;
use crate::compare::folder;
use crate::compare::mode::{
    JSON_PATH, Mode, OFFLOAD_PATH, PIECES, ROUTE, STREAM_PATH, WEBSOCKET_PATH,
};
use crate::serve::{BODY, PATH, patterns};

pub(super) fn run(setup: &Setup<'_>) -> io::Result<()> {
    let routes = routes(setup);
    let listener = listen()?;
    runtime(setup.threads)?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, routes).await
    })
}

fn routes(setup: &Setup<'_>) -> Router {
    let routes = Router::new()
        .route(PATH, get(async || BODY))
        .route(JSON_PATH, get(async || Json(MESSAGE)))
        .route(STREAM_PATH, get(streamed))
        .route(OFFLOAD_PATH, get(offloaded))
        .route(WEBSOCKET_PATH, get(upgraded))
        .nest_service("/static", ServeDir::new(folder::site(setup.folder)));
    if setup.mode != Mode::Routed {
        return routes;
    }
    let routes = routes.route(ROUTE, get(async |Path(id): Path<String>| id));
    let others = patterns().filter(|pattern| pattern != ROUTE);
    others.fold(routes, |routes, pattern| routes.route(&pattern, get(async || BODY)))
}

async fn streamed() -> Body {
    let piece = |_| Ok::<_, Infallible>(Bytes::from_static(&PIECE));
    Body::from_stream(stream::iter((0..PIECES).map(piece)))
}

async fn offloaded() -> Response {
    match tokio::task::spawn_blocking(work::work).await {
        Ok(value) => value.to_string().into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// With a read buffer of 4 KiB: with the default one of 128 KiB a short message costs 1.7 times as
/// much.
async fn upgraded(upgrade: WebSocketUpgrade) -> Response {
    upgrade.read_buffer_size(4 * 1024).on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}
