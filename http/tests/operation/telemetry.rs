//! What an operator sees: metrics, the access log, events, and the list of fibers.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{Running, serve, serve_with};
use straightline::sched::FiberState;
use straightline::{
    AccessLogFormat, Event, HeaderName, Request, Response, ServerBuilder, StatusCode, sched,
};

/// A file that a test reads.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn answer(request: &mut Request) -> Result<Response, StatusCode> {
    match request.path() {
        "/" => Ok(straightline::IntoResponse::into_response("served")),
        "/stream" => Ok(Response::stream(|_, body| body.write_all(b"piece"))),
        // Chunks of all kinds, and a trailer.
        "/chunks" => Ok(Response::stream(|_, body| {
            for piece in [1, 20_000, 300, 15_000].map(|bytes| vec![b'x'; bytes]) {
                body.write_all(&piece)?;
                body.write_all(&piece)?;
                body.flush()?;
            }
            body.trailer(HeaderName::from_static("sum"), "1")
        })),
        "/echo-panic" => panic!("{}", body_text(request)),
        "/echo-error" => {
            let text = body_text(request);
            Ok(Response::stream(|_, body| {
                body.flush()?;
                Err(io::Error::other(text))
            }))
        }
        "/cut" => Ok(Response::stream(|_, body| {
            body.write_all(b"piece")?;
            body.flush()?;
            Err(io::Error::other("no more"))
        })),
        "/panic" => panic!("as you wish"),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

/// The body of the request, as text. A careless handler repeats it.
fn body_text(request: &mut Request) -> String {
    let bytes = request.body().read_to_vec(1_000).expect("a body");
    String::from_utf8(bytes).expect("text")
}

/// The samples of a text in Prometheus' format, by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(sample).collect()
}

/// Waits until `count` responses are counted. A response is counted after it was written, and its
/// client may have read it before that.
fn wait_for_latencies(server: &Running, count: u64) {
    loop {
        match server.handle.metrics().latencies.count() {
            counted if counted < count => std::thread::yield_now(),
            counted => return assert_eq!(counted, count),
        }
    }
}

#[test]
fn metrics_say_what_has_happened() {
    let server = serve(answer);
    let mut client = server.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(client.get("/nowhere").status, 404);
    assert_eq!(client.get("/panic").status, 500);
    assert_eq!(server.client().ask("G@T / HTTP/1.1\r\n\r\n").status, 400);
    wait_for_latencies(&server, 5);
    assert!(straightline::fs::exists("Cargo.toml").unwrap());
    let metrics = server.handle.metrics();
    assert_eq!(metrics.counters, server.handle.counters());
    let (median, p99) = (metrics.latencies.quantile(0.5), metrics.latencies.quantile(0.99));
    assert!(median > Duration::ZERO && median <= p99);
    let samples = samples(&metrics.to_prometheus());
    for (name, value) in [
        ("straightline_connections_accepted_total", 2.0),
        ("straightline_requests_total", 5.0),
        ("straightline_requests_answered_total", 5.0),
        ("straightline_requests_in_flight", 0.0),
        ("straightline_requests_refused_total", 1.0),
        ("straightline_responses_total{class=\"2xx\"}", 3.0),
        ("straightline_responses_total{class=\"4xx\"}", 2.0),
        ("straightline_responses_total{class=\"5xx\"}", 1.0),
        ("straightline_handlers_panicked_total", 1.0),
        ("straightline_timeouts_total{kind=\"write_rate\"}", 0.0),
        ("straightline_request_duration_seconds_count", 5.0),
        ("straightline_request_duration_seconds_bucket{le=\"+Inf\"}", 5.0),
        ("straightline_ready", 1.0),
        ("straightline_replacements_total", 0.0),
        ("straightline_offload_lost", 0.0),
        ("straightline_files_lost", 0.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name} of {samples:#?}");
    }
    for name in [
        "straightline_sched_fibers{shard=\"0\"}",
        "straightline_sched_turns_total{shard=\"0\"}",
        "straightline_sched_longest_turn_seconds{shard=\"0\"}",
        "straightline_read_bytes_total",
        "straightline_written_bytes_total",
        "straightline_files_threads",
    ] {
        assert!(samples.get(name).is_some_and(|value| *value > 0.0), "{name} of {samples:#?}");
    }
}

#[test]
fn requests_that_leave_together_are_all_timed() {
    let server = serve(answer);
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20));
    for _ in 0..20 {
        assert_eq!(client.receive().text(), "served");
    }
    wait_for_latencies(&server, 20);
}

