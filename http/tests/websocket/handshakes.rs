//! Which requests become a WebSocket, and how the others are refused.

use crate::common::{Client, Running, serve};
use crate::peer::{Peer, eventually, handshake, text};
use straightline::websocket::{Endpoint, Origins, WebSocket, WebSocketCounters, upgrade};
use straightline::{AllowedHosts, Request, Response};

fn echo(mut socket: WebSocket) -> std::io::Result<()> {
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}

fn plain() -> Running {
    serve(|request: &mut Request| upgrade(request, echo))
}

fn refused(server: &Running) -> u64 {
    WebSocketCounters::of(&server.handle).refused
}

#[test]
fn the_key_is_answered() {
    let server = plain();
    let mut client = server.client();
    client.send(handshake("/"));
    let answer = client.receive_with(false);
    assert_eq!((answer.status, answer.field("upgrade")), (101, Some("websocket")));
    assert_eq!(answer.field("connection"), Some("upgrade"));
    // RFC 6455 section 1.3 has this key and this answer.
    assert_eq!(answer.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(answer.field("sec-websocket-protocol"), None);
}

#[test]
fn frames_that_come_with_the_request_are_read() {
    let server = plain();
    let mut client = server.client();
    client.send([handshake("/").into_bytes(), text("early")].concat());
    assert_eq!(client.receive_with(false).status, 101);
    assert_eq!(client.exactly(7), b"\x81\x05early");
}

#[test]
fn a_request_for_something_else_is_told_what_is_needed() {
    let server = plain();
    let request = handshake("/");
    let mut client = server.client();
    for (from, to) in [
        ("Connection: Upgrade\r\n", ""),
        ("Upgrade: websocket\r\n", ""),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Sec-WebSocket-Version: 13\r\n", ""),
        ("Version: 13", "Version: 8"),
        ("Version: 13", "Version: 13, 8"),
        ("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 8"),
        ("HTTP/1.1", "HTTP/1.0\r\nConnection: keep-alive"),
    ] {
        let answer = client.ask(request.replacen(from, to, 1));
        assert_eq!(answer.status, 426, "{to}: {}", answer.head);
        assert_eq!(answer.field("upgrade"), Some("websocket"));
        assert_eq!(answer.field("sec-websocket-version"), Some("13"));
    }
    assert_eq!(refused(&server), 8);
}

#[test]
fn a_key_is_sixteen_bytes_and_comes_once() {
    let server = plain();
    let request = handshake("/");
    let mut client = server.client();
    let line = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for key in [
        String::new(),
        line.repeat(2),
        line.replace("dGhlIHNhbXBsZSBub25jZQ==", ""),
        line.replace("==", ""),
        line.replace("ZQ==", "!Q=="),
        line.replace("ZQ==", "ZQo="),
        line.replace("dGhl", ""),
    ] {
        let answer = client.ask(request.replace(line, &key));
        assert_eq!(answer.status, 400, "{key}");
    }
    assert_eq!(refused(&server), 7);
}

#[test]
fn only_a_get_opens_a_websocket() {
    let server = plain();
    let answer = server.client().ask(handshake("/").replace("GET", "POST"));
    assert_eq!((answer.status, answer.field("allow")), (405, Some("GET")));
}

fn with_origin(client: &mut Client, origin: &str) -> u16 {
    let request = handshake("/").replace("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n"));
    client.send(request).receive_with(false).status
}

#[test]
fn a_page_of_another_site_is_refused() {
    let server = plain();
    assert_eq!(with_origin(&mut server.client(), "http://a"), 101);
    assert_eq!(with_origin(&mut server.client(), "https://a"), 101);
    for origin in ["http://b", "http://a.b", "http://a:81", "null", "http://a\r\nOrigin: http://a"]
    {
        assert_eq!(with_origin(&mut server.client(), origin), 403, "{origin}");
    }
}

#[test]
fn an_endpoint_can_list_its_pages_or_take_all() {
    let list = Endpoint::new().origins(Origins::list(["https://app.example"]));
    let any = Endpoint::new().origins(Origins::Any);
    let list = serve(move |request: &mut Request| list.upgrade(request, echo));
    let any = serve(move |request: &mut Request| any.upgrade(request, echo));
    assert_eq!(with_origin(&mut list.client(), "https://app.example"), 101);
    assert_eq!(with_origin(&mut list.client(), "http://a"), 403);
    assert_eq!(with_origin(&mut any.client(), "https://evil.example"), 101);
    drop(Peer::open(&list, "/")); // without an origin
}

