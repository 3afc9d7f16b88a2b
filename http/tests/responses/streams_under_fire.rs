//! Streams in difficult cases: several fibers use one connection, clients wait for `100 Continue`,
//! deadlines pass in the middle of a write.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::{serve, serve_with};
use straightline::sched::sync::Flag;
use straightline::sched::{self, fiber_local};
use straightline::{
    BodyWriter, IntoResponse, OnDisconnect, Request, Response, StatusCode, Timeouts,
};

pub(super) fn post(path: &str, fields: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

/// Waits until a counter that the server raises is no longer 0.
fn wait_for(counter: &AtomicU64) {
    while counter.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn one_fiber_reads_the_request_while_another_writes_the_response() {
    let server = serve(|_: &mut Request| {
        Response::stream(|request, body| {
            sched::scope(|scope| {
                let writer = scope.spawn(|| body.write_all(&vec![b'x'; 20_000_000]));
                let mut byte = [0];
                while request.body().read(&mut byte)? > 0 {}
                writer.join().expect("no panic")
            })
        })
    });
    let mut client = server.client();
    client.send(post("/", "Content-Length: 5") + "he");
    // The client does not read the response yet, so the writer is in the middle of it.
    assert_eq!(client.receive_with(false).status, 200);
    client.send("l").send("l").send("o");
    let (Ok(body), _) = client.chunks() else { panic!("the body is cut") };
    assert_eq!(body.len(), 20_000_000);
    assert_eq!(server.handle.counters().panicked, 0);
}

#[test]
fn a_handlers_own_hook_does_not_keep_its_words_back() {
    let event = Arc::new(Flag::new());
    let has_come = Arc::clone(&event);
    let server = serve(move |_: &mut Request| {
        let has_come = Arc::clone(&has_come);
        Response::stream(move |_, body| {
            let _own = sched::before_park(Rc::new(|| {}));
            body.write_all(b"first")?;
            has_come.wait()?;
            body.write_all(b"last")
        })
    });
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.receive_with(false).status, 200);
    assert_eq!(client.exactly(10), b"5\r\nfirst\r\n");
    event.set();
    assert_eq!(client.chunks().0.expect("the body is whole"), b"last");
}

#[test]
fn one_fiber_writes_while_another_waits_for_the_same_client() {
    let server = serve(|request: &mut Request| {
        if request.path() == "/other" {
            return "".into_response();
        }
        Response::stream(|request, body| {
            // More bytes than the kernel takes. Most of them are sent when the parent waits.
            for _ in 0..20_000 {
                body.write_all(&[b'x'; 1_000])?;
                sched::scope(|scope| {
                    let writer = scope.spawn(|| body.write_all(b"y"));
                    while request.body().read(&mut [0; 10])? > 0 {}
                    writer.join().expect("no panic")
                })?;
            }
            Ok(())
        })
    });
    let mut client = server.client();
    client.send(post("/", "Content-Length: 5"));
    assert_eq!(client.receive_with(false).status, 200);
    client.send("hello");
    // Each of these requests gives the two fibers a turn.
    let mut other = server.client();
    for _ in 0..1_000 {
        other.get("/other");
    }
    let (Ok(body), _) = client.chunks() else { panic!("the body is cut") };
    assert!(body.chunks(1_001).all(|piece| piece.ends_with(b"xy")));
    assert_eq!(body.len(), 20_000 * 1_001);
    assert_eq!(server.handle.counters().panicked, 0);
}

#[test]
fn what_a_child_has_written_leaves_when_its_parent_waits() {
    let (go, wait) = sched::sync::mpsc::channel::<()>(1);
    let wait = Arc::new(Mutex::new(Some(wait)));
    let server = serve(move |_: &mut Request| {
        let wait = wait.lock().expect("no panic").take().expect("one request");
        Response::stream(move |_, body| {
            for word in ["one", "two"] {
                sched::scope(|scope| {
                    scope.spawn(|| body.write_all(word.as_bytes())).join().expect("no panic")
                })?;
                let _ = wait.recv();
            }
            Ok(())
        })
    });
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.receive_with(false).status, 200);
    for word in ["one", "two"] {
        assert_eq!(client.exactly(8), format!("3\r\n{word}\r\n").as_bytes());
        go.send(()).expect("the handler waits");
    }
    assert_eq!(client.exactly(5), b"0\r\n\r\n");
}

#[test]
fn a_client_that_says_expect_and_does_not_wait_is_echoed() {
    let server = serve(|_: &mut Request| {
        Response::stream(|request, body| {
            if request.path() == "/flush" {
                body.flush()?;
            }
            request.body().copy_to(body).map(drop)
        })
    });
    let mut client = server.client();
    for path in ["/", "/", "/flush"] {
        client.send(post(path, "Expect: 100-continue\r\nContent-Length: 10") + "01234");
        assert_eq!(client.receive_with(false).status, 200);
        assert_eq!(client.exactly(10), b"5\r\n01234\r\n");
        client.send("56789");
        let (Ok(rest), _) = client.chunks() else { panic!("the body is cut") };
        assert_eq!(rest, b"56789");
    }
}

