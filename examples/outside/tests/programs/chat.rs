//! Two clients of the chat read what one of them says, and a stop says goodbye to both.

use std::net::TcpStream;

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket, client};

use crate::process::{Process, connect, get, status};

fn enter(address: &str) -> WebSocket<TcpStream> {
    client(format!("ws://{address}/"), connect(address)).expect("a handshake").0
}

/// The next text.
fn hear(socket: &mut WebSocket<TcpStream>) -> String {
    loop {
        match socket.read().expect("a message") {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn clients_read_each_other_and_a_stop_says_goodbye() {
    for name in ["chat", "axum_chat"] {
        let program = Process::program(name, &[]);
        let plain = get(&program.address, "/").0;
        assert!(["400", "426"].contains(&status(&plain)), "{name}: {plain}");
        // A client that reads its own words has entered the room.
        let mut ann = enter(&program.address);
        ann.send(Message::text("ann")).expect("it reads");
        assert_eq!(hear(&mut ann), "ann", "{name}");
        let mut bob = enter(&program.address);
        bob.send(Message::text("bob")).expect("it reads");
        for client in [&mut ann, &mut bob] {
            assert_eq!(hear(client), "bob", "{name}");
        }
        // Several messages in one packet, and one that is longer than a read.
        let long = "x".repeat(100_000);
        for text in ["one", "two", &long] {
            ann.write(Message::text(text)).expect("it fits");
        }
        ann.flush().expect("it reads");
        for client in [&mut ann, &mut bob] {
            for text in ["one", "two", &long] {
                assert!(hear(client) == text, "{name}");
            }
        }
        program.terminate();
        for client in [&mut ann, &mut bob] {
            let goodbye = client.read().expect("a goodbye");
            let Message::Close(Some(frame)) = goodbye else { panic!("{name}: {goodbye:?}") };
            assert_eq!(frame.code, CloseCode::Away, "{name}");
            let end = client.read().expect_err("the end");
            assert!(matches!(end, tungstenite::Error::ConnectionClosed), "{name}: {end:?}");
        }
        program.stop();
    }
}
