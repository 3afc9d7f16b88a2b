//! Each request has a span of `tracing`, also while it waits and others run.

use std::time::Duration;
use std::{env, io};

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tracing::{Instrument, info, info_span};

async fn in_a_span(request: Request, next: Next) -> Response {
    let span = info_span!("request", path = request.uri().path());
    async {
        let response = next.run(request).await;
        info!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await
}

async fn answer(uri: Uri) -> String {
    sleep(Duration::from_millis(200)).await;
    info!("awake");
    format!("{}\n", uri.path())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    tracing_subscriber::fmt().with_ansi(false).with_writer(io::stderr).init();
    let listener = TcpListener::bind(env::args().nth(1).expect("an address")).await?;
    let mut stop = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    let app = Router::new().fallback(answer).layer(from_fn(in_a_span));
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            stop.recv().await;
        })
        .await
}
