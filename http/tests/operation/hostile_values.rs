//! What a handler returns may have a destructor or a text of its own, and a wrapper may change what
//! it likes: the next request is served, and nothing is kept.

use std::error::Error;
use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use straightline::{
    Bytes, Capacity, ErrorContext, Event, HandlerError, IntoResponse, Method, Next, Outcome,
    Request, Response, StatusCode, Timeouts, sched,
};

use crate::common::{serve, serve_with};

/// What a destructor does.
enum OnDrop {
    Wait,
    Panic,
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        match self {
            Self::Wait => sched::sleep(Duration::from_secs(3_600)),
            Self::Panic => panic!("in a destructor"),
        }
    }
}

impl AsRef<[u8]> for OnDrop {
    fn as_ref(&self) -> &[u8] {
        b"owned"
    }
}

impl fmt::Debug for OnDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnDrop")
    }
}

impl fmt::Display for OnDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error")
    }
}

impl Error for OnDrop {}

fn with_destructor(request: &mut Request) -> Result<Response, HandlerError> {
    let on_drop = match request.query() {
        Some("wait") => OnDrop::Wait,
        Some("panic") => OnDrop::Panic,
        _ => return Ok("fine\n".into_response()),
    };
    match request.path() {
        "/error" => Err(on_drop.into()),
        "/bytes" => Ok(Bytes::from_owner(on_drop).into_response()),
        "/payload" => std::panic::panic_any(on_drop),
        _ => Ok(Response::stream(move |_, _| Err(std::io::Error::other(on_drop)))),
    }
}

#[test]
fn a_destructor_that_waits_or_panics_keeps_no_response_back() {
    let timeouts = Timeouts::default().with_handler(Duration::from_millis(20));
    let server = serve_with(|builder| builder.timeouts(timeouts), with_destructor);
    for what in ["wait", "panic"] {
        for (path, status) in [("error", 500), ("bytes", 200), ("payload", 500), ("stream", 500)] {
            let mut client = server.client();
            let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            client.send(get(&format!("/{path}?{what}")));
            assert_eq!(client.receive().status, status, "{path} {what}");
            // An error response to a stream closes its connection.
            if path != "stream" {
                assert_eq!(client.get("/").text(), "fine\n", "{path} {what}");
            }
        }
    }
}

/// An error whose text cannot be written.
#[derive(Debug)]
struct NoText;

impl fmt::Display for NoText {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Err(fmt::Error)
    }
}

impl Error for NoText {}

#[test]
fn an_error_without_a_text_is_answered() {
    let server = serve(|_: &mut Request| Err::<&str, _>(HandlerError::from(NoText)));
    let mut client = server.client();
    for _ in 0..2 {
        assert_eq!(client.get("/").status, 500);
    }
}

#[test]
fn the_response_is_to_the_clients_method_whatever_a_wrapper_makes_of_it() {
    let become_other = |request: &mut Request, next: Next<'_>| {
        let other = match request.query() {
            Some("get") => Method::GET,
            Some("head") => Method::HEAD,
            _ => Method::CONNECT,
        };
        request.set_method(other);
        next.run(request)
    };
    let handler = |request: &mut Request| request.method().as_str().to_owned();
    let server = serve_with(|builder| builder.wrap(become_other), handler);
    let mut client = server.client();
    let head = client.send("HEAD /?get HTTP/1.1\r\nHost: a\r\n\r\n").receive_with(false);
    assert_eq!((head.status, head.field("content-length")), (200, Some("3")));
    assert_eq!(client.get("/?head").text(), "HEAD");
    assert_eq!(client.get("/?connect").text(), "CONNECT");
    let connect = "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n";
    assert_eq!(client.ask(connect).status, 501);
}

#[test]
fn large_heads_of_a_program_are_not_kept() {
    let large = "x".repeat(1 << 20);
    let grow = move |request: &mut Request, next: Next<'_>| {
        if request.path() == "/large" {
            for number in 0..4 {
                request.append_header("x-large", &large[number..]);
            }
        }
        next.run(request)
    };
    let capacity = Capacity::default().with_memory_bytes(16 << 20);
    let server =
        serve_with(|builder| builder.wrap(grow).capacity(capacity), |_: &mut Request| "hi");
    let mut clients: Vec<_> = (0..20).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/large").text(), "hi");
    }
    assert_eq!(clients[0].get("/").text(), "hi");
    let held = server.handle.metrics().memory_held;
    assert!(held < 2 << 20, "{held} bytes");
}

#[test]
fn a_request_that_is_force_closed_while_its_response_is_sent_is_reported() {
    let (sender, heard) = mpsc::channel();
    let observe = move |event: &Event<'_>| {
        if let Event::RequestFinished(request) = event {
            let _ = sender.send((request.status.map(|status| status.as_u16()), request.outcome));
        }
    };
    let server = serve_with(
        |builder| builder.observer(observe).drain_timeout(Duration::ZERO),
        |_: &mut Request| vec![b'x'; 64 << 20],
    );
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.exactly(12), b"HTTP/1.1 200");
    server.handle.shutdown();
    assert_eq!(heard.recv(), Ok((Some(200), Outcome::ForceClosed)));
}

#[test]
fn the_programs_own_error_response_neither_closes_nor_is_larger_than_a_socket_takes() {
    let large = |error: &ErrorContext<'_>| {
        let response = Response::new(error.status()).with_body("x".repeat(1 << 20)).close();
        response.header("x-own", 1)
    };
    let capacity = Capacity::default().with_connections(1);
    let server = serve_with(
        |builder| builder.error_responses(large).capacity(capacity),
        |_: &mut Request| StatusCode::NOT_FOUND,
    );
    let mut client = server.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.body.len()), (404, 1 << 20));
        assert_eq!(answer.field("connection"), None);
    }
    let rejected = server.client().receive();
    assert_eq!((rejected.status, rejected.text()), (503, "Service Unavailable\n"));
}

#[test]
fn no_destructor_runs_outside_of_the_handlers_time() {
    let timeouts = Timeouts::default().with_handler(Duration::from_millis(20));
    let handler = |request: &mut Request| match request.path() {
        // Replaced, because no handler may return such a status.
        "/interim" => (StatusCode::PROCESSING, Bytes::from_owner(OnDrop::Wait)).into_response(),
        // The client's fault, whatever the body's function says.
        "/client" => Response::stream(|request, _| {
            let _ = request.body().read_to_vec(10);
            Err(std::io::Error::other(OnDrop::Wait))
        }),
        "/protocol" => Response::upgrade("x", |_| Err(std::io::Error::other(OnDrop::Wait))),
        _ => StatusCode::NOT_FOUND.into_response(),
    };
    let own = |error: &ErrorContext<'_>| match error.request().map(Request::path) {
        Some("/hook") => std::panic::panic_any(OnDrop::Panic),
        _ => Response::new(error.status()),
    };
    let server = serve_with(|builder| builder.timeouts(timeouts).error_responses(own), handler);
    assert_eq!(server.client().get("/interim").status, 500);
    assert_eq!(server.client().get("/hook").text(), "Not Found\n");
    let chunk = "POST /client HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    assert_eq!(server.client().ask(chunk).status, 400);
    let mut client = server.client();
    let upgrade = "GET /protocol HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    assert_eq!(client.send(upgrade).receive_with(false).status, 101);
    client.wait_for_end();
}