#[test]
fn small_streams_that_are_pipelined_do_not_pile_up() {
    const STREAMS: u64 = 100;
    let server = serve(|request: &mut Request| {
        if request.path() == "/written" {
            return request.server().counters().bytes_written.to_string().into_response();
        }
        Response::stream(|_, body| body.write_all(&[0; 15_000]))
    });
    let mut client = server.client();
    let mut requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    requests += "GET /written HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(requests);
    for _ in 0..STREAMS {
        assert_eq!(client.receive().body.len(), 15_000);
    }
    let written: u64 = client.receive().text().parse().expect("a number");
    assert!(written > STREAMS * 15_000 - 64 * 1024, "{written} of them have left");
}

#[test]
fn a_line_that_a_deadline_cuts_in_two_is_whole_all_the_same() {
    static LATE: AtomicU64 = AtomicU64::new(0);
    let server = serve(|request: &mut Request| {
        let mut lines = request.body().lines(10_000);
        let mut text = String::new();
        loop {
            match sched::deadline(Duration::from_millis(10), || lines.next()) {
                Ok(None) => return text,
                Ok(Some(line)) => text += &line.map_or_else(|error| error.to_string(), |l| l + "|"),
                Err(_) => _ = LATE.fetch_add(1, Ordering::Relaxed),
            }
        }
    });
    let mut client = server.client();
    client.send(post("/", "Content-Length: 10") + "he");
    wait_for(&LATE);
    assert_eq!(client.ask("llo\nyou\n").text(), "hello|you|");
}

/// Writes numbered pieces. A piece whose deadline passes is written again until a write succeeds.
fn patient_pieces(body: &mut BodyWriter, late: &AtomicU64) -> io::Result<()> {
    for number in 0..PIECES {
        let piece = number.to_be_bytes().repeat(250);
        let write = || sched::deadline(Duration::from_millis(10), || body.write_all(&piece));
        let mut write = write;
        loop {
            match write() {
                Ok(written) => break written?,
                Err(_) => _ = late.fetch_add(1, Ordering::Relaxed),
            }
        }
    }
    Ok(())
}

/// So many pieces have more bytes than the kernel buffers.
const PIECES: u32 = 20_000;

#[test]
fn a_small_piece_whose_deadline_passes_was_not_written() {
    static LATE: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
    let server = serve(|request: &mut Request| match request.path() {
        "/sized" => Response::stream(|_, body| patient_pieces(body, &LATE[0]))
            .content_length(u64::from(PIECES) * 1_000),
        _ => Response::stream(|_, body| patient_pieces(body, &LATE[1])),
    });
    for (path, late) in [("/sized", &LATE[0]), ("/chunked", &LATE[1])] {
        let mut client = server.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        wait_for(late);
        let body = client.receive().body;
        let numbers = body.chunks(4).map(|bytes| bytes.try_into().map_or(0, u32::from_be_bytes));
        assert!(numbers.eq((0..PIECES).flat_map(|number| [number; 250])), "{path}");
    }
}

/// Writes bytes that count up. The seed chooses among all ways to write, with waits and deadlines
/// in between.
fn at_random(mut seed: u64, request: &mut Request, body: &mut BodyWriter) -> io::Result<()> {
    let mut next = move |below: usize| {
        // Knuth's generator; its upper bits are good enough.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).expect("31 bits") % below
    };
    let bytes = counted(RANDOM_BYTES);
    let (mut at, soon) = (0, Duration::from_millis(1));
    while at < bytes.len() {
        let small = &bytes[at..bytes.len().min(at + 1 + next(3_000))];
        let large = &bytes[at..bytes.len().min(at + 1 + next(100_000))];
        match next(8) {
            0 | 1 => at += body.write(small)?,
            2 => at += body.write(large)?,
            3 => at += sched::deadline(soon, || body.write(small)).unwrap_or(Ok(0))?,
            4 => sched::deadline(soon, || body.flush()).unwrap_or(Ok(()))?,
            5 => _ = sched::deadline(soon, sched::yield_now),
            6 => _ = sched::deadline(soon, || request.body().read(&mut [0; 100])),
            _ => sched::scope(|scope| {
                let writer = scope.spawn(|| body.write_all(small));
                let _ = sched::deadline(soon, || request.body().read(&mut [0; 100]));
                at += small.len();
                writer.join().expect("no panic")
            })?,
        }
    }
    Ok(())
}

fn counted(bytes: usize) -> Vec<u8> {
    (0..=250).cycle().take(bytes).collect()
}

const RANDOM_BYTES: usize = 8_000_000;

