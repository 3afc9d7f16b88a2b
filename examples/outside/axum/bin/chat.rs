//! A WebSocket chat: what one client says, all of them read.

use std::{env, io};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, watch};

type Chat = (broadcast::Sender<String>, watch::Receiver<()>);

async fn answer(upgrade: WebSocketUpgrade, State((room, stop)): State<Chat>) -> Response {
    upgrade.on_upgrade(|socket| async { drop(chat(socket, room, stop).await) })
}

async fn chat(
    mut socket: WebSocket,
    room: broadcast::Sender<String>,
    mut stop: watch::Receiver<()>,
) -> Result<(), axum::Error> {
    let mut messages = room.subscribe();
    loop {
        tokio::select! {
            heard = socket.recv() => match heard {
                Some(Ok(Message::Text(text))) => drop(room.send(text.to_string())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            message = messages.recv() => match message {
                Ok(text) => socket.send(Message::text(text)).await?,
                Err(error) => println!("a client reads slowly: {error}"),
            },
            _ = stop.changed() => break,
        }
    }
    let frame = CloseFrame { code: close_code::AWAY, reason: "".into() };
    socket.send(Message::Close(Some(frame))).await?;
    while socket.recv().await.is_some() {}
    Ok(())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(env::args().nth(1).expect("an address")).await?;
    let mut signal = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    let (stop, stopped) = watch::channel(());
    let signalled = stop.clone();
    let app = Router::new().fallback(answer).with_state((broadcast::channel(64).0, stopped));
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            signal.recv().await;
            let _ = signalled.send(());
        })
        .await?;
    stop.closed().await; // `serve` does not wait for upgraded connections
    Ok(())
}
