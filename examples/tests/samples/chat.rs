//! `chat`: rooms, members, and a page that a browser clicks through.
//!
//! The page, after `cargo build -p straightline-examples --examples`:
//! `cargo test -p straightline-examples --test samples -- --ignored chromium`

use std::fs;
use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::browser::Browser;
use crate::servers::Server;
use crate::websocket::connect;

fn join(server: &Server, room: &str, name: &str) -> WebSocket<TcpStream> {
    connect(server, &format!("/ws/rooms/{room}?name={name}"))
}

fn hear(client: &mut WebSocket<TcpStream>) -> Value {
    let message = client.read().expect("a message").into_text().expect("a text");
    serde_json::from_str(&message).expect("JSON")
}

/// The list of members behind the `change`th change of the room.
fn members(change: u64, names: &[&str]) -> Value {
    json!({"members": names, "change": change})
}

#[test]
fn members_hear_each_other_and_see_who_is_there() {
    let server = Server::start("chat", &["--workers", "2"]);
    let mut ada = join(&server, "lobby", "Ada");
    assert_eq!(hear(&mut ada), members(1, &["Ada"]));
    let mut bob = join(&server, "lobby", "Bob");
    for client in [&mut ada, &mut bob] {
        assert_eq!(hear(client), members(2, &["Ada", "Bob"]));
    }
    let mut elsewhere = join(&server, "kitchen", "Cleo");
    assert_eq!(hear(&mut elsewhere), members(1, &["Cleo"]));
    bob.send(Message::text("hello")).expect("the server reads");
    for client in [&mut ada, &mut bob] {
        assert_eq!(hear(client), json!({"name": "Bob", "text": "hello"}));
    }
    server.get("/rooms").assert_json(&json!([
        {"name": "kitchen", "members": 1}, {"name": "lobby", "members": 2},
    ]));
    drop(bob);
    assert_eq!(hear(&mut ada), members(3, &["Ada"]));
}

#[test]
fn names_and_messages_are_bounded() {
    let server = Server::start("chat", &["--workers", "1"]);
    server.get("/ws/rooms/lobby").assert_status(400);
    for query in ["name=", "name=%20", &format!("name={}", "x".repeat(41))] {
        server.get(&format!("/ws/rooms/lobby?{query}")).assert_status(400);
    }
    server.get("/ws/rooms/lobby?name=Ada").assert_status(426);
    let mut ada = join(&server, "lobby", "Ada");
    hear(&mut ada);
    ada.send(Message::text("x".repeat(4097))).expect("the server reads");
    let Ok(Message::Close(Some(frame))) = ada.read() else { panic!("no Close frame") };
    assert_eq!(frame.code, CloseCode::Size);
    let mut ada = join(&server, "lobby", "Ada");
    hear(&mut ada);
    ada.send(Message::binary(vec![1])).expect("the server reads");
    let Ok(Message::Close(Some(frame))) = ada.read() else { panic!("no Close frame") };
    assert_eq!(frame.code, CloseCode::Unsupported);
}

#[test]
fn a_page_of_another_site_may_not_join() {
    let server = Server::start("chat", &["--workers", "1"]);
    let join = |origin: &str| {
        let client = server.client();
        let request = client.get("/ws/rooms/lobby?name=Eve").header("origin", origin);
        let request = request.header("connection", "upgrade").header("upgrade", "websocket");
        let request = request.header("sec-websocket-version", "13");
        request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").send()
    };
    join("https://evil.example").assert_status(403);
}

/// What two people do on the page, in words of a script; the second is in a frame of its own.
const CLICKS: &str = r"(async () => {
    const until = async (condition) => {
        for (let tries = 0; !condition(); tries++) {
            if (tries > 1500) throw new Error(`${condition}: ${document.body.outerHTML}`);
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    };
    const items = (list) => [...document.querySelectorAll(`#${list} li`)];
    const texts = (list) => items(list).map((item) => item.textContent);
    const join = (room, name) => {
        document.querySelector('#room').value = room;
        document.querySelector('#name').value = name;
        document.querySelector('#join button').click();
    };
    const say = (text) => {
        document.querySelector('#text').value = text;
        document.querySelector('#say button').click();
    };
    const other = (room, name) => {
        const url = `ws://${location.host}/ws/rooms/${room}?name=${encodeURIComponent(name)}`;
        const socket = new WebSocket(url);
        return new Promise((resolve) => { socket.onopen = () => resolve(socket); });
    };
    await until(() => document.body?.dataset.loaded);
    join('lobby', 'Ada');
    await until(() => texts('members').length === 1);
    const bob = await other('lobby', '<b>Bob</b>');
    await until(() => texts('members').length === 2);
    const members = texts('members');
    say('hello');
    await until(() => texts('messages').length === 1);
    bob.send('<script>alert(1)</script>');
    await until(() => texts('messages').length === 2);
    const messages = texts('messages');
    bob.close();
    await until(() => texts('members').length === 1);
    join('kitchen', 'Ada');
    await until(() => document.querySelector('#state').textContent === 'in kitchen');
    await until(() => texts('members').length === 1);
    const rooms = await (await fetch('/rooms')).json();
    document.querySelector('#text').maxLength = 10000;
    say('x'.repeat(5000));
    await until(() => document.querySelector('#state').textContent.startsWith('left'));
    return { members, messages, rooms, state: document.querySelector('#state').textContent,
        isDisabled: document.querySelector('#text').disabled,
        bold: document.querySelectorAll('b').length };
})()";

#[test]
#[ignore = "needs Chromium"]
fn the_page_is_clicked_through_in_chromium() {
    let server = Server::start("chat", &["--workers", "2"]);
    let profile = std::env::temp_dir().join(format!("straightline-chat-{}", std::process::id()));
    let mut browser = Browser::start(&profile);
    let seen = browser.run(&format!("http://{}/", server.address()), CLICKS);
    drop(browser);
    let _ = fs::remove_dir_all(&profile);
    assert_eq!(seen["members"], json!(["Ada", "<b>Bob</b>"]));
    assert_eq!(seen["messages"], json!(["Ada: hello", "<b>Bob</b>: <script>alert(1)</script>"]));
    assert_eq!(seen["rooms"], json!([{"name": "kitchen", "members": 1}]));
    assert_eq!(seen["state"], "left: 1009 a frame that is too long");
    assert_eq!(seen["isDisabled"], true);
    assert_eq!(seen["bold"], 0, "a name is no markup");
}