#[test]
fn whatever_a_writer_does_its_bytes_come_in_order() {
    let server = serve(|request: &mut Request| {
        let Ok(seed) = request.path()[1..].parse() else { return "".into_response() };
        let response = Response::stream(move |request, body| at_random(seed, request, body));
        match request.query() {
            Some("sized") => response.content_length(RANDOM_BYTES as u64),
            _ => response,
        }
    });
    for seed in 0..9 {
        let (query, version) = [("", "1.1"), ("?sized", "1.1"), ("", "1.0")][seed % 3];
        let mut client = server.client();
        client.send(format!(
            "POST /{seed}{query} HTTP/{version}\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
        ));
        client.send(vec![0; 50_000]);
        // The client begins to read late: each of these requests gives the writer a turn.
        for _ in 0..100 {
            server.client().get("/");
        }
        let mut body = client.receive().body;
        body.extend(if version == "1.0" { client.rest() } else { Vec::new() });
        assert!(body == counted(RANDOM_BYTES), "seed {seed}: {} bytes", body.len());
    }
}

#[test]
fn a_stream_that_never_stands_still_ends_when_its_client_does() {
    let server = serve_with(
        |builder| builder.on_disconnect(OnDisconnect::Cancel),
        |_: &mut Request| {
            Response::stream(|_, body| {
                sched::scope(|scope| {
                    let writer = scope.spawn(|| {
                        // The loop is bounded, so that a failing test ends.
                        for _ in 0..100_000 {
                            body.write_all(b"x")?;
                            sched::yield_now();
                        }
                        Ok(())
                    });
                    writer.join().expect("no panic")
                })
            })
        },
    );
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.receive_with(false).status, 200);
    // The client reads on, so that only the end of its side can end the stream.
    client.finish();
    let (Err(_), _) = client.chunks() else { panic!("the body looks complete") };
    assert_eq!(server.handle.counters().cancelled, 1);
}

#[test]
fn a_writer_that_waits_for_its_client_is_in_time_whatever_its_parent_does() {
    let handler = Duration::from_millis(300);
    let server = serve_with(
        |builder| builder.timeouts(Timeouts::default().with_handler(handler)),
        |_: &mut Request| {
            Response::stream(|request, body| {
                sched::scope(|scope| {
                    let writer = scope.spawn(|| body.write_all(&vec![b'x'; 20_000_000]));
                    while request.body().read(&mut [0; 10])? > 0 {}
                    writer.join().expect("no panic")
                })
            })
        },
    );
    let mut client = server.client();
    client.send(post("/", "Content-Length: 5"));
    assert_eq!(client.receive_with(false).status, 200);
    client.send("hello");
    // Wait long enough for the timeout that must not expire.
    let until = Instant::now() + 3 * handler;
    while Instant::now() < until && server.handle.counters().cancelled == 0 {
        std::thread::yield_now();
    }
    let (Ok(body), _) = client.chunks() else { panic!("the body is cut") };
    assert_eq!(body.len(), 20_000_000);
}

fiber_local! {
    static USER: RefCell<String> = RefCell::new(String::from("none"));
}

#[test]
fn what_belongs_to_a_request_is_not_there_for_the_next_one() {
    let server = serve(|request: &mut Request| {
        let user = request.path()[1..].to_owned();
        let former = USER.with(|name| name.replace(user));
        match request.query() {
            Some("stream") => Response::stream(move |_, body| {
                let user = USER.with(|name| name.borrow().clone());
                write!(body, "{former}, {user}")
            }),
            Some("panic") => panic!("on purpose"),
            Some(_) => StatusCode::NOT_FOUND.into_response(),
            None => former.into_response(),
        }
    });
    let mut client = server.client();
    assert_eq!(client.get("/ann").text(), "none");
    assert_eq!(client.get("/bob?stream").text(), "none, bob");
    assert_eq!(client.get("/eve?panic").status, 500);
    assert_eq!(client.get("/bob").text(), "none");
}

/// Raises the counter when it is dropped.
struct Counted(Arc<AtomicU64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fiber_local! {
    static SESSION: RefCell<Option<Counted>> = RefCell::new(None);
}

#[test]
fn what_belongs_to_a_request_belongs_to_its_protocol_too() {
    let drops = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&drops);
    let server = serve(move |request: &mut Request| {
        USER.with(|name| name.replace(request.path()[1..].to_owned()));
        SESSION.with(|session| session.replace(Some(Counted(Arc::clone(&counted)))));
        let drops = Arc::clone(&counted);
        Response::upgrade("name", move |mut client| {
            let user = USER.with(|name| name.borrow().clone());
            write!(client, "{user}, {} drops", drops.load(Ordering::SeqCst))
        })
    });
    let mut client = server.client();
    client.send("GET /ann HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: name\r\n\r\n");
    assert_eq!(client.receive_with(false).status, 101);
    assert_eq!(client.rest(), b"ann, 0 drops");
    drop(client);
    drop(server); // waits for the connection
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}
