//! An event stream: a number each tenth of a second, until the client leaves or the server stops.

use std::convert::Infallible;
use std::time::Duration;
use std::{env, io};

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use futures_util::stream::{self, Stream};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

async fn events(
    State(stop): State<watch::Receiver<bool>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::unfold((0, stop), |(number, mut stop)| async move {
        if number > 0 {
            tokio::select! {
                () = sleep(Duration::from_millis(100)) => {}
                _ = stop.changed() => return None,
            }
        }
        Some((Ok(Event::default().data(number.to_string())), (number + 1, stop)))
    }))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(env::args().nth(1).expect("an address")).await?;
    let mut signal = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    let (stop, stopped) = watch::channel(false);
    let app = Router::new().fallback(events).with_state(stopped);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            signal.recv().await;
            drop(stop);
        })
        .await
}
