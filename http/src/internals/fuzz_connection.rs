//! Whole connections: a real server on a virtual network, and a client that sends any bytes in
//! fragments, and half-closes or vanishes. Each request is answered once and in order, and nothing
//! hangs. The simulation checks that nothing is left behind.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use straightline_net::TcpStream;
use straightline_sched::{self as sched, deadline, sim};

use crate::{
    Counters, HeaderName, IntoResponse, Limits, Method, Request, Response, Server, StatusCode,
};

/// Tries a server with the bytes of a client. The first three bytes say how the client behaves.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_connection(data: &[u8]) {
    let [seed, fragment, flags, bytes @ ..] = data else { return };
    let behaviour = Behaviour {
        seed: u64::from(*seed),
        fragment: if *fragment == 0 { bytes.len().max(1) } else { usize::from(*fragment) },
        pause: flags & 1 != 0,
        vanishes: flags & 6 == 6,
    };
    let bytes = bytes.to_vec();
    sim::run(behaviour.seed, move || history(&behaviour, &bytes));
}

/// The requests that the handler got, in order.
type Asked = Arc<Mutex<Vec<(Method, String)>>>;

/// How the client behaves.
struct Behaviour {
    seed: u64,
    fragment: usize,
    pause: bool,
    /// The client vanishes once it has sent everything, and reads nothing.
    vanishes: bool,
}

fn handler(request: &mut Request, asked: &Asked) -> Response {
    let number = {
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push((request.method().clone(), request.target().to_owned()));
        asked.len()
    };
    let response = match request.path().as_bytes().get(1) {
        _ if *request.method() == Method::CONNECT => StatusCode::FORBIDDEN.into_response(),
        // An echo of the body, while it arrives.
        Some(b'e') => Response::stream(|request, body| request.body().copy_to(body).map(drop)),
        Some(b'r') => request.body().read_to_vec(100).into_response(),
        // A part of the body.
        Some(b'p') => {
            let mut part = [0; 3];
            let count = request.body().read(&mut part).unwrap_or(0);
            part[..count].to_vec().into_response()
        }
        Some(b'l') => {
            let lines: Vec<_> = request.body().lines(20).filter_map(Result::ok).collect();
            lines.join("|").into_response()
        }
        Some(b's') => Response::stream(|_, body| body.write_all(&vec![b'x'; 40_000])),
        Some(b'n') => StatusCode::NO_CONTENT.into_response(),
        Some(b'c') => "bye".into_response().close(),
        Some(b'w') => {
            sched::sleep(Duration::from_millis(500));
            "waited".into_response()
        }
        _ => "other".into_response(),
    };
    response.header(HeaderName::from_static("number"), number.to_string())
}

/// Sends everything, and returns what the server sends, unless the client vanishes.
fn behave(behaviour: &Behaviour, bytes: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut stream = TcpStream::connect(SERVER)?;
    let reader = &stream;
    sched::scope(|scope| {
        let answers = (!behaviour.vanishes).then(|| {
            scope.spawn(|| {
                let mut answers = Vec::new();
                (&*reader).read_to_end(&mut answers).map(|_| answers)
            })
        });
        for fragment in bytes.chunks(behaviour.fragment) {
            // A server that has refused a request need not read the rest.
            if (&*reader).write_all(fragment).is_err() {
                break;
            }
            if behaviour.pause {
                sched::sleep(Duration::from_millis(20));
            }
        }
        let Some(answers) = answers else { return Ok(None) };
        let _ = reader.shutdown(std::net::Shutdown::Write);
        match answers.join().expect("the reader does not panic") {
            // Bytes that arrive after a refusal may reset the connection.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            answers => answers.map(Some),
        }
    })
    .inspect(|_| drop(stream.flush()))
}

