//! A client that was written elsewhere understands the server.

use std::net::TcpStream;

use crate::common::serve;
use straightline::Request;
use straightline::websocket::{Endpoint, WebSocket};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message};

fn echo(mut socket: WebSocket) -> std::io::Result<()> {
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}

#[test]
fn tungstenite_speaks_with_the_server() {
    let endpoint = Endpoint::new().protocols(["echo"]);
    let server = serve(move |request: &mut Request| endpoint.upgrade(request, echo));
    let stream = TcpStream::connect(server.address).expect("the server listens");
    let url = format!("ws://{}/", server.address);
    let mut request = url.into_client_request().expect("a request");
    let protocol = "echo".parse().expect("a value");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let (mut client, _) = tungstenite::client(request, stream).expect("a handshake");
    for length in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
        for message in [Message::text("é".repeat(length / 2)), Message::binary(vec![9; length])] {
            client.send(message.clone()).expect("the server reads");
            assert_eq!(client.read().expect("an echo"), message);
        }
    }
    client.send(Message::Ping("are you there".into())).expect("the server reads");
    assert_eq!(client.read().expect("a Pong"), Message::Pong("are you there".into()));
    client.close(None).expect("the server reads");
    assert!(matches!(client.read(), Ok(Message::Close(_))));
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
}

#[test]
fn tungstenite_hears_why_it_is_refused() {
    let endpoint = Endpoint::new().message_bytes(10);
    let server = serve(move |request: &mut Request| endpoint.upgrade(request, echo));
    let stream = TcpStream::connect(server.address).expect("the server listens");
    let url = format!("ws://{}/", server.address);
    let (mut client, _) = tungstenite::client(url, stream).expect("a handshake");
    client.send(Message::text("more than ten bytes")).expect("the server reads");
    let Message::Close(Some(frame)) = client.read().expect("a Close frame") else {
        panic!("another message");
    };
    assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Size, "a frame that is too long"));
}
