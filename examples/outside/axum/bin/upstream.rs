//! A handler that asks another server through `reqwest`, for two seconds at most.

use std::time::Duration;
use std::{env, io};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

type Upstream = (Client, String);

async fn ask(client: &Client, url: String) -> reqwest::Result<String> {
    client.get(url).send().await?.error_for_status()?.text().await
}

async fn relay(State((client, url)): State<Upstream>, uri: Uri) -> Result<String, StatusCode> {
    match timeout(Duration::from_secs(2), ask(&client, format!("{url}{uri}"))).await {
        Ok(Ok(text)) => Ok(text.to_uppercase()),
        Ok(Err(_)) => Err(StatusCode::BAD_GATEWAY),
        Err(_) => Err(StatusCode::GATEWAY_TIMEOUT),
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(env::args().nth(1).expect("an address")).await?;
    let upstream = env::args().nth(2).expect("the URL of an upstream");
    let mut stop = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    let app = Router::new().fallback(relay).with_state((Client::new(), upstream));
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            stop.recv().await;
        })
        .await
}
