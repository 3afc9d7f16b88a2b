//! Responses that are written piece by piece: the framing fits the version, a slow client slows the
//! writer down, and an incomplete response never looks complete.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{env, process};

use crate::common::{Answer, serve, serve_with};
use straightline::sched;
use straightline::{
    BodyError, BodyWriter, Event, HeaderName, IntoResponse, Method, Observer, Peer, Request,
    Response, StatusCode,
};

fn get(path: &str, version: &str) -> String {
    format!("GET {path} HTTP/{version}\r\nHost: a\r\n\r\n")
}

fn post(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..=250).cycle().take(bytes).collect()
}

/// A body whose length is the path, in pieces whose length is the query.
fn pieces(request: &mut Request) -> Response {
    let bytes: usize = request.path()[1..].parse().expect("a number");
    let piece: usize = request.query().expect("a query").parse().expect("a number");
    Response::stream(move |_, body| {
        pattern(bytes).chunks(piece).try_for_each(|piece| body.write_all(piece))
    })
}

#[test]
fn a_stream_is_chunked_and_the_connection_goes_on() {
    let server = serve(pieces);
    let mut client = server.client();
    for (bytes, piece) in [
        (0, 1),
        (1, 1),
        (100, 7),
        (16 * 1024, 1),
        (20_000, 16 * 1024 - 1),
        (100_000, 16 * 1024),
        (3_000_000, 70_000),
        (3_000_000, 3_000_000),
    ] {
        let answer = client.get(&format!("/{bytes}?{piece}"));
        assert_eq!(answer.field("content-length"), None);
        assert_eq!(answer.field("connection"), None);
        assert!(answer.body == pattern(bytes), "{bytes} in {piece}");
    }
    assert_eq!(server.handle.counters().accepted, 1);
}

