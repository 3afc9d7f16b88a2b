//! A WebSocket chat: what one client says, all of them read.

use std::{env, io};

use straightline::sched::sync::broadcast;
use straightline::websocket::{Incoming, Message, WebSocket, upgrade};
use straightline::{Request, Server};

type Room = broadcast::Sender<Message>;

fn chat(mut socket: WebSocket, room: &Room) -> io::Result<()> {
    let messages = room.subscribe();
    loop {
        match socket.receive_or(&[&messages])? {
            Incoming::Message(message) => drop(room.send(message)),
            Incoming::Other(_) => match messages.try_recv() {
                Ok(message) => socket.send(message)?,
                Err(error) => println!("a client reads slowly: {error}"),
            },
            Incoming::Closed => return Ok(()),
        }
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let (room, _) = broadcast::channel(64);
    let server = Server::builder().bind(address).shutdown_on_signals();
    let server = server.build(move |request: &mut Request| {
        let room = room.clone();
        upgrade(request, move |socket| chat(socket, &room))
    })?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
