//! A static file, also a range of its bytes.

use std::{env, io};

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower_http::services::ServeFile;

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(env::args().nth(1).expect("an address")).await?;
    let file = ServeFile::new(env::args().nth(2).expect("the path of a file"));
    let mut stop = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, Router::new().fallback_service(file))
        .with_graceful_shutdown(async move {
            stop.recv().await;
        })
        .await
}
