//! A server that only redirects to HTTPS.

use crate::common::{Client, serve};
use straightline::{Server, https};

/// The status and the `Location` for a request.
fn location(client: &mut Client, request: &str) -> (u16, Option<String>) {
    let answer = client.ask(format!("{request}\r\n"));
    (answer.status, answer.field("location").map(str::to_owned))
}

#[test]
fn a_redirect_keeps_the_host_and_the_target() {
    let server = serve(https::redirect(443));
    let mut client = server.client();
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: example.org\r\n", "https://example.org/"),
        ("GET /a/b?c=d?e HTTP/1.1\r\nHost: example.org:8080\r\n", "https://example.org/a/b?c=d?e"),
        ("GET /? HTTP/1.1\r\nHost: example.org\r\n", "https://example.org/?"),
        ("POST /x HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 0\r\n", "https://[::1]/x"),
        (
            "HEAD /x HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n",
            "https://127.0.0.1/x",
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: example.org\r\n", "https://example.org"),
        // The host of the target counts (RFC 9112 section 3.2.2).
        ("GET http://a.example:81?x HTTP/1.1\r\nHost: a.example:81\r\n", "https://a.example/?x"),
        // The path is behind a host, whatever it looks like.
        ("GET //b.example/ HTTP/1.1\r\nHost: a.example\r\n", "https://a.example//b.example/"),
        ("GET /\\b.example HTTP/1.1\r\nHost: a.example\r\n", "https://a.example/\\b.example"),
    ] {
        let is_head = request.starts_with("HEAD");
        let answer = client.send(format!("{request}\r\n")).receive_with(!is_head);
        assert_eq!((answer.status, answer.field("location")), (308, Some(expected)), "{request}");
    }
    let other = serve(https::redirect(8443));
    let request = "GET /x HTTP/1.1\r\nHost: example.org:8080\r\n";
    let expected = Some("https://example.org:8443/x".to_owned());
    assert_eq!(location(&mut other.client(), request), (308, expected));
}

#[test]
fn a_request_without_a_host_is_not_redirected() {
    let server = serve(https::redirect(443));
    for request in [
        "GET / HTTP/1.0\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: user@b.example\r\n",
        "GET / HTTP/1.1\r\nHost: a.example/b.example\r\n",
        "GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n",
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n",
    ] {
        assert_eq!(location(&mut server.client(), request), (400, None), "{request}");
    }
}

#[test]
fn a_redirect_stands_beside_another_server() {
    let public = Server::builder().bind("127.0.0.1:0").workers(1);
    let public = public.build(|_: &mut straightline::Request| "hello\n").expect("a port");
    let redirect = Server::builder().bind("127.0.0.1:0").workers(1);
    let redirect = redirect.build(https::redirect(443)).expect("a port");
    let address = redirect.local_addrs()[0].as_tcp().expect("a TCP address");
    let handle = public.handle();
    let server = public.also(redirect).expect("as many workers");
    let serving = std::thread::spawn(|| server.run());
    let request = "GET /x HTTP/1.1\r\nHost: a.example\r\n";
    let expected = Some("https://a.example/x".to_owned());
    assert_eq!(location(&mut Client::connect(address), request), (308, expected));
    handle.shutdown();
    serving.join().expect("no panic").expect("the server ends well");
}
