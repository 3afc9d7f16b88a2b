//! Requests are answered in order on persistent connections.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use crate::common::{Client, serve, serve_with};
use straightline::{Address, IntoResponse, Method, Request, Response, Server, StatusCode, header};

fn hello(request: &mut Request) -> impl IntoResponse {
    match (request.path(), request.method()) {
        ("/", &Method::GET | &Method::HEAD) => Ok("Hello, World!\n".to_string()),
        ("/", _) => Err(Response::method_not_allowed(&[Method::GET, Method::HEAD])),
        ("/query", _) => Ok(format!("{:?}", request.query())),
        ("/echo-header", _) => Ok(request.headers().get("X-Echo").unwrap_or("none").to_string()),
        ("/empty", _) => Err(Response::new(StatusCode::NO_CONTENT)),
        ("/tagged", _) => Err(Response::new(StatusCode::OK).header(header::ETAG, "\"1\"")),
        ("/host", _) => Ok(format!("{:?}", request.host())),
        ("/http", _) => match request.to_http() {
            Ok(head) => Err(format!("{head:?}").into_response()),
            Err(error) => Err((StatusCode::BAD_REQUEST, error.to_string()).into_response()),
        },
        ("*", &Method::OPTIONS) => {
            Err(Response::new(StatusCode::NO_CONTENT).header(header::ALLOW, "GET, HEAD"))
        }
        ("/closing", _) => Err("bye".into_response().close()),
        ("/interim", _) => Err(Response::new(StatusCode::CONTINUE)),
        _ => Err(StatusCode::NOT_FOUND.into_response()),
    }
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let server = serve(hello);
    let mut client = server.client();
    for _ in 0..100 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.text()), (200, "Hello, World!\n"));
        assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.field("connection"), None);
    }
    assert_eq!(server.handle.counters().requests, 100);
    assert_eq!(server.handle.counters().accepted, 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = serve(|request: &mut Request| request.path().to_string());
    let mut client = server.client();
    let requests: String =
        (0..500).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(requests);
    for n in 0..500 {
        assert_eq!(client.receive().text(), format!("/{n}"));
    }
}

#[test]
fn a_head_may_arrive_byte_by_byte() {
    let server = serve(hello);
    let mut client = server.client();
    client.stream.set_nodelay(true).unwrap();
    for byte in b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.receive().status, 200);
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let server = serve(hello);
    let mut client = server.client();
    let head = client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").receive_with(false);
    assert_eq!((head.status, head.field("content-length")), (200, Some("14")));
    let get = client.get("/");
    assert_eq!(get.text(), "Hello, World!\n");
    let without_date = |head: &str| head.lines().filter(|l| !l.starts_with("Date")).count();
    assert_eq!(without_date(&head.head), without_date(&get.head));
}

#[test]
fn every_response_carries_a_date() {
    let server = serve(hello);
    let date = server.client().get("/").field("date").map(str::to_string).unwrap();
    let date = httpdate::parse_http_date(&date).unwrap();
    let age = std::time::SystemTime::now().duration_since(date).unwrap();
    assert!(age.as_secs() < 60, "{age:?}");
}

#[test]
fn handlers_choose_status_fields_and_close() {
    let server = serve(hello);
    let mut client = server.client();
    assert_eq!(client.get("/nowhere").status, 404);
    let refused = client.ask("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((refused.status, refused.field("allow")), (405, Some("GET, HEAD")));
    let empty = client.get("/empty");
    assert_eq!((empty.status, empty.field("content-length")), (204, None));
    assert_eq!(client.get("/tagged").field("etag"), Some("\"1\""));
    assert_eq!(client.get("/query?a=b&c").text(), "Some(\"a=b&c\")");
    assert_eq!(client.get("/query").text(), "None");
    let echo = "GET /echo-header HTTP/1.1\r\nHost: a\r\nx-echo: there\r\n\r\n";
    assert_eq!(client.ask(echo).text(), "there");
    assert_eq!(client.get("/interim").status, 500);
    let closing = client.get("/closing");
    assert_eq!(closing.field("connection"), Some("close"));
    assert!(client.is_at_end());
}

#[test]
fn the_client_decides_whether_a_connection_goes_on() {
    let server = serve(hello);
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", Some("close")),
        ("GET / HTTP/1.0\r\n\r\n", Some("close")),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Some("keep-alive")),
    ];
    for (request, connection) in cases {
        let mut client = server.client();
        let answer = client.ask(request);
        assert_eq!(answer.field("connection"), connection, "{request:?}");
        assert!(answer.head.starts_with("HTTP/1.1 200 OK\r\n"));
        if connection == Some("keep-alive") {
            assert_eq!(client.get("/").status, 200);
        } else {
            assert!(client.is_at_end());
        }
    }
}