#[test]
fn each_request_is_a_line_of_the_access_log() {
    let file = Shared::default();
    let server =
        serve_with(|builder| builder.access_log(AccessLogFormat::Combined, file.clone()), answer);
    let mut client = server.client();
    client.ask("GET /?q=a HTTP/1.1\r\nHost: a\r\nUser-Agent: \"tést\"\r\n\r\n");
    client.ask("GET /stream HTTP/1.1\r\nHost: a\r\nReferer: http://b/\r\n\r\n");
    client.get("/chunks");
    client.get("/");
    client.send("HEAD / HTTP/1.0\r\n\r\n").receive_with(false);
    let mut client = server.client();
    client.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n").wait_for_end();
    let mut client = server.client();
    client.ask("nonsense\r\n\r\n");
    server.handle.shutdown();
    server.join();
    let text = String::from_utf8(file.0.lock().expect("no panic").clone()).expect("text");
    let lines: Vec<_> = text.lines().collect();
    let ends = [
        r#""GET /?q=a HTTP/1.1" 200 6 "-" "\"t\xc3\xa9st\"""#,
        // The count of bytes is that of the body, without the chunked framing.
        r#""GET /stream HTTP/1.1" 200 5 "http://b/" "-""#,
        r#""GET /chunks HTTP/1.1" 200 70602 "-" "-""#,
        r#""GET / HTTP/1.1" 200 6 "-" "-""#,
        r#""HEAD / HTTP/1.0" 200 0 "-" "-""#,
        r#""GET /cut HTTP/1.1" 200 5 "-" "-""#,
        r#""-" 400 "#,
    ];
    assert_eq!(lines.len(), ends.len(), "{text}");
    for (line, end) in lines.iter().zip(ends) {
        assert!(line.contains(end), "{line} has no {end}");
    }
    // The address has no port, because log tools count clients by this column.
    assert!(lines[0].starts_with("127.0.0.1 - - ["), "{text}");
}

#[test]
fn what_clients_send_does_not_forge_a_log_line() {
    let (sender, receiver) = mpsc::channel();
    let hooks = move |event: &Event<'_>| {
        if matches!(event, Event::HandlerPanicked { .. } | Event::ResponseFailed { .. }) {
            sender.send(event.to_string()).expect("the test listens");
        }
    };
    let server = serve_with(|builder| builder.observer(hooks), answer);
    let sent = "so\r\nNov 30 all is well\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{2028}\0 \u{e9} \\n";
    let escaped =
        "so\\r\\nNov 30 all is well\\u{1b}[2J\\u{7f}\\u{9b}\\u{202e}\\u{2028}\\0 \u{e9} \\\\n";
    for path in ["/echo-panic?\\n", "/echo-error?\\n"] {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", sent.len());
        server.client().send(head + sent).wait_for_end_or_answer();
        let line = receiver.recv().expect("an event");
        assert!(line.ends_with(escaped), "{line}");
        let path = path.replace('\\', "\\\\");
        assert!(line.contains(&format!("POST {path} ")), "{line}");
    }
}

#[test]
fn the_steps_of_a_connection_are_reported_in_order() {
    let (sender, receiver) = mpsc::channel();
    let server = serve_with(
        |builder| {
            builder.observer(move |event: &Event<'_>| {
                // The last of them come when the test no longer listens.
                let _ = sender.send(format!("{event}"));
            })
        },
        answer,
    );
    let mut client = server.client();
    let peer = client.stream.local_addr().expect("an address");
    assert_eq!(client.get("/panic?x").status, 500);
    client.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n").wait_for_end();
    drop(client);
    let next = || receiver.recv().expect("an event");
    assert!(next().starts_with("serving up to "));
    assert_eq!(next(), format!("{peer}: connected"));
    let panicked = next();
    let begin = format!("{peer}: the handler of GET /panic?x panicked at {}:", file!());
    assert!(panicked.starts_with(&begin) && panicked.ends_with(": as you wish"), "{panicked}");
    assert!(next().starts_with(&format!("{peer}: GET /panic?x: 500, panicked, 22 bytes in ")));
    assert_eq!(next(), format!("{peer}: GET /cut failed: no more"));
    assert!(next().starts_with(&format!("{peer}: GET /cut: 200, failed, ")));
    assert_eq!(next(), format!("{peer}: closed"));
    server.handle.shutdown();
    assert_eq!(next(), "shutdown: draining, requests in flight are finished");
    assert_eq!(next(), "shard 0 is drained, 0 connections are force-closed");
}

