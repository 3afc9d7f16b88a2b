//! The cost of a client is bounded, whatever it sends and however the limits are set: the work for
//! each byte, memory that runs out, the smallest and largest numbers, loops that ignore errors.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::own_process::in_a_process;
use crate::common::simulated::{Client, simulated};
use crate::common::{serve, serve_with};
use rustix::process::{Resource, Rlimit, setrlimit};
use straightline::net::TcpStream;
use straightline::net::sim::{Link, network};
use straightline::sched;
use straightline::sched::sim::Sim;
use straightline::{
    BodyError, Capacity, Limits, MinRate, OverloadPolicy, Request, Response, Server, Timeouts,
    Upgraded,
};

/// A chunked request with a head of `head_bytes` and chunks of `chunk_bytes`.
fn chunked(head_bytes: usize, chunk_bytes: usize, body_bytes: usize) -> Vec<u8> {
    let begin = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
    let mut request = begin.as_bytes().to_vec();
    // Field lines have at most 8 KiB and at least four bytes.
    while request.len() + 2 < head_bytes {
        let left = head_bytes - 2 - request.len();
        let line = if left <= 8_000 { left } else { left.min(8_000) - 10 };
        request.extend_from_slice(format!("x:{}\r\n", "y".repeat(line - 4)).as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    assert_eq!(request.len(), head_bytes);
    for _ in 0..body_bytes / chunk_bytes {
        request.extend_from_slice(format!("{chunk_bytes:x}\r\n").as_bytes());
        request.extend(std::iter::repeat_n(b'z', chunk_bytes));
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// For each request: how often the server reads from its socket, and the handler from the body.
fn reads_of(requests: Vec<Vec<u8>>, segment_bytes: usize) -> Vec<(usize, usize)> {
    let reads = Rc::new(Cell::new(0));
    let counted = Rc::clone(&reads);
    // The trace has a line for each read of a socket. Those of the server begin with 10.0.0.1.
    let trace = move |line: &str| {
        let is_servers = line.contains("tcp 10.0.0.1:80 > ");
        counted.set(counted.get() + usize::from(is_servers && line.contains("reads ")));
    };
    let handler = |request: &mut Request| {
        let (mut piece, mut calls) = (vec![0; 64 * 1024], 0);
        while request.body().read(&mut piece).expect("a body") > 0 {
            calls += 1;
        }
        calls.to_string()
    };
    let counts = Rc::new(RefCell::new(Vec::new()));
    let (noted, requests) = (Rc::clone(&counts), RefCell::new(requests));
    let simulation = Sim::new(7).trace(trace).run(move || {
        let sizes = segment_bytes..=segment_bytes;
        network().set_link(Link::default().with_segment_bytes(sizes));
        let server = Server::builder().bind("10.0.0.1:80").workers(1).build(handler).expect("ok");
        let handle = server.handle();
        let serving = sched::spawn(|| server.run());
        let mut client = Client::connect("10.0.0.1:80".parse().expect("an address"));
        for request in requests.take() {
            reads.set(0);
            client.stream.write_all(&request).expect("the server reads");
            let answer = client.receive();
            let (_, calls) = answer.split_once("\r\n\r\n").expect("a head");
            noted.borrow_mut().push((reads.get(), calls.parse().expect("a number")));
        }
        drop(client);
        handle.shutdown();
        serving.join().expect("no panic").expect("the server ends well");
    });
    simulation.expect("the simulation ends");
    counts.take()
}

#[test]
fn no_shape_of_a_chunked_body_makes_a_server_read_in_small_pieces() {
    let near = |end: usize| (0..12).map(move |less| end - less);
    let head_sizes: Vec<usize> =
        [100, 1_000, 4_000, 7_000].into_iter().chain(near(8_192)).chain(near(16_384)).collect();
    for segment_bytes in [1_448, 16 * 1024] {
        for chunk_bytes in [1, 2, 15, 100, 1_000, 4_090, 8_190] {
            let body_bytes = 16 * 1024;
            let requests: Vec<_> =
                head_sizes.iter().map(|&head| chunked(head, chunk_bytes, body_bytes)).collect();
            let lengths: Vec<_> = requests.iter().map(Vec::len).collect();
            let counts = reads_of(requests, segment_bytes);
            for ((reads, calls), (head, length)) in
                counts.into_iter().zip(head_sizes.iter().zip(lengths))
            {
                let shape = format!("head {head}, chunks {chunk_bytes}, pieces {segment_bytes}");
                // On average, a read takes at least a kilobyte of what has arrived.
                let most = length / 1_024 + length / segment_bytes + 10;
                assert!(reads <= most, "{shape}: {reads} reads of {length} bytes");
                assert!(reads > 0, "{shape}: nothing was counted");
                assert!(calls <= most, "{shape}: {calls} calls for {body_bytes} bytes");
            }
        }
    }
}

/// The smallest and the largest values of a limit.
const ENDS: [usize; 3] = [0, 1, usize::MAX];

#[test]
fn every_limit_may_be_set_to_anything() {
    let set: [fn(&mut Limits, usize); 8] = [
        |limits, value| limits.request_line_bytes = value,
        |limits, value| limits.field_line_bytes = value,
        |limits, value| limits.head_bytes = value,
        |limits, value| limits.fields = value,
        |limits, value| limits.body_bytes = value as u64,
        |limits, value| limits.chunk_extension_bytes = value,
        |limits, value| limits.trailer_bytes = value,
        |limits, value| limits.requests = value as u64,
    ];
    let all = |value| {
        let mut limits = Limits::default();
        set.iter().for_each(|set| set(&mut limits, value));
        limits
    };
    let mut settings: Vec<Limits> = ENDS.into_iter().map(all).collect();
    for set in set {
        for value in ENDS {
            let mut limits = Limits::default();
            set(&mut limits, value);
            settings.push(limits);
        }
    }
    for limits in settings {
        let is_open = limits == all(usize::MAX);
        let (text, limits) = (format!("{limits:?}"), limits);
        let counters = simulated(
            move |builder| builder.limits(limits),
            || {
                |request: &mut Request| {
                    let body = request.body().read_to_vec(u64::MAX)?;
                    Ok::<_, BodyError>(format!("{}", body.len()))
                }
            },
            move |address| {
                let field = "x".repeat(8_100);
                let trailer = "0\r\nTrailer-1: yes\r\n\r\n";
                for (head, body, length) in [
                    ("", String::new(), 0),
                    ("Content-Length: 5\r\n", "hello".to_owned(), 5),
                    ("Transfer-Encoding: chunked\r\n", format!("5;a=b\r\nhello\r\n{trailer}"), 5),
                    (
                        &*format!("X: {field}\r\nTransfer-Encoding: chunked\r\n"),
                        {
                            let chunk = format!("fff\r\n{}\r\n", "y".repeat(0xfff));
                            chunk.repeat(20) + trailer
                        },
                        20 * 0xfff,
                    ),
                ] {
                    let mut client = Client::connect(address);
                    let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n{body}");
                    // The server may refuse the request and close before all of it is sent.
                    let _ = client.stream.write_all(request.as_bytes());
                    let _ = client.stream.shutdown(Shutdown::Write);
                    let mut answer = Vec::new();
                    let _ = client.stream.read_to_end(&mut answer);
                    let answer = String::from_utf8(answer).expect("text");
                    assert!(answer.starts_with("HTTP/1.1 ") || answer.is_empty(), "{answer}");
                    if is_open {
                        assert!(answer.ends_with(&format!("\r\n{length}")), "{answer}");
                    }
                }
            },
        );
        assert_eq!(counters.panicked, 0, "{text}");
    }
}

#[test]
fn every_number_of_a_server_may_be_set_to_anything() {
    for value in ENDS {
        for time in [Duration::ZERO, Duration::MAX] {
            for overload_policy in [OverloadPolicy::Reject, OverloadPolicy::Queue] {
                let pace = MinRate::default()
                    .with_idle(time)
                    .with_bytes_per_second(value as u64)
                    .with_grace(time);
                let timeouts = Timeouts::default()
                    .with_head(time)
                    .with_idle(time)
                    .with_handler(time)
                    .with_body(pace)
                    .with_write(pace);
                let capacity = Capacity::default()
                    .with_connections(value.max(1))
                    .with_connections_per_peer(value)
                    .with_in_flight(value)
                    .with_memory_bytes(value as u64)
                    .with_overload_policy(overload_policy)
                    .with_retry_after(time);
                let counters = simulated(
                    move |builder| {
                        let builder = builder.timeouts(timeouts).capacity(capacity);
                        builder.ready_delay(time.min(Duration::from_secs(9)))
                    },
                    || |request: &mut Request| request.body().read_to_vec(u64::MAX),
                    |address| {
                        let Ok(mut stream) = TcpStream::connect(address) else { return };
                        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
                        let _ = stream.write_all(head.as_bytes());
                        sched::sleep(Duration::from_secs(1));
                        let _ = stream.write_all(b"hello");
                        let _ = stream.shutdown(Shutdown::Write);
                        sched::sleep(Duration::from_secs(1));
                    },
                );
                assert_eq!(counters.panicked, 0, "{capacity:?} {timeouts:?}");
            }
        }
    }
}

/// More calls than a loop makes before it is ended, but few enough for a test that fails.
const CALLS: u64 = 10_000_000;

/// Calls `act` so often, ignores its results, and counts the calls in `made`.
fn heedlessly<T>(made: &AtomicU64, mut act: impl FnMut() -> T) {
    for _ in 0..CALLS {
        made.fetch_add(1, Ordering::Relaxed);
        let _ = act();
    }
}

/// As [`every_number_of_a_server_may_be_set_to_anything`], but with bad code in the place of bad
/// numbers.
#[test]
fn a_loop_that_does_not_look_at_its_errors_is_ended() {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let handler = |request: &mut Request| match request.path() {
        "/read" => {
            let mut piece = [0; 100];
            heedlessly(&MADE, || request.body().read(&mut piece).is_err_and(|_| true));
            Response::new(straightline::StatusCode::OK)
        }
        "/write" => Response::stream(|_, body| {
            let piece = vec![b'x'; 100_000];
            heedlessly(&MADE, || body.write_all(&piece));
            Ok(())
        }),
        "/flush" => Response::stream(|_, body| {
            heedlessly(&MADE, || body.write_all(b"x").and_then(|()| body.flush()));
            Ok(())
        }),
        "/too-long" => Response::stream(|_, body| {
            heedlessly(&MADE, || body.write_all(b"more than that"));
            Ok(())
        })
        .content_length(3),
        "/up" => Response::upgrade("x", |mut client: Upgraded| {
            let piece = vec![b'x'; 100_000];
            heedlessly(&MADE, || client.write_all(&piece));
            Ok(())
        }),
        _ => straightline::IntoResponse::into_response("served"),
    };
    let server = serve(handler);
    let requests = [
        "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n!",
        "GET /write HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /flush HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /too-long HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ];
    for (done, request) in requests.into_iter().enumerate() {
        let mut client = server.client();
        client.send(request);
        if request.contains("/read") || request.contains("/too-long") {
            client.wait_for_end_or_answer();
        }
        drop(client);
        // The same thread serves other clients meanwhile.
        let begun = Instant::now();
        while server.handle.counters().cancelled <= done as u64 {
            assert_eq!(server.client().get("/").text(), "served");
            assert!(begun.elapsed() < Duration::from_secs(60), "the loop goes on: {request}");
        }
        let made = MADE.swap(0, Ordering::Relaxed);
        assert!((1_000..CALLS / 2).contains(&made), "{made} calls: {request}");
    }
    let counters = server.handle.counters();
    assert_eq!((counters.panicked, counters.cancelled), (0, requests.len() as u64));
}

/// How much memory the process may allocate in addition to that at its start.
const MEMORY: u64 = 200 << 20;

/// After at most so many pieces of a client, this memory is used up.
const PIECES: usize = 512;

#[test]
#[cfg(target_os = "linux")]
fn a_request_that_there_is_no_memory_for_is_a_503_and_no_end_of_the_process() {
    in_a_process(|| {
        let limits = Limits::default()
            .with_request_line_bytes(usize::MAX)
            .with_field_line_bytes(usize::MAX)
            .with_head_bytes(usize::MAX)
            .with_body_bytes(u64::MAX);
        let handler = |request: &mut Request| match request.path() {
            "/lines" => request.body().lines(usize::MAX).map(|line| line.map(|_| "")).collect(),
            _ => request.body().read_to_vec(u64::MAX).map(|_| "read".to_owned()),
        };
        let server = serve_with(|builder| builder.limits(limits), handler);
        assert_eq!(server.client().get("/").text(), "read");
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("a size");
        let kilobytes = size.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
        let most = Some(kilobytes * 1024 + MEMORY);
        setrlimit(Resource::As, Rlimit { current: most, maximum: most }).expect("a limit");
        let piece = vec![b'x'; 1 << 20];
        for begin in [
            "GET / HTTP/1.1\r\nHost: a\r\nX: ",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n",
            "POST /lines HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n",
        ] {
            let mut client = server.client();
            client.send(begin);
            let sent = (0..PIECES).take_while(|_| client.stream.write_all(&piece).is_ok()).count();
            assert!(sent < PIECES, "{begin}");
            // The client may lose the answer: its later bytes cause a reset.
            client.wait_for_end();
            assert_eq!(server.client().get("/").text(), "read");
        }
        let counters = server.handle.counters();
        assert_eq!((counters.panicked, counters.responses[4]), (0, 3), "{counters:?}");
    });
}