#[test]
fn a_client_that_closes_its_side_at_once_still_gets_its_answer() {
    let server = serve(hello);
    for _ in 0..50 {
        let mut client = server.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").finish();
        assert_eq!(client.receive().status, 200);
        assert!(client.is_at_end());
    }
    assert_eq!(server.handle.counters().aborted, 0);
}

#[test]
fn a_client_that_gives_up_in_mid_head_is_counted() {
    let server = serve(hello);
    let mut client = server.client();
    client.send("GET / HT").finish();
    assert!(client.is_at_end());
    let mut idle = server.client();
    idle.finish();
    assert!(idle.is_at_end());
    drop((client, idle));
    let handle = server.handle.clone();
    drop(server);
    assert_eq!((handle.counters().aborted, handle.counters().closed), (1, 2));
}

#[test]
fn large_responses_arrive_whole_and_in_order() {
    let server = serve(|request: &mut Request| {
        let bytes: usize = request.query().and_then(|query| query.parse().ok()).unwrap_or(0);
        vec![b'x'; bytes]
    });
    let mut client = server.client();
    let sizes = [0, 1, 16 * 1024, 16 * 1024 + 1, 70_000, 3_000_000, 5];
    for bytes in sizes {
        client.send(format!("GET /?{bytes} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    for bytes in sizes {
        assert!(client.receive().body == vec![b'x'; bytes], "{bytes} bytes");
    }
}

#[test]
fn a_server_listens_on_several_addresses_with_several_workers() {
    let path = std::env::temp_dir().join(format!("straightline-{}.sock", std::process::id()));
    let unix = format!("unix:{}", path.display());
    let configure = |builder: straightline::ServerBuilder| builder.bind(unix.clone()).workers(3);
    let server = serve_with(configure, |request: &mut Request| request.peer().to_string());
    for _ in 0..20 {
        assert!(server.client().get("/").text().starts_with("127.0.0.1:"));
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("\r\n\r\nunix"), "{text:?}");
    }
    drop(server);
    assert!(!path.exists(), "the socket file is removed");

    // The socket file of a crashed server is replaced; a socket on which a server listens is not.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let first = Server::builder().bind(unix.clone()).build(hello).unwrap();
    assert_eq!(first.local_addrs(), [unix.parse::<Address>().unwrap()]);
    let second = Server::builder().bind(unix.clone()).build(hello).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);
    assert!(second.to_string().contains(&unix), "{second}");
    first.handle().shutdown();
    first.run().unwrap();
}

#[test]
fn each_shard_may_have_a_handler_of_its_own() {
    let server = Server::builder()
        .bind("127.0.0.1:0")
        .workers(2)
        .build_with(|| {
            let home = thread::current().id();
            let served = std::rc::Rc::new(std::cell::Cell::new(0));
            move |_: &mut Request| {
                assert_eq!(thread::current().id(), home);
                served.set(served.get() + 1);
                served.get().to_string()
            }
        })
        .unwrap();
    let (address, handle) = (server.local_addrs()[0].as_tcp().unwrap(), server.handle());
    let running = thread::spawn(move || server.run());
    let mut client = Client::connect(address);
    assert_eq!(client.get("/").text(), "1");
    assert_eq!(client.get("/").text(), "2");
    drop(client);
    handle.shutdown();
    running.join().unwrap().unwrap();
}

