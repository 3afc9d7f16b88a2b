//! An event stream: a number each tenth of a second, until the client leaves or the server stops.

use std::convert::Infallible;
use std::time::Duration;
use std::{env, io};

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, watch};
use tokio::time::sleep;

type Numbers = broadcast::Sender<u64>;

async fn events(
    State((numbers, stop, heartbeat)): State<(Numbers, watch::Receiver<bool>, Duration)>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let numbers = numbers.subscribe();
    Sse::new(stream::unfold((numbers, stop), |(mut numbers, mut stop)| async move {
        let number = tokio::select! {
            number = numbers.recv() => number.ok()?,
            _ = stop.changed() => return None,
        };
        Some((Ok(Event::default().data(number.to_string())), (numbers, stop)))
    }))
    .keep_alive(KeepAlive::new().interval(heartbeat))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(env::args().nth(1).expect("an address")).await?;
    let heartbeat = env::args().nth(2).map_or(15_000, |text| text.parse().expect("milliseconds"));
    let heartbeat = Duration::from_millis(heartbeat);
    let mut signal = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    let (numbers, _) = broadcast::channel(16);
    let counter: Numbers = numbers.clone();
    tokio::spawn(async move {
        for number in 0.. {
            let _ = counter.send(number); // an error if there is no client
            sleep(Duration::from_millis(100)).await;
        }
    });
    let (stop, stopped) = watch::channel(false);
    let app = Router::new().fallback(events).with_state((numbers, stopped, heartbeat));
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            signal.recv().await;
            drop(stop);
        })
        .await
}