/// The numbers of the final responses, as a plain reader of HTTP finds them, and whether the last
/// response is incomplete.
fn read_answers(mut bytes: &[u8], asked: &[(Method, String)]) -> (Vec<Option<usize>>, bool) {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return (numbers, true);
        };
        let head = std::str::from_utf8(&bytes[..end]).expect("a head of text");
        bytes = &bytes[end + 4..];
        let status = head.strip_prefix("HTTP/1.1 ").expect("a status line").get(..3);
        let status: u16 = status.expect("a status").parse().expect("digits");
        let field = |name: &str| {
            head.lines().skip(1).find_map(|line| {
                let (field, value) = line.split_once(": ")?;
                field.eq_ignore_ascii_case(name).then_some(value)
            })
        };
        if status < 200 {
            assert_eq!(status, 100, "{head}");
            continue;
        }
        numbers.push(field("number").map(|number| number.parse().expect("digits")));
        let is_head =
            asked.get(numbers.len() - 1).is_some_and(|(method, _)| method == Method::HEAD);
        if is_head || status == 204 {
            // The refusal of a HEAD request has no number, and no body either.
            continue;
        }
        if let Some(length) = field("content-length") {
            let length: usize = length.parse().expect("digits");
            match bytes.get(length..) {
                Some(rest) => bytes = rest,
                None => return (numbers, true),
            }
        } else if field("transfer-encoding").is_some() {
            match skip_chunks(bytes) {
                Some(rest) => bytes = rest,
                None => return (numbers, true),
            }
        } else {
            assert_eq!(field("connection"), Some("close"), "{head}");
            return (numbers, false);
        }
    }
    (numbers, false)
}

fn skip_chunks(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let rest = bytes.get(end + 2 + size..)?;
        bytes = rest.strip_prefix(b"\r\n")?;
        if size == 0 {
            return Some(bytes);
        }
    }
}

fn check(answers: &[u8], asked: &[(Method, String)], counters: &Counters) {
    let (numbers, is_cut) = read_answers(answers, asked);
    assert_eq!(asked.len() as u64, counters.requests);
    assert_eq!(counters.failed_responses, 0);
    if is_cut {
        // The reason is the request's body: it was malformed, or it ended early.
        assert!(counters.refused + counters.aborted > 0, "{counters:?}");
    }
    // A refusal comes last. If it is about the body, it replaces the handler's response.
    let answered = numbers.iter().take_while(|number| number.is_some()).count();
    let expected: Vec<_> = (1..=answered).map(Some).collect();
    assert_eq!(&numbers[..answered], expected, "{counters:?}");
    let unnumbered = numbers.len() - answered;
    let is_void = answered < asked.len();
    assert!(unnumbered <= 1 && answered <= asked.len(), "{numbers:?} to {asked:?}");
    assert!(!is_void || answered + 1 == asked.len(), "{numbers:?} to {asked:?}: {counters:?}");
    match (unnumbered, is_void) {
        (0, false) => {}
        // A refusal, or the response to a body that has ended early.
        (1, _) => assert_eq!(counters.refused + counters.aborted, 1, "{counters:?}"),
        _ => assert!(counters.aborted > 0, "{numbers:?} to {asked:?}: {counters:?}"),
    }
}

#[allow(clippy::needless_update)] // a limit that is new keeps its default here
fn history(behaviour: &Behaviour, bytes: &[u8]) {
    let limits = Limits {
        request_line_bytes: 200,
        field_line_bytes: 200,
        head_bytes: 600,
        fields: 10,
        body_bytes: 2_000,
        chunk_extension_bytes: 20,
        trailer_bytes: 40,
        requests: 20,
        ..Limits::default()
    };
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    let server = Server::builder().bind(SERVER).workers(1).limits(limits);
    let server = server.build(move |request: &mut Request| handler(request, &log));
    let server = server.expect("a free port");
    let handle = server.handle();
    let serving = sched::spawn(|| server.run());
    let answers = deadline(Duration::from_secs(3_600), || behave(behaviour, bytes));
    let answers = answers.expect("the connection ends in time").expect("no fault of the network");
    handle.shutdown();
    serving.join().expect("no panic").expect("the server reports no error");
    let counters = handle.counters();
    assert_eq!(counters.accepted, counters.closed);
    let ended = counters.answered + counters.unanswered;
    assert_eq!((counters.requests, counters.in_flight), (ended, 0), "{counters:?}");
    // The server may never accept a client that vanishes at once.
    assert!(counters.accepted == 1 || behaviour.vanishes);
    assert_eq!((counters.panicked, counters.force_closed), (0, 0), "{counters:?}");
    if let Some(answers) = answers {
        check(&answers, &asked.lock().unwrap_or_else(PoisonError::into_inner), &counters);
    }
}

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 80);
