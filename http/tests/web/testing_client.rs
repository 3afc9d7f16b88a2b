//! The client for tests: it sees what a client of a server sees, in process and over sockets.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use crate::common::serve;
use straightline::sched::{self, sim};
use straightline::testing::Client;
use straightline::{IntoResponse, Method, Request, Response, Server, StatusCode};

fn handler(request: &mut Request) -> Response {
    match request.path() {
        "/echo" => Response::stream(|request, body| request.body().copy_to(body).map(drop)),
        "/refuse" => (StatusCode::PAYLOAD_TOO_LARGE, "no\n").into_response().close(),
        "/panic" => panic!("on purpose"),
        "/sleep" => {
            sched::sleep(Duration::from_millis(2));
            "slept\n".into_response()
        }
        "/never" => {
            sched::sleep(Duration::from_secs(3600));
            "late\n".into_response()
        }
        "/none" => StatusCode::NO_CONTENT.into_response(),
        "/trailer" => Response::stream(|_, body| {
            body.write_all(b"text")?;
            body.trailer("sum", "4")
        }),
        "/moved" => StatusCode::FOUND.into_response().header("location", "/"),
        "/cut" => Response::stream(|_, body| {
            body.write_all(&vec![b'x'; 100_000])?;
            Err(io::Error::other("on purpose"))
        }),
        path => format!("{} {path}\n", request.method()).into_response(),
    }
}

/// What must hold wherever the handler is called.
fn check(client: &Client) {
    client.get("/a?b").send().assert_status(200).assert_text("GET /a\n");
    client.head("/a").send().assert_header("content-length", "8").assert_text("");
    client.get("/none").send().assert_status(204).assert_no_header("content-length");
    client.get("/panic").send().assert_status(500);
    client.get("/sleep").send().assert_text("slept\n");
    client.get("/moved").send().assert_status(302).assert_header("location", "/");
    let response = client.get("/trailer").send();
    assert_eq!(response.trailers()["sum"], "4");
    client.post("/echo").body("one").send().assert_header("transfer-encoding", "chunked");
    client.post("/echo").body("two").chunked().send().assert_text("two");
    let large = "0123456789abcdef".repeat(1 << 17);
    assert!(client.put("/echo").body(large.clone()).send().text() == large);
    assert!(client.put("/echo").body(large.clone()).chunked().send().text() == large);
    client.put("/refuse").body(large).send().assert_status(413);
    client.request(Method::TRACE, "/x").send().assert_text("TRACE /x\n");
    let error = client.get("/cut").try_send().expect_err("half a body");
    assert!(!matches!(error.kind(), ErrorKind::TimedOut), "{error}");
    client.get("/after").send().assert_status(200);
}

#[test]
fn a_handler_in_process_on_a_thread_on_a_fiber_and_in_a_simulation() {
    check(&Client::new(handler));
    sched::run(|| check(&Client::new(handler)));
    sim::run(7, || check(&Client::new(handler)));
}

#[test]
fn a_server_over_sockets() {
    let server = serve(handler);
    let address = server.address;
    check(&Client::connect(address));
    sched::run(move || check(&Client::connect(address)));
    server.handle.shutdown();
    let counters = server.join();
    // Most requests have shared a connection.
    assert!(counters.accepted < counters.requests, "{counters:?}");
}

#[test]
fn a_server_in_a_simulation() {
    sim::run(7, || {
        let server = Server::builder().bind("127.0.0.1:0").workers(1).build(handler)?;
        let (handle, address) = (server.handle(), server.local_addrs()[0].to_string());
        let running = sched::spawn(|| server.run());
        check(&Client::connect(&address));
        let impatient = Client::connect(&address).with_timeout(Duration::from_secs(7));
        let error = impatient.get("/never").try_send().expect_err("late");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        handle.shutdown();
        running.join().expect("no panic").map(drop)
    })
    .expect("the server ends well");
}

#[test]
fn a_failed_assertion_shows_the_response() {
    let response = Client::new(handler).get("/shown").send();
    let failed = catch_unwind(AssertUnwindSafe(|| {
        response.assert_status(201);
    }));
    let payload = failed.expect_err("the status is 200");
    let text = payload.downcast_ref::<String>().expect("a message");
    assert!(text.starts_with("the status is not 201\nresponse to GET /shown of the handler:\n"));
    assert!(text.contains("HTTP/1.1 200 OK\n") && text.contains("\ncontent-length: 11\n"));
    assert!(text.ends_with("\n\nGET /shown\n\n"), "{text}");
}

#[test]
fn a_connection_that_the_server_has_closed_is_not_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        for number in 0..3 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1000];
            assert!(stream.read(&mut head).unwrap() > 0);
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}");
            stream.write_all(text.as_bytes()).unwrap();
        }
    });
    let client = Client::connect(address);
    client.get("/").send().assert_text("0");
    client.get("/").send().assert_text("1");
    client.get("/").send().assert_text("2");
    server.join().unwrap();
}
