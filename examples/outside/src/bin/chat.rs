//! A WebSocket chat through `tungstenite`: what one client says, all of them read.

use std::io::{self, ErrorKind};
use std::time::Duration;
use std::{env, error};

use straightline::sched::sync::{broadcast, select};
use straightline::{IntoResponse, Request, Response, Server, StatusCode, Upgraded};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{CloseFrame, Role, WebSocket, frame::coding::CloseCode};
use tungstenite::{Error, Message};

type Room = broadcast::Sender<String>;

/// Reads what has arrived. A timeout is an error that the parser passes on, with half a frame kept.
fn hear(socket: &mut WebSocket<&Upgraded>, room: &Room) -> Result<(), Error> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => drop(room.send(text.to_string())),
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn chat(client: &Upgraded, room: &Room) -> Result<(), Box<dyn error::Error>> {
    let (messages, draining) = (room.subscribe(), client.draining());
    client.set_read_timeout(Some(Duration::from_millis(1)))?;
    client.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut socket = WebSocket::from_raw_socket(client, Role::Server, None);
    loop {
        match select(&[&client.readable(), &messages, &draining])? {
            0 => hear(&mut socket, room)?,
            1 => match messages.try_recv() {
                Ok(text) => socket.send(Message::text(text))?,
                Err(error) => println!("a client reads slowly: {error}"),
            },
            _ => break,
        }
    }
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.close(Some(CloseFrame { code: CloseCode::Away, reason: "".into() }))?;
    Ok(hear(&mut socket, room)?) // until the client's answer, which is an error here
}

fn answer(request: &mut Request, room: &Room) -> Response {
    let key = request.headers().get("sec-websocket-key");
    let Some(key) = key.filter(|_| request.asks_to_upgrade("websocket")) else {
        return StatusCode::UPGRADE_REQUIRED.into_response().header("upgrade", "websocket");
    };
    let accept = derive_accept_key(key.as_bytes());
    let room = room.clone();
    let run = move |client: Upgraded| chat(&client, &room).or(Ok(()));
    Response::upgrade("websocket", run).header("sec-websocket-accept", accept)
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let (room, _) = broadcast::channel(64);
    let server = Server::builder().bind(address).shutdown_on_signals();
    let server = server.build(move |request: &mut Request| answer(request, &room))?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