#[test]
fn a_stream_ends_with_the_connection_for_an_old_client() {
    let server = serve(pieces);
    for (bytes, piece) in [(0, 1), (100, 7), (100_000, 20_000)] {
        let mut client = server.client();
        let path = format!("/{bytes}?{piece}");
        client.send(format!("GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        let answer = client.receive();
        assert_eq!(answer.field("transfer-encoding"), None);
        assert_eq!(answer.field("connection"), Some("close"));
        assert!(client.rest() == pattern(bytes));
    }
}

#[test]
fn a_stream_of_announced_length_is_sent_as_such() {
    let server = serve(|request: &mut Request| {
        let bytes = request.path()[1..].parse().expect("a number");
        Response::reader(io::repeat(b'x').take(bytes)).content_length(bytes)
    });
    let mut client = server.client();
    for bytes in [0, 5, 100_000, 1_000_000] {
        let answer = client.ask(get(&format!("/{bytes}"), "1.1"));
        assert_eq!(answer.field("transfer-encoding"), None);
        assert!(answer.body == vec![b'x'; bytes]);
    }
    let head = "GET /10 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let answer = client.ask(head);
    assert_eq!((answer.text(), answer.field("connection")), ("xxxxxxxxxx", Some("keep-alive")));
    assert_eq!(server.handle.counters().accepted, 1);
}

#[test]
fn trailers_follow_a_chunked_body_and_only_that() {
    let server = serve(|request: &mut Request| {
        let write = |_: &mut Request, body: &mut BodyWriter| {
            body.trailer(HeaderName::from_static("checksum"), "1")?;
            body.write_all(b"text")?;
            body.trailer(HeaderName::from_static("other"), "2")
        };
        match request.path() {
            "/" => Response::stream(write),
            _ => Response::stream(write).content_length(4),
        }
    });
    let mut client = server.client();
    let answer = client.get("/");
    assert_eq!((answer.text(), &*answer.trailers), ("text", "checksum: 1\nother: 2\n"));
    assert_eq!(client.get("/sized").text(), "text");
    assert_eq!(client.get("/").text(), "text");
    let mut client = server.client();
    assert_eq!(client.ask(get("/", "1.0")).status, 200);
    assert_eq!(client.rest(), b"text");
}

#[test]
fn a_trailer_that_belongs_into_the_head_is_refused_and_nothing_else() {
    let server = serve(|_: &mut Request| {
        Response::stream(|_, body| {
            body.write_all(b"text")?;
            for name in ["content-length", "transfer-encoding", "host", "connection", "set-cookie"]
            {
                let name = HeaderName::from_static(name);
                let error = body.trailer(name, "1").expect_err("it belongs in the head");
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
            }
            let sum = HeaderName::from_static("sum");
            let error = body.trailer(sum.clone(), "1\r\nx: y").expect_err("no value");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            body.trailer(sum, "1")
        })
    });
    let answer = server.client().get("/");
    assert_eq!((answer.text(), &*answer.trailers), ("text", "sum: 1\n"));
    assert_eq!(server.handle.counters().panicked, 0);
}

/// The head without its `Date`, so that two heads can be compared.
fn without_date(answer: &Answer) -> String {
    answer.head.lines().filter(|line| !line.starts_with("Date")).collect()
}

#[test]
fn a_head_request_gets_the_head_of_a_get_and_calls_no_writer() {
    let server = serve(|request: &mut Request| {
        let is_get = request.method() == Method::GET;
        let write = move |_: &mut Request, body: &mut BodyWriter| {
            assert!(is_get, "a body for a HEAD");
            body.write_all(b"12345")
        };
        match request.path() {
            "/chunked" => Response::stream(write),
            "/sized" => Response::stream(write).content_length(5),
            "/file" => {
                let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
                Response::file(file.expect("this package's")).expect("a file")
            }
            _ => "12345".into_response(),
        }
    });
    let mut client = server.client();
    for path in ["/chunked", "/sized", "/file", "/memory"] {
        let full = client.get(path);
        let bare = client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let bare = bare.receive_with(false);
        assert_eq!(without_date(&full), without_date(&bare));
    }
    assert_eq!(server.handle.counters().panicked, 0);
}

#[test]
fn statuses_without_a_body_have_none() {
    let server = serve(|request: &mut Request| {
        let status = request.path()[1..].parse::<u16>().expect("a number");
        let status = StatusCode::from_u16(status).expect("a status");
        match request.query() {
            Some("stream") => (status, Response::stream(|_, _| panic!("no body is asked for"))),
            Some("text") => (status, "12345".into_response()),
            _ => (status, Response::new(status)),
        }
    });
    let mut client = server.client();
    for (path, length, coding) in [
        ("/204", None, None),
        ("/204?text", None, None),
        ("/204?stream", None, None),
        ("/205", Some("0"), None),
        ("/205?text", Some("0"), None),
        ("/304", None, None),
        ("/304?text", Some("5"), None),
        ("/304?stream", None, Some("chunked")),
    ] {
        let answer = client.send(get(path, "1.1")).receive_with(false);
        assert_eq!(answer.field("content-length"), length, "{path}");
        assert_eq!(answer.field("transfer-encoding"), coding, "{path}");
    }
    assert_eq!(client.get("/200?text").text(), "12345");
}

#[test]
fn a_body_is_sent_back_while_it_comes() {
    let server = serve(|_: &mut Request| {
        Response::stream(|request, body| request.body().copy_to(body).map(drop))
    });
    let mut client = server.client();
    let body = "0123456789".repeat(10_000);
    assert_eq!(client.ask(post(&body)).text(), body);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head);
    for word in ["one", "two", "three"] {
        client.send(format!("{:x}\r\n{word}\r\n", word.len()));
    }
    assert_eq!(client.send("0\r\n\r\n").receive().text(), "onetwothree");
    // The server sends a piece back before the client sends the next one.
    client.send(head).send("5\r\nhello\r\n");
    let answer = client.receive_with(false);
    assert_eq!(answer.status, 200);
    assert_eq!(client.exactly(10), b"5\r\nhello\r\n");
    client.send("0\r\n\r\n");
    assert_eq!(client.exactly(5), b"0\r\n\r\n");
    assert_eq!(client.ask(post("")).text(), "");
}

#[test]
fn what_is_written_leaves_when_the_writer_waits() {
    let (go, wait) = sched::sync::mpsc::channel::<()>(1);
    let wait = Arc::new(sched::sync::Mutex::new(wait));
    let server = serve(move |_: &mut Request| {
        let wait = Arc::clone(&wait);
        Response::stream(move |_, body| {
            for event in 0..3 {
                // This also holds if an earlier wait had nothing to write.
                sched::yield_now();
                sched::yield_now();
                writeln!(body, "event {event}")?;
                let _ = wait.lock().expect("not unwinding").recv();
            }
            Ok(())
        })
    });
    let mut client = server.client();
    client.send(get("/", "1.1"));
    assert_eq!(client.receive_with(false).status, 200);
    for event in 0..3 {
        assert_eq!(client.exactly(13), format!("8\r\nevent {event}\n\r\n").as_bytes());
        go.send(()).expect("the handler waits");
    }
    assert_eq!(client.exactly(5), b"0\r\n\r\n");
}

#[test]
fn pipelined_streams_leave_together() {
    let server = serve(|_: &mut Request| Response::stream(|_, body| body.write_all(b"x")));
    let mut client = server.client();
    client.send(get("/", "1.1").repeat(100));
    for _ in 0..100 {
        assert_eq!(client.receive().text(), "x");
    }
}

/// Sends the error of each response that fails.
struct Failed(mpsc::Sender<String>);

impl Observer for Failed {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::ResponseFailed { peer, error, .. } = event {
            assert!(matches!(peer, Peer::Tcp(_)));
            let _ = self.0.send(error.to_string());
        }
    }
}

