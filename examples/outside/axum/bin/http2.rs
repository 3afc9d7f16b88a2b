//! HTTP/2 with prior knowledge, which axum has itself.

use std::{env, io};

use axum::Router;
use axum::http::{Method, Uri};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

async fn answer(method: Method, uri: Uri) -> String {
    format!("{method} {}\n", uri.path())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(env::args().nth(1).expect("an address")).await?;
    let mut stop = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, Router::new().fallback(answer))
        .with_graceful_shutdown(async move {
            stop.recv().await;
        })
        .await
}
