//! A server without a socket: it serves the streams that the program gives it, on the caller's
//! shard.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use crate::common::simulated::{assert_between, secs, time_since};
use crate::common::{serve, serve_with};
use straightline::net::MemoryStream;
use straightline::sched::sync::Ready;
use straightline::sched::{self, Interest, JoinHandle, sim};
use straightline::{
    Capacity, CapacityLimit, ConnectionEnd, IntoResponse, Limits, LocalServer, OnDisconnect,
    OverloadPolicy, Peer, Phase, Request, Response, Server, ServerBuilder, StatusCode, Timeout,
    Timeouts, Transport,
};

fn handler(request: &mut Request) -> Response {
    match request.path() {
        "/echo" => request.body().read_to_vec(1 << 20).into_response(),
        "/sleep" => {
            sched::sleep(secs(20));
            "slept".into_response()
        }
        "/never" => {
            sched::sleep(Duration::MAX);
            "never".into_response()
        }
        "/peer" => request.peer().to_string().into_response(),
        "/large" => Response::stream(|_, body| body.write_all(&vec![b'x'; 300_000])),
        "/fails" => Response::stream(|_, body| {
            body.write_all(&vec![b'x'; 300_000])?;
            Err(io::Error::other("on purpose"))
        }),
        "/upgrade" => Response::upgrade("echo", |mut client| {
            let mut bytes = [0; 100];
            while let count @ 1.. = client.read(&mut bytes)? {
                client.write_all(&bytes[..count])?;
            }
            client.write_all(b"bye")?;
            client.shutdown_write()
        }),
        path => path.to_owned().into_response(),
    }
}

type Serving = JoinHandle<ConnectionEnd>;

fn connect_with(
    server: &LocalServer,
    make: impl FnOnce(MemoryStream) -> Box<dyn Transport>,
) -> (MemoryStream, Serving) {
    let (client, stream) = MemoryStream::pair(1 << 16);
    let (handle, stream) = (server.handle(), Given(make(stream)));
    (client, sched::spawn(move || handle.serve(stream, Peer::named("a test"))))
}

fn connect(server: &LocalServer) -> (MemoryStream, Serving) {
    connect_with(server, |stream| Box::new(stream))
}

/// A stream with the least that a stream must have.
struct Given(Box<dyn Transport>);

impl Transport for Given {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn arm(&self, interest: Interest) -> io::Result<bool> {
        self.0.arm(interest)
    }

    fn ready(&self, interest: Interest) -> Ready<'_> {
        self.0.ready(interest)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.0.shutdown_write()
    }

    fn try_close(&self) -> io::Result<()> {
        self.0.try_close()
    }

    fn is_peer_gone(&self) -> bool {
        self.0.is_peer_gone()
    }
}

fn server_with(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> LocalServer {
    configure(Server::builder()).build_local(handler).expect("a stack")
}

/// Waits until the server ends the stream, and returns all that came.
fn rest(client: &MemoryStream) -> String {
    let mut bytes = Vec::new();
    { client }.read_to_end(&mut bytes).expect("an end in good order");
    String::from_utf8(bytes).expect("text")
}

/// One response with a `Content-Length`.
fn receive(client: &MemoryStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        { client }.read_exact(&mut byte).expect("a head");
        bytes.push(byte[0]);
    }
    let mut head = String::from_utf8(bytes).expect("text");
    let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("digits"))];
    { client }.read_exact(&mut body).expect("a body");
    head.push_str(std::str::from_utf8(&body).expect("text"));
    head
}