#[test]
fn a_page_whose_name_resolves_to_the_server_is_refused_if_the_endpoint_knows_its_hosts() {
    let endpoint = Endpoint::new().allowed_hosts(AllowedHosts::new(["chat.internal"]));
    let server = serve(move |request: &mut Request| endpoint.upgrade(request, echo));
    let open = |host: &str| {
        let fields = format!("Host: {host}\r\nOrigin: http://{host}\r\n");
        let request = handshake("/").replace("Host: a\r\n", &fields);
        server.client().send(request).receive_with(false).status
    };
    assert_eq!(open("rebound.evil.example:8080"), 421);
    assert_eq!(refused(&server), 1);
    for host in ["chat.internal", "127.0.0.1:8080", "localhost:3000"] {
        assert_eq!(open(host), 101, "{host}");
    }
}

#[test]
fn the_clients_first_subprotocol_that_the_server_speaks_is_agreed_on() {
    let endpoint = Endpoint::new().protocols(["chat.v1", "chat.v2"]);
    let server = serve(move |request: &mut Request| {
        endpoint.upgrade(request, |socket| Ok(socket.send(socket.protocol().unwrap_or("none"))?))
    });
    for (offer, agreed) in [
        ("chat.v2, chat.v1", Some("chat.v2")),
        ("other, chat.v1", Some("chat.v1")),
        ("other\r\nSec-WebSocket-Protocol: chat.v2", Some("chat.v2")),
        ("Chat.v1", None),
    ] {
        let mut client = server.client();
        let field = format!("\r\nSec-WebSocket-Protocol: {offer}\r\n\r\n");
        client.send(handshake("/").replace("\r\n\r\n", &field));
        let answer = client.receive_with(false);
        assert_eq!((answer.status, answer.field("sec-websocket-protocol")), (101, agreed));
        let told = agreed.unwrap_or("none");
        assert_eq!(client.exactly(2 + told.len())[2..], *told.as_bytes());
    }
}

#[test]
fn an_offer_of_compression_is_declined() {
    let server = plain();
    let mut client = server.client();
    let field = "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    client.send(handshake("/").replace("\r\n\r\n", field));
    let answer = client.receive_with(false);
    assert_eq!((answer.status, answer.field("sec-websocket-extensions")), (101, None));
}

#[test]
#[should_panic(expected = "is no subprotocol")]
fn a_subprotocol_is_a_token() {
    let _ = Endpoint::new().protocols(["chat v1"]);
}

#[test]
fn connections_are_bounded_and_a_place_is_given_back() {
    let endpoint = Endpoint::new().connections(2);
    let server =
        serve(move |request: &mut Request| -> Response { endpoint.upgrade(request, echo) });
    let mut first = Peer::open(&server, "/");
    let second = Peer::open(&server, "/");
    assert_eq!(server.client().ask(handshake("/")).status, 503);
    assert_eq!(WebSocketCounters::of(&server.handle).open, 2);
    first.close();
    assert!(eventually(|| WebSocketCounters::of(&server.handle).open < 2));
    let third = Peer::open(&server, "/");
    assert_eq!(server.client().ask(handshake("/")).status, 503);
    drop((second, third));
}

/// A place is taken before the client has been answered. A request that is refused afterwards, here
/// because its body is too long to be skipped, gives it back.
#[test]
fn a_place_is_given_back_if_the_connection_is_not_handed_over() {
    let endpoint = Endpoint::new().connections(1);
    let server = serve(move |request: &mut Request| endpoint.upgrade(request, echo));
    for _ in 0..3 {
        let field = "\r\nContent-Length: 1000000000\r\n\r\n";
        let answer = server.client().ask(handshake("/").replace("\r\n\r\n", field));
        assert_eq!(answer.status, 413);
    }
    drop(Peer::open(&server, "/"));
}

#[test]
fn the_numbers_are_among_the_metrics() {
    let server = plain();
    assert!(!server.handle.metrics().to_prometheus().contains("websocket"), "not used yet");
    let mut peer = Peer::open(&server, "/");
    peer.send(text("one"));
    assert_eq!(peer.text(), "one");
    let metrics = server.handle.metrics().to_prometheus();
    for line in [
        "straightline_websocket_open 1\n",
        "straightline_websocket_opened_total 1\n",
        "straightline_websocket_received_total 1\n",
        "straightline_websocket_sent_total 1\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    peer.close();
}