#[test]
fn a_stream_that_fails_at_once_becomes_an_error() {
    let (sender, receiver) = mpsc::channel();
    let server = serve_with(
        |builder| builder.observer(Failed(sender)),
        |request: &mut Request| {
            let path = request.path().to_owned();
            Response::stream(move |_, body| {
                body.write_all(b"a beginning")?;
                match &*path {
                    "/error" => Err(io::Error::other("the upstream is gone")),
                    "/panic" => panic!("on purpose"),
                    "/short" => Ok(()),
                    _ => body.write_all(b"and too much"),
                }
            })
            .content_length(12)
        },
    );
    for path in ["/error", "/panic", "/short", "/long"] {
        let mut client = server.client();
        let answer = client.get(path);
        assert_eq!((answer.status, answer.field("connection")), (500, Some("close")), "{path}");
        assert_eq!(answer.text(), "Internal Server Error\n");
        assert!(client.is_at_end());
    }
    let counters = server.handle.counters();
    assert_eq!((counters.failed_responses, counters.panicked), (3, 1));
    assert_eq!(
        receiver.try_iter().collect::<Vec<_>>(),
        [
            "the upstream is gone",
            "1 bytes fewer than were announced",
            "more bytes than were announced"
        ]
    );
}

#[test]
fn a_stream_that_fails_half_way_ends_without_its_last_chunk() {
    let server = serve(|request: &mut Request| {
        let path = request.path().to_owned();
        let response = Response::stream(move |_, body| {
            body.write_all(&pattern(50_000))?;
            body.write_all(b"the last words")?;
            match &*path {
                "/panic" => panic!("on purpose"),
                _ => Err(io::Error::other("the upstream is gone")),
            }
        });
        if request.query().is_some() { response.content_length(1 << 20) } else { response }
    });
    for path in ["/error", "/panic"] {
        let mut client = server.client();
        client.send(get(path, "1.1"));
        assert_eq!(client.receive_with(false).status, 200);
        let (Err(body), _) = client.chunks() else { panic!("the body looks complete") };
        assert_eq!(body, [&pattern(50_000)[..], b"the last words"].concat());

        let mut client = server.client();
        client.send(get(&format!("{path}?sized"), "1.1"));
        assert_eq!(client.receive_with(false).status, 200);
        assert_eq!(client.rest().len(), 50_014);

        // For an old client, the end of the connection is the end of the body. So the server resets
        // the connection.
        let mut client = server.client();
        client.send(get(path, "1.0"));
        let error = client.stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    let counters = server.handle.counters();
    assert_eq!((counters.failed_responses, counters.panicked), (3, 3));
}

#[test]
fn a_malformed_body_that_is_echoed_is_refused_or_cut() {
    let server = serve(|request: &mut Request| {
        let flush = request.path() == "/flush";
        Response::stream(move |request, body| {
            let mut piece = [0; 100];
            loop {
                match request.body().read(&mut piece)? {
                    0 => return Ok(()),
                    count => body.write_all(&piece[..count])?,
                }
                if flush {
                    body.flush()?;
                }
            }
        })
    });
    let request = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx"
        )
    };
    let mut client = server.client();
    let answer = client.ask(request("/"));
    assert_eq!((answer.status, answer.text()), (400, "malformed chunk\n"));
    assert!(client.is_at_end());
    let mut client = server.client();
    client.send(request("/flush"));
    assert_eq!(client.receive_with(false).status, 200);
    let (Err(body), _) = client.chunks() else { panic!("the body looks complete") };
    assert_eq!(body, b"abc");
    let counters = server.handle.counters();
    assert_eq!((counters.refused, counters.failed_responses), (2, 0));
}