#[test]
fn faulty_descriptions_are_clear_errors() {
    let nothing = Server::builder().build(hello).unwrap_err();
    assert!(nothing.to_string().starts_with("no address to listen on: "), "{nothing}");
    let nonsense = Server::builder().bind("nonsense").build(hello).unwrap_err();
    assert!(nonsense.to_string().contains("\"nonsense\""), "{nonsense}");
    let server = serve(hello);
    let taken = Server::builder().bind(server.address).build(hello).unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    assert!(taken.to_string().contains(&server.address.to_string()), "{taken}");
}

#[test]
fn an_answer_does_not_wait_for_a_later_handler_that_blocks() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let server = serve(move |request: &mut Request| {
        if request.path() == "/blocks" {
            sender.send(straightline::sched::current()).unwrap();
            straightline::sched::park();
        }
        request.path().to_string()
    });
    let mut client = server.client();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send([request("/1"), request("/2"), request("/blocks"), request("/3")].concat());
    assert_eq!(client.receive().text(), "/1");
    assert_eq!(client.receive().text(), "/2");
    receiver.recv().unwrap().unpark();
    assert_eq!(client.receive().text(), "/blocks");
    assert_eq!(client.receive().text(), "/3");
}

#[test]
fn a_head_becomes_one_of_the_ecosystem() {
    let server = serve(hello);
    let mut client = server.client();
    let answer = client.ask("PUT /http?a=b HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n");
    let text = answer.text();
    for part in ["method: PUT", "uri: /http?a=b", "HTTP/1.1", "\"host\": \"a\"", "\"x\": \"2\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // A target that `http::Uri` rejects causes an error and no panic.
    let answer = client.ask("GET /http?|^ HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.status == 200 || answer.status == 400, "{answer:?}");
}

#[test]
fn options_of_the_server_are_its_handlers_to_answer() {
    let server = serve(hello);
    let answer = server.client().ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status, answer.field("allow")), (204, Some("GET, HEAD")));
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answers() {
    let server = serve(hello);
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3)).finish();
    for _ in 0..3 {
        assert_eq!(client.receive().text(), "Hello, World!\n");
    }
    assert!(client.is_at_end());
    assert_eq!(server.handle.counters().aborted, 0);
}

#[test]
fn the_host_of_an_absolute_target_counts_more_than_the_field() {
    let server = serve(hello);
    for (head, host) in [
        ("GET /host HTTP/1.1\r\nHost: a:1\r\n", "Some(\"a:1\")"),
        ("GET http://b:2/host HTTP/1.1\r\nHost: a:1\r\n", "Some(\"b:2\")"),
        ("GET HTTPS://[::1]/host?://c HTTP/1.1\r\nHost: a:1\r\n", "Some(\"[::1]\")"),
        ("GET /host?http://c/ HTTP/1.1\r\nHost: a:1\r\n", "Some(\"a:1\")"),
        ("GET /host HTTP/1.0\r\n", "None"),
    ] {
        assert_eq!(server.client().ask(format!("{head}\r\n")).text(), host, "{head}");
    }
}

/// The server closes after its response, and a close with unread bytes resets the connection.
#[test]
fn a_request_that_is_not_read_takes_no_response_away() {
    let (go, may_answer) = std::sync::mpsc::channel::<()>();
    let may_answer = std::sync::Mutex::new(may_answer);
    let server = serve(move |_: &mut Request| {
        let may_answer = may_answer.lock().expect("one request");
        may_answer.recv().expect("the client has sent both requests");
        "x".repeat(LARGE).into_response().close()
    });
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    while server.handle.counters().requests == 0 {
        thread::yield_now();
    }
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    go.send(()).expect("the handler waits");
    while server.handle.counters().answered == 0 {
        thread::yield_now();
    }
    assert_eq!(client.receive().body.len(), LARGE);
    client.wait_for_end();
}

/// More than a client's kernel takes, and less than the server's buffers without a wait.
const LARGE: usize = 150_000;