fn send(client: &MemoryStream, text: &str) {
    { client }.write_all(text.as_bytes()).expect("the server reads");
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_handler_is_tested_with_bytes_and_no_socket() {
    sched::run(|| {
        let server = server_with(|builder| builder.limits(Limits::default().with_fields(3)));
        let (client, serving) = connect(&server);
        for _ in 0..3 {
            send(&client, &GET.repeat(4));
            (0..4).for_each(|_| assert!(receive(&client).ends_with("\r\n\r\n/x")));
        }
        send(&client, "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(receive(&client).ends_with("a test"));
        send(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        sched::yield_now();
        send(&client, "5\r\nhello\r\n0\r\n\r\n");
        assert!(receive(&client).ends_with("hello"));
        send(&client, &format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(3)));
        assert!(rest(&client).starts_with("HTTP/1.1 431 "));
        drop(client);
        assert!(matches!(serving.join().unwrap(), ConnectionEnd::Closed));
        let counters = server.handle().counters();
        assert_eq!((counters.accepted, counters.closed), (1, 1));
        assert_eq!((counters.requests, counters.answered, counters.refused), (14, 14, 1));
    });
}

#[test]
fn responses_of_all_kinds_go_over_a_stream_with_the_least_calls() {
    sched::run(|| {
        let server = server_with(|builder| builder);
        let ask = |path: &str, more: &str| {
            let (client, serving) = connect(&server);
            send(&client, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n"));
            (client, serving)
        };
        let (client, serving) = ask("/large", "Connection: close\r\n");
        assert_eq!(rest(&client).matches('x').count(), 300_000);
        assert!(matches!(serving.join().unwrap(), ConnectionEnd::Closed));
        let (client, serving) = ask("/fails", "");
        assert!(!rest(&client).ends_with("0\r\n\r\n"));
        assert!(matches!(serving.join().unwrap(), ConnectionEnd::Failed(_)));
        let (client, serving) = ask("/upgrade", "Connection: upgrade\r\nUpgrade: echo\r\n");
        assert!(receive(&client).starts_with("HTTP/1.1 101 "));
        send(&client, "hello");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&client), "hellobye");
        drop(client);
        assert!(matches!(serving.join().unwrap(), ConnectionEnd::Closed));
        let (client, serving) = ask("/echo", "Content-Length: 5\r\n");
        drop(client); // in the middle of a request
        let end = serving.join().unwrap();
        assert!(matches!(&end, ConnectionEnd::Failed(_)), "{end}");
    });
}

#[test]
fn a_file_is_sent_over_a_stream_that_knows_no_files() {
    let path = std::env::temp_dir().join(format!("straightline-local-{}", std::process::id()));
    let text = (0..50_000).map(|number| format!("{number}\n")).collect::<String>();
    std::fs::write(&path, &text).expect("a file");
    let file = File::open(&path).expect("a file");
    std::fs::remove_file(&path).expect("it is there");
    sched::run(move || {
        let file = Rc::new(file);
        let server = Server::builder().build_local(move |_: &mut Request| {
            Response::file(file.try_clone().expect("a descriptor"))
        });
        let server = server.expect("a stack");
        let (client, _serving) = connect(&server);
        send(&client, "GET / HTTP/1.0\r\n\r\n");
        assert!(rest(&client).ends_with(&format!("\r\n\r\n{text}")));
    });
}

#[test]
fn timeouts_hold_for_streams_and_idle_ones_are_closed() {
    sim::run(1, || {
        let timeouts = Timeouts::default().with_head(secs(5)).with_idle(secs(50));
        let server = server_with(|builder| builder.timeouts(timeouts.with_handler(secs(10))));
        let begin = sim::elapsed();
        let ((silent, _), (half, _), (idle, ends), (slow, _)) =
            (connect(&server), connect(&server), connect(&server), connect(&server));
        send(&half, "GET / HT");
        send(&idle, GET);
        send(&slow, "GET /sleep HTTP/1.0\r\n\r\n");
        assert_eq!(rest(&silent), "");
        assert_between(time_since(begin), secs(5), secs(6));
        assert!(rest(&half).starts_with("HTTP/1.1 408 "));
        assert!(rest(&slow).starts_with("HTTP/1.1 504 "));
        assert_between(time_since(begin), secs(10), secs(11));
        assert!(receive(&idle).ends_with("/x"));
        assert_eq!(rest(&idle), "");
        assert_between(time_since(begin), secs(50), secs(54));
        assert!(matches!(ends.join().unwrap(), ConnectionEnd::Closed));
        let counters = server.handle().counters();
        assert_eq!((counters.timed_out(Timeout::Head), counters.timed_out(Timeout::Idle)), (2, 1));
    });
}

#[test]
fn a_drain_closes_idle_streams_and_waits_for_requests_in_flight() {
    sim::run(1, || {
        let server = server_with(|builder| builder.drain_timeout(secs(30)));
        let (idle, idle_end) = connect(&server);
        send(&idle, GET);
        receive(&idle);
        let (slow, slow_end) = connect(&server);
        send(&slow, "GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n");
        let (never, never_end) = connect(&server);
        send(&never, "GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
        let handle = server.handle();
        let background = handle.spawn(|| sched::sleep(Duration::MAX));
        sched::sleep(secs(1));
        let begin = sim::elapsed();
        handle.shutdown();
        assert_eq!(rest(&idle), "");
        assert_between(time_since(begin), secs(0), secs(1));
        assert!(matches!(idle_end.join().unwrap(), ConnectionEnd::Closed));
        let answer = rest(&slow);
        assert!(answer.contains("Connection: close") && answer.ends_with("slept"), "{answer}");
        let report = server.join();
        assert_between(time_since(begin), secs(30), secs(31));
        assert_eq!((report.idle, report.finished, report.cancelled), (1, 1, 1), "{report}");
        assert_eq!((report.background_finished, report.background_cancelled), (0, 1), "{report}");
        assert!(matches!(slow_end.join().unwrap(), ConnectionEnd::Closed));
        let end = never_end.join().unwrap();
        assert!(matches!(end, ConnectionEnd::ForceClosed), "{end}");
        assert!(background.expect("a stack").join().is_err_and(|error| error.is_cancelled()));
        // After its end a server serves no stream.
        let (client, stream) = MemoryStream::pair(100);
        let end = handle.serve(stream, Peer::named("late"));
        assert!(matches!(end, ConnectionEnd::Unserved), "{end}");
        assert_eq!(rest(&client), "");
        assert_eq!(handle.metrics().phase, Phase::Draining);
    });
}

#[test]
fn dropping_the_server_shuts_it_down() {
    sim::run(1, || {
        let server = server_with(|builder| builder);
        let (client, end) = connect(&server);
        send(&client, GET);
        receive(&client);
        drop(server);
        assert_eq!(rest(&client), "");
        assert!(matches!(end.join().unwrap(), ConnectionEnd::Closed));
    });
    // And the end of the shard ends what is left.
    sched::run(|| {
        let server = server_with(|builder| builder);
        let (client, _serving) = connect(&server);
        send(&client, "GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
        sched::yield_now();
    });
}

#[test]
fn a_stream_without_room_is_rejected_or_waits() {
    sim::run(1, || {
        let capacity = Capacity::default().with_connections(1);
        let server = server_with(|builder| builder.capacity(capacity));
        let (first, first_end) = connect(&server);
        send(&first, "GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n");
        sched::sleep(secs(1));
        let (second, second_end) = connect(&server);
        assert!(rest(&second).starts_with("HTTP/1.1 503 "));
        let end = second_end.join().unwrap();
        assert!(matches!(end, ConnectionEnd::Rejected(CapacityLimit::Connections)), "{end}");
        assert!(receive(&first).ends_with("slept"));
        drop(first);
        assert!(matches!(first_end.join().unwrap(), ConnectionEnd::Closed));

        let capacity = capacity.with_overload_policy(OverloadPolicy::Queue);
        let server = server_with(|builder| builder.capacity(capacity));
        let (first, _first_end) = connect(&server);
        send(&first, "GET /sleep HTTP/1.0\r\n\r\n");
        sched::sleep(secs(1));
        let begin = sim::elapsed();
        let (second, _second_end) = connect(&server);
        send(&second, "GET /second HTTP/1.0\r\n\r\n");
        assert!(rest(&second).ends_with("/second"));
        assert_between(time_since(begin), secs(19), secs(21));
    });
}

#[test]
fn a_caller_that_is_cancelled_ends_its_connection() {
    sched::run(|| {
        let server = server_with(|builder| builder);
        let (client, serving) = connect(&server);
        send(&client, "GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
        while server.handle().counters().in_flight == 0 {
            sched::yield_now();
        }
        serving.cancel();
        assert!(serving.join().is_err_and(|error| error.is_cancelled()));
        assert_eq!(rest(&client), "");
        let counters = server.handle().counters();
        assert_eq!((counters.unanswered, counters.closed), (1, 1));
    });
}

#[test]
fn a_handler_whose_client_leaves_is_cancelled() {
    sched::run(|| {
        let server = server_with(|builder| builder.on_disconnect(OnDisconnect::Cancel));
        let (client, serving) = connect(&server);
        send(&client, "GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
        while server.handle().counters().in_flight == 0 {
            sched::yield_now();
        }
        drop(client);
        assert!(matches!(serving.join().unwrap(), ConnectionEnd::Failed(_)));
        assert_eq!(server.handle().counters().cancelled, 1);
    });
}

/// A stream that keeps what is written until it is asked again: as TLS does if its socket is full.
struct Hoarding {
    stream: MemoryStream,
    kept: RefCell<Vec<u8>>,
    blocks: Cell<u32>,
    closes: Rc<Cell<u32>>,
}

impl Hoarding {
    fn send_kept(&self, goodbye: &[u8]) -> io::Result<()> {
        if self.blocks.get() > 0 {
            self.blocks.set(self.blocks.get() - 1);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut kept = self.kept.take();
        kept.extend_from_slice(goodbye);
        let sent = self.stream.try_write(&kept)?;
        assert_eq!(sent, kept.len());
        self.closes.set(self.closes.get() + 1);
        Ok(())
    }
}

impl Transport for Hoarding {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.try_read(buffer)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.kept.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn arm(&self, interest: Interest) -> io::Result<bool> {
        self.stream.arm(interest)
    }

    fn ready(&self, interest: Interest) -> Ready<'_> {
        Transport::ready(&self.stream, interest)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.send_kept(b"[goodbye]")?;
        self.stream.shutdown(Shutdown::Write)
    }

    fn try_close(&self) -> io::Result<()> {
        self.send_kept(b"[closed]")
    }
}

#[test]
fn a_stream_may_have_bytes_left_to_send_at_its_end() {
    sim::run(1, || {
        let server = server_with(|builder| builder);
        for (request, end) in [
            ("GET /x HTTP/1.0\r\n\r\n", "/x[closed]"),
            ("POST /x HTTP/1.0\r\nContent-Length: 9000000\r\n\r\nx", "[goodbye]"),
        ] {
            let closes = Rc::new(Cell::new(0));
            let counted = Rc::clone(&closes);
            let (client, serving) = connect_with(&server, move |stream| {
                let (kept, blocks) = (RefCell::default(), Cell::new(3));
                Box::new(Hoarding { stream, kept, blocks, closes: counted })
            });
            send(&client, request);
            let text = rest(&client);
            assert!(text.starts_with("HTTP/1.1 ") && text.ends_with(end), "{text}");
            drop(client);
            serving.join().unwrap();
            assert_eq!(closes.get(), 1);
        }
    });
}

#[test]
fn a_running_server_serves_streams_on_its_shards_too() {
    let server = serve_with(
        |builder| builder.workers(2),
        |request: &mut Request| {
            if request.path() == "/inner" {
                return "from the inside".to_owned();
            }
            let (client, stream) = MemoryStream::pair(4096);
            let handle = request.server();
            let serving = sched::spawn(move || handle.serve(stream, Peer::named("inside")));
            send(&client, "GET /inner HTTP/1.0\r\n\r\n");
            let text = rest(&client);
            drop(client);
            assert!(matches!(serving.join().unwrap(), ConnectionEnd::Closed));
            text
        },
    );
    for _ in 0..4 {
        assert!(server.client().get("/outer").text().ends_with("from the inside"));
    }
    assert_eq!(server.handle.counters().accepted, 8);
}

#[test]
fn a_stream_of_a_running_server_is_drained_with_it() {
    let server = serve(|request: &mut Request| {
        let (client, stream) = MemoryStream::pair(4096);
        let handle = request.server();
        let fiber = handle.clone().spawn(move || {
            let connection = sched::spawn(move || handle.serve(stream, Peer::named("inside")));
            assert_eq!(rest(&client), ""); // closed by the drain: it is idle
            assert!(matches!(connection.join().unwrap(), ConnectionEnd::Closed));
        });
        fiber.map_or(StatusCode::SERVICE_UNAVAILABLE, |_| StatusCode::ACCEPTED)
    });
    assert_eq!(server.client().get("/").status, 202);
    while server.handle.counters().accepted < 2 {
        thread::yield_now();
    }
    server.handle.shutdown();
    assert_eq!(server.join().background_drained, 1);
}

#[test]
fn a_stream_needs_a_shard_of_the_server() {
    let server = serve(|_: &mut Request| "hi");
    let handle = server.handle.clone();
    let elsewhere = sched::spawn_shard("other", sched::Config::default(), move || {
        let (_client, stream) = MemoryStream::pair(1);
        drop(handle.serve(stream, Peer::named("nowhere")));
    });
    assert!(elsewhere.expect("a thread").join().is_err());
    sched::run(|| {
        let error = Server::builder().bind("127.0.0.1:0").build_local(handler).map(drop);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    });
}