#[test]
fn a_stream_behind_a_body_that_nobody_can_skip_says_that_the_connection_closes() {
    let server = serve(|request: &mut Request| {
        let flush = request.path() == "/flush";
        Response::stream(move |_, body| {
            body.write_all(b"first ")?;
            if flush {
                body.flush()?;
            }
            body.write_all(b"and last")
        })
    });
    let malformed = "Transfer-Encoding: chunked\r\n\r\nzz\r\n";
    let long = "Content-Length: 1000000\r\n\r\nthe beginning";
    for rest in [malformed, long] {
        let mut client = server.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}"));
        let answer = client.receive_with(false);
        assert_eq!((answer.status, answer.field("connection")), (200, Some("close")), "{rest}");
        assert_eq!(client.chunks().0.expect("a whole body"), b"first and last");
        // A head that has left says nothing of it.
        let mut client = server.client();
        client.send(format!("POST /flush HTTP/1.1\r\nHost: a\r\n{rest}"));
        assert_eq!(client.receive_with(false).field("connection"), None, "{rest}");
        assert_eq!(client.chunks().0.expect("a whole body"), b"first and last");
    }
    let mut client = server.client();
    client.send(format!("POST / HTTP/1.0\r\nConnection: keep-alive\r\n{long}"));
    let answer = client.receive_with(false);
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    let whole = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let mut client = server.client();
    client.send(whole);
    assert_eq!(client.receive_with(false).field("connection"), None);
}

#[test]
fn a_client_that_waits_for_100_continue_is_asked_before_the_response_and_not_after() {
    let server = serve(|request: &mut Request| {
        let early = request.path() == "/early";
        Response::stream(move |request, body| {
            if early {
                body.flush()?;
                let error = request.body().read(&mut [0]).unwrap_err();
                assert_eq!(BodyError::of(&error), Some(BodyError::Declined));
                return body.write_all(b"too late");
            }
            request.body().copy_to(body).map(drop)
        })
    });
    let head = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
    };
    let mut client = server.client();
    assert_eq!(client.ask(head("/")).status, 100);
    assert_eq!(client.ask("body").text(), "body");
    let answer = client.ask(head("/early"));
    assert_eq!((answer.text(), answer.field("connection")), ("too late", Some("close")));
    assert!(client.is_at_end());
    assert_eq!(server.handle.counters().panicked, 0);
}

#[test]
fn a_slow_reader_holds_the_writer_back() {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let server = serve(|request: &mut Request| {
        if request.path() == "/written" {
            return WRITTEN.load(Ordering::Relaxed).to_string().into_response();
        }
        Response::stream(|_, body| {
            for _ in 0..1_000 {
                body.write_all(&vec![0; 100_000])?;
                WRITTEN.fetch_add(100_000, Ordering::Relaxed);
            }
            Ok(())
        })
    });
    let mut slow = server.client();
    slow.send(get("/", "1.1"));
    assert_eq!(slow.receive_with(false).status, 200);
    let written = || server.client().get("/written").text().parse::<u64>().expect("a number");
    // The kernel buffers far less than a hundred megabytes. Other clients are served meanwhile.
    for _ in 0..1_000 {
        let written = written();
        assert!(written < 50_000_000, "{written}");
    }
    let (Ok(body), _) = slow.chunks() else { panic!("the body is cut") };
    assert_eq!(body.len(), 100_000_000);
}

#[test]
fn a_writer_that_its_deadline_ends_leaves_a_body_that_looks_cut() {
    let server = serve(|_: &mut Request| {
        Response::stream(|_, body| {
            let huge = vec![0; 50_000_000];
            let slow = sched::deadline(Duration::from_millis(50), || body.write_all(&huge));
            assert!(slow.is_err(), "the client reads nothing");
            let error = body.write_all(b"more").unwrap_err();
            assert!(error.to_string().contains("interrupted"), "{error}");
            Ok(())
        })
    });
    let mut client = server.client();
    client.send(get("/", "1.1"));
    assert_eq!(client.receive_with(false).status, 200);
    // The client reads nothing more until the server has abandoned.
    while server.handle.counters().failed_responses == 0 {
        std::thread::yield_now();
    }
    let (Err(body), _) = client.chunks() else { panic!("the body looks complete") };
    assert!(body.len() < 50_000_000);
}

