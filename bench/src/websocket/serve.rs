//! The servers. Each has one thread, and echoes messages.

use std::io;

use straightline_harness::READY;

use super::kind::Kind;
use crate::serve::{self, ANY_PORT};

/// Is a server until the process is killed, which also happens when the parent ends.
pub(crate) fn run(kind: Kind, cpu: Option<usize>) -> io::Result<()> {
    serve::begin(cpu)?;
    match kind {
        Kind::Straightline => straightline_server(),
        Kind::Axum => axum_server(None),
        Kind::AxumSmall => axum_server(Some(4 * 1024)),
    }
}

fn straightline_server() -> io::Result<()> {
    use straightline::websocket::{WebSocket, upgrade};
    use straightline::{Request, Server};

    fn echo(mut socket: WebSocket) -> io::Result<()> {
        while let Some(message) = socket.receive()? {
            socket.send(message)?;
        }
        Ok(())
    }

    let handler = |request: &mut Request| upgrade(request, echo);
    let server = Server::builder().bind(ANY_PORT).workers(1).quiet().build(handler)?;
    println!("{READY}{}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}

fn axum_server(read_buffer: Option<usize>) -> io::Result<()> {
    use axum::Router;
    use axum::extract::ws::{WebSocket, WebSocketUpgrade};

    async fn echo(mut socket: WebSocket) {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    }

    let answer = move |upgrade: WebSocketUpgrade| async move {
        let upgrade = match read_buffer {
            Some(bytes) => upgrade.read_buffer_size(bytes),
            None => upgrade,
        };
        upgrade.on_upgrade(echo)
    };

    let app = Router::new().fallback(answer);
    serve::run_axum(app)
}