#[test]
fn the_list_of_fibers_shows_requests() {
    let (sender, receiver) = mpsc::channel();
    let server = serve(move |_: &mut Request| {
        sender.send(sched::current()).expect("the test listens");
        sched::park();
        "served"
    });
    let mut client = server.client();
    client.send("GET /report?of=today HTTP/1.1\r\nHost: a\r\n\r\n");
    let handler = receiver.recv().expect("the handler runs");
    // The handler sends its message before it waits, so it may not wait yet.
    let fiber = loop {
        let shards = server.handle.inspect(0, Duration::from_secs(10));
        let (_, fibers) = shards.into_iter().next().expect("a shard");
        let fibers = fibers.expect("the server answers");
        let mut ours = fibers.into_iter().filter(|fiber| fiber.label.is_some());
        if let Some(fiber) = ours.find(|fiber| matches!(fiber.state, FiberState::Waiting(_))) {
            break fiber;
        }
    };
    assert_eq!(fiber.label.as_deref(), Some("GET /report?of=today"));
    let text = fiber.to_string();
    assert!(text.contains("s old, at `GET /report?of=today`: waiting for"), "{text}");
    assert!(fiber.deadline_in.is_some_and(|left| left <= Duration::from_secs(60)));
    handler.unpark();
    assert_eq!(client.receive().text(), "served");
}

/// A log that cannot be written: the disk is full, or the reader of the pipe sleeps.
struct Useless(Option<mpsc::Receiver<()>>);

impl Write for Useless {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        match &self.0 {
            None => Err(io::ErrorKind::StorageFull.into()),
            Some(never) => never.recv().map(|()| 0).map_err(io::Error::other),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_log_that_cannot_be_written_is_counted_and_one_that_hangs_keeps_no_client() {
    let log =
        |file| move |builder: ServerBuilder| builder.access_log(AccessLogFormat::Common, file);
    let full = serve_with(log(Useless(None)), answer);
    for _ in 0..3 {
        assert_eq!(full.client().get("/").status, 200);
    }
    while full.handle.metrics().access_log_dropped < 3 {
        std::thread::yield_now();
    }
    full.handle.shutdown();
    full.join();

    let (keep, never) = mpsc::channel();
    let hanging = serve_with(log(Useless(Some(never))), answer);
    assert_eq!(hanging.client().get("/").status, 200);
    hanging.handle.shutdown();
    hanging.join(); // which takes two seconds
    drop(keep);
}

#[test]
fn an_access_log_that_is_not_read_is_bounded_in_bytes() {
    let (keep, never) = mpsc::channel();
    let server = serve_with(
        |builder| {
            let builder = builder.access_log(AccessLogFormat::Json, Useless(Some(never)));
            builder.access_log_bytes(64 * 1024)
        },
        |_: &mut Request| "served",
    );
    let agent = "x".repeat(7_000);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n");
    let mut client = server.client();
    for _ in 0..200 {
        assert_eq!(client.ask(&request).status, 200);
    }
    // At most 2 KiB of each user agent are logged, so 32 lines fit at most.
    while server.handle.metrics().access_log_dropped < 200 - 32 {
        std::thread::yield_now();
    }
    server.handle.shutdown();
    server.join(); // which takes two seconds
    drop(keep);
}

#[test]
fn a_hook_that_panics_spoils_only_its_own_notes() {
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    let server = serve_with(
        |builder| {
            builder.observer(|_: &Event<'_>| panic!("a hook's own trouble")).observer(
                move |event: &Event<'_>| {
                    if let Event::HandlerPanicked { message, .. } = event {
                        sender.lock().expect("no panic").send((*message).to_owned()).expect("read");
                    }
                },
            )
        },
        answer,
    );
    let mut client = server.client();
    for (path, status) in [("/", 200), ("/panic", 500), ("/", 200)] {
        assert_eq!(client.get(path).status, status);
    }
    assert_eq!(receiver.recv().expect("a word"), "as you wish");
}

#[test]
fn the_stacks_of_a_server_are_measured_if_it_is_told_so() {
    let sizes = |request: &mut Request| match request.path() {
        "/sizes" => {
            let usage = sched::stack_usage();
            usage.iter().map(|site| format!("{}\n", site.max_used_bytes)).collect::<String>()
        }
        _ => "served".to_owned(),
    };
    for is_measured in [false, true] {
        let server = serve_with(|builder| builder.workers(1).stack_usage(is_measured), sizes);
        let mut client = server.client();
        assert_eq!(client.get("/").text(), "served");
        // A stack is measured when its fiber gives it back.
        let listed = (0..100).any(|_| !client.get("/sizes").text().is_empty());
        assert_eq!(listed, is_measured);
    }
}