/// An open file whose name is already removed.
fn a_file(content: &[u8]) -> File {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("straightline-http-{}-{number}", process::id()));
    fs::write(&path, content).expect("room on the disk");
    let file = File::open(&path).expect("it was just written");
    fs::remove_file(&path).expect("it is ours");
    file
}

#[test]
fn a_file_is_sent_whole() {
    let server = serve(|request: &mut Request| {
        let bytes = request.path()[1..].parse().expect("a number");
        Response::file(a_file(&pattern(bytes))).expect("a file").content_type("application/pdf")
    });
    let mut client = server.client();
    for bytes in [0, 1, 16 * 1024, 16 * 1024 + 1, 5_000_000] {
        let answer = client.get(&format!("/{bytes}"));
        assert_eq!(answer.field("content-type"), Some("application/pdf"));
        assert_eq!(answer.field("content-length"), Some(&*bytes.to_string()));
        assert!(answer.body == pattern(bytes), "{bytes}");
    }
    assert_eq!(server.handle.counters().accepted, 1);
}

#[test]
fn what_cannot_be_sent_as_a_file_is_no_response() {
    let refused = |file| Response::file(file).expect_err("it cannot be read").kind();
    assert_eq!(refused(File::open(env::temp_dir()).unwrap()), ErrorKind::InvalidInput);
    assert_eq!(refused(File::open("/dev/null").unwrap()), ErrorKind::InvalidInput);
    let path = env::temp_dir().join(format!("straightline-http-{}-write-only", process::id()));
    for content in [&b""[..], b"some"] {
        fs::write(&path, content).expect("room on the disk");
        let file = File::options().append(true).open(&path).expect("it was just written");
        assert_eq!(refused(file), ErrorKind::PermissionDenied);
    }
    fs::remove_file(&path).expect("it is ours");
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_whose_size_is_not_true_is_sent_whole() {
    let server = serve(|request: &mut Request| {
        File::open(request.path()).and_then(Response::file).map_err(|_| StatusCode::NOT_FOUND)
    });
    // `stat` says a size of 0 for the first file, and the size of a page for the second one.
    for path in ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"] {
        let Ok(content) = fs::read(path) else { continue };
        let mut client = server.client();
        let answer = client.get(path);
        assert!(answer.body == content && !content.is_empty(), "{path}: {answer:?}");
        assert_eq!(answer.field("content-length"), None);
        client.send(get(path, "1.0"));
        assert!(client.rest().ends_with(&content), "{path}");
    }
}

#[test]
fn lines_are_read_one_by_one() {
    let server = serve(|request: &mut Request| {
        let mut lines = Vec::new();
        for line in request.body().lines(10) {
            match line {
                Ok(line) => lines.push(line),
                Err(error) => lines.push(format!("({error})")),
            }
        }
        lines.join("|")
    });
    let mut client = server.client();
    for (body, expected) in [
        ("", ""),
        ("one", "one"),
        ("one\n", "one"),
        ("one\r\n\r\ntwo\nthree", "one||two|three"),
        ("0123456789\r\n0123456789\nx", "0123456789|0123456789|x"),
        ("a\n0123456789x\nb\n", "a|(the request body, or a line of it, has more than 10 bytes)"),
        ("0123456789x", "(the request body, or a line of it, has more than 10 bytes)"),
    ] {
        assert_eq!(client.ask(post(body)).text(), expected, "{body:?}");
    }
    let long = "line\n".repeat(20_000);
    assert_eq!(client.ask(post(&long)).text(), "line|".repeat(20_000).trim_end_matches('|'));
    let mut client = server.client();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\na\n\xff\nb");
    assert_eq!(client.receive().text(), "a|(a line of the request body is not UTF-8)");
}

#[test]
fn a_body_that_is_too_long_for_its_handler_is_a_413() {
    let server = serve(|request: &mut Request| request.body().read_to_vec(4));
    let mut client = server.client();
    assert_eq!(client.ask(post("1234")).text(), "1234");
    assert_eq!(client.ask(post("12345")).status, 413);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(client.ask(format!("{head}4\r\n1234\r\n0\r\n\r\n")).text(), "1234");
    assert_eq!(client.ask(format!("{head}4\r\n1234\r\n1\r\n5\r\n0\r\n\r\n")).status, 413);
    assert_eq!(client.ask(post("1234")).text(), "1234");
    assert_eq!(server.handle.counters().accepted, 1);
}
