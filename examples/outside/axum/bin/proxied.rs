//! A service behind nginx: it listens on a Unix socket, and knows its client from the proxy.
//! `/watch` answers at once, and says goodbye when the service stops.

use std::convert::Infallible;
use std::{env, fs, io};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use futures_util::stream::{StreamExt, once};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

async fn answer(headers: HeaderMap, uri: Uri, State(mut stop): State<watch::Receiver<()>>) -> Body {
    let field = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("unknown");
    let line = format!("{} asks {} for {}\n", field("x-real-ip"), field("host"), uri.path());
    if uri.path() != "/watch" {
        return line.into();
    }
    let goodbye = once(async move {
        let _ = stop.changed().await;
        Ok("goodbye\n".to_owned())
    });
    Body::from_stream(once(async { Ok::<_, Infallible>(line) }).chain(goodbye))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let path = address.strip_prefix("unix:").expect("the path of a socket");
    let listener = UnixListener::bind(path)?;
    let mut signal = signal(SignalKind::terminate())?;
    println!("listening on {address}");
    let (stop, stopped) = watch::channel(());
    axum::serve(listener, Router::new().fallback(answer).with_state(stopped))
        .with_graceful_shutdown(async move {
            signal.recv().await;
            drop(stop);
        })
        .await?;
    fs::remove_file(path)
}
