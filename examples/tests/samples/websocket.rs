//! `websocket`: text comes back as text, binary as binary, up to 16 MiB.

use std::fs;
use std::net::TcpStream;

use serde_json::json;

use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use crate::browser::Browser;
use crate::servers::Server;

/// A client of a sample at `path`.
pub(crate) fn connect(server: &Server, path: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(server.address()).expect("the server listens");
    let limits = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let url = format!("ws://{}{path}", server.address());
    let opened = tungstenite::client::client_with_config(url, stream, Some(limits));
    opened.expect("a handshake").0
}

#[test]
fn it_echoes_texts_and_bytes() {
    let server = Server::start("websocket", &["--workers", "1"]);
    let mut client = connect(&server, "/ws/echo");
    for length in [0, 1, 200, 70_000, 16 * 1024 * 1024] {
        for message in [Message::text("x".repeat(length)), Message::binary(vec![7; length])] {
            client.send(message.clone()).expect("the server reads");
            assert!(client.read().expect("an echo") == message, "{length}");
        }
    }
    client.close(None).expect("the server reads");
    assert!(matches!(client.read(), Ok(Message::Close(None))));
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
}

#[test]
fn a_message_beyond_16_mib_is_too_long() {
    let server = Server::start("websocket", &["--workers", "1"]);
    let mut client = connect(&server, "/ws/echo");
    // The server reads no more than it needs to see the length.
    let _ = client.send(Message::binary(vec![0; 16 * 1024 * 1024 + 1]));
    match client.read() {
        Ok(Message::Close(Some(frame))) => assert_eq!(frame.code, CloseCode::Size),
        // The Close frame is lost if the client was still writing when the connection ended.
        Err(Error::Io(_)) => {}
        other => panic!("{other:?}"),
    }
    // In pieces, of which the last is too much, it is always told.
    let mut client = connect(&server, "/ws/echo");
    let half = vec![0; 8 * 1024 * 1024];
    for (nth, payload) in [half.clone(), half, vec![0]].into_iter().enumerate() {
        use tungstenite::protocol::frame::Frame;
        use tungstenite::protocol::frame::coding::{Data, OpCode};
        let kind = if nth == 0 { Data::Binary } else { Data::Continue };
        let frame = Frame::message(payload, OpCode::Data(kind), false);
        client.send(Message::Frame(frame)).expect("the server reads");
    }
    let Ok(Message::Close(Some(frame))) = client.read() else { panic!("no Close frame") };
    assert_eq!(frame.code, CloseCode::Size);
}

#[test]
fn other_requests_are_answered() {
    let server = Server::start("websocket", &["--workers", "1"]);
    server.get("/").assert_status(200);
    server.get("/ws/echo").assert_status(426).assert_header("sec-websocket-version", "13");
}

#[test]
fn a_drain_closes_the_conversation() {
    let mut server = Server::start("websocket", &["--workers", "2"]);
    let mut clients: Vec<_> = (0..5).map(|_| connect(&server, "/ws/echo")).collect();
    server.signal("TERM");
    for client in &mut clients {
        let Ok(Message::Close(Some(frame))) = client.read() else { panic!("no Close frame") };
        assert_eq!(frame.code, CloseCode::Away);
        assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
    }
    assert!(server.child.wait().expect("the server ends").success());
}

/// A text and bytes, which are long enough to be compressed.
const ECHOES: &str = r"(async () => {
    const socket = new WebSocket(`ws://${location.host}/ws/echo`);
    socket.binaryType = 'arraybuffer';
    await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
    const echo = (message) => new Promise((resolve) => {
        socket.onmessage = ({ data }) => resolve(data);
        socket.send(message);
    });
    const text = 'straight-line \u{1f600} '.repeat(20000);
    const bytes = new Uint8Array(300000).map((_, at) => at % 251);
    const heard = new Uint8Array(await echo(bytes));
    const result = {
        extensions: socket.extensions,
        text: await echo(text) === text,
        short: await echo('short'),
        bytes: heard.length === bytes.length && heard.every((byte, at) => byte === bytes[at]),
    };
    const closed = new Promise((resolve) => { socket.onclose = resolve; });
    socket.close(4000, 'done');
    const { code, wasClean } = await closed;
    return { ...result, code, wasClean };
})()";

#[test]
#[ignore = "needs Chromium"]
fn a_browser_compresses_what_it_says_in_chromium() {
    let server = Server::start("websocket", &["--workers", "1"]);
    let name = format!("straightline-websocket-{}", std::process::id());
    let profile = std::env::temp_dir().join(name);
    let mut browser = Browser::start(&profile);
    let seen = browser.run(&format!("http://{}/", server.address()), ECHOES);
    drop(browser);
    let _ = fs::remove_dir_all(&profile);
    let extensions = seen["extensions"].as_str().expect("text");
    assert!(extensions.starts_with("permessage-deflate"), "{seen}");
    let expected = json!([true, "short", true, 4000, true]);
    let keys = ["text", "short", "bytes", "code", "wasClean"];
    assert_eq!(json!(keys.map(|key| &seen[key])), expected, "{seen}");
}
