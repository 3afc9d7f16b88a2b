//! The memory of all clients together is bounded, however many clients there are, and whatever they
//! send or do not read. Beyond the bound, requests are refused until memory is free again.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::common::{Client, Running, serve_with};
use straightline::{
    BodyError, Bytes, Capacity, Event, IntoResponse, Request, Response, Timeouts, sched,
};

/// A server with `memory_bytes` for its clients. Its handlers at `/hold` read their body, send
/// their fiber, and park.
fn serve(memory_bytes: u64) -> (Running, mpsc::Receiver<sched::Fiber>, mpsc::Receiver<u64>) {
    let (sender, waiting) = mpsc::channel();
    let (tell_short, short) = mpsc::channel();
    let hooks = move |event: &Event<'_>| {
        if let Event::ShortOfMemory { held, .. } = event {
            tell_short.send(*held).expect("the test listens");
        }
    };
    let capacity = Capacity::default().with_memory_bytes(memory_bytes);
    // The clients of these tests read nothing, so the timeouts must not expire.
    let timeouts = Timeouts::default().with_idle(Duration::from_secs(600));
    let shared = Bytes::from(vec![b's'; RESPONSE_BYTES]);
    let server = serve_with(
        |builder| builder.capacity(capacity).timeouts(timeouts).observer(hooks),
        move |request: &mut Request| match request.path() {
            "/own" => vec![b'o'; RESPONSE_BYTES].into_response(),
            "/shared" => shared.clone().into_response(),
            "/lines" => match request.body().lines(usize::MAX).collect::<Result<Vec<_>, _>>() {
                Ok(lines) => format!("{} lines", lines.len()).into_response(),
                Err(error) => error.into_response(),
            },
            "/hold" => hold(request, &sender).into_response(),
            "/reader" => Response::reader(Parked(Some(sender.clone()))),
            _ => "served".into_response(),
        },
    );
    (server, waiting, short)
}

fn hold(request: &mut Request, sender: &mpsc::Sender<sched::Fiber>) -> Result<Response, BodyError> {
    let bytes = request.body().read_to_vec(u64::MAX)?;
    sender.send(sched::current()).expect("the test listens");
    sched::park();
    Ok(format!("{} bytes", bytes.len()).into_response())
}

/// Of the one test with a reader: its wait is over.
static READER_GOES_ON: AtomicBool = AtomicBool::new(false);

/// A reader that sends its fiber and parks, and then returns a line.
struct Parked(Option<mpsc::Sender<sched::Fiber>>);

impl io::Read for Parked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(sender) = self.0.take() else { return Ok(0) };
        READER_GOES_ON.store(false, Ordering::SeqCst);
        sender.send(sched::current()).expect("the test listens");
        // What was written before is flushed at the first park, which may end early for that.
        while !READER_GOES_ON.load(Ordering::SeqCst) {
            sched::park();
        }
        let line = format!("into {}", buffer.len());
        buffer[..line.len()].copy_from_slice(line.as_bytes());
        Ok(line.len())
    }
}

fn post(client: &mut Client, path: &str, bytes: usize) {
    client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n"));
    client.send(vec![b'x'; bytes]);
}

#[test]
fn bodies_that_there_is_no_room_for_are_refused_until_there_is() {
    let (server, waiting, short) = serve(370_000);
    let mut first = server.client();
    post(&mut first, "/hold", 300_000);
    let fiber = waiting.recv().expect("the handler has read its body");

    // A second body is refused, whether it is read whole or by lines.
    for path in ["/hold", "/lines"] {
        let mut second = server.client();
        post(&mut second, path, 60_000);
        let answer = second.receive();
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")), "{path}");
        assert!(short.recv().expect("an event") > 300_000);
    }
    // The first request holds more than three quarters of the memory. So every other request is
    // refused now, and its connection stays open.
    let mut third = server.client();
    let answer = third.get("/");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert_eq!(server.handle.counters().short_of_memory, 3);

    fiber.unpark();
    assert_eq!(first.receive().text(), "300000 bytes");
    assert_eq!(third.get("/").text(), "served");
    post(&mut third, "/hold", 300_000);
    waiting.recv().expect("the handler has read its body").unpark();
    assert_eq!(third.receive().text(), "300000 bytes");
    assert_eq!(server.handle.counters().overloaded, 0);
    nothing_is_held_at_the_end(server);
}

#[test]
fn a_response_that_is_not_shared_counts_while_its_client_does_not_read_it() {
    let (server, _waiting, _short) = serve(1 << 30);
    let held = || server.handle.metrics().memory_held;
    for (path, is_counted) in [("/own", true), ("/shared", false)] {
        let mut client = server.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        // Wait until the request waits for its client, which does not read.
        while server.handle.counters().awaiting_client == 0 {
            std::thread::yield_now();
        }
        assert_eq!(held() > RESPONSE_BYTES as u64, is_counted, "{path}: {}", held());
        assert_eq!(client.receive().body.len(), RESPONSE_BYTES);
        assert_eq!(client.get("/").text(), "served");
        assert!(held() < 100_000, "{}", held());
    }
    nothing_is_held_at_the_end(server);
}

#[test]
fn the_buffer_of_a_reader_counts_and_is_small_if_memory_is_short() {
    for (memory_bytes, expected) in [(1 << 30, 65_536), (60_000, 4_096)] {
        let (server, waiting, _short) = serve(memory_bytes);
        let mut client = server.client();
        client.send("GET /reader HTTP/1.1\r\nHost: a\r\n\r\n");
        let fiber = waiting.recv().expect("the reader is asked");
        let held = server.handle.metrics().memory_held;
        assert_eq!(held >= 65_536, expected == 65_536, "{held} bytes");
        READER_GOES_ON.store(true, Ordering::SeqCst);
        fiber.unpark();
        assert_eq!(client.receive().text(), format!("into {expected}"));
        assert_eq!(client.get("/").status, 200);
        assert!(server.handle.metrics().memory_held < 65_536);
        nothing_is_held_at_the_end(server);
    }
}

#[test]
fn a_head_that_there_is_no_room_for_is_refused() {
    // A buffer of the usual size is always granted.
    let (server, _waiting, _short) = serve(20_000);
    let mut client = server.client();
    let long = format!("A: {}\r\n", "x".repeat(5_000)).repeat(5);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{long}\r\n");
    assert_eq!(client.ask(request).status, 503);
    assert!(client.is_at_end());
    assert_eq!(server.client().get("/").text(), "served");
    nothing_is_held_at_the_end(server);
}

fn nothing_is_held_at_the_end(server: Running) {
    let handle = server.handle.clone();
    handle.shutdown();
    server.join();
    assert_eq!(handle.metrics().memory_held, 0);
}

/// More than the kernel buffers for a client that does not read.
const RESPONSE_BYTES: usize = 32 << 20;
