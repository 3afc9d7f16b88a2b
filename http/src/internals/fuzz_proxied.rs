//! A whole proxy on a virtual network, whose upstream sends any bytes in fragments. The client gets
//! the response that a plain reader finds in these bytes, or sees that it is none or not complete.
//! What the proxy sends has one framing, and the next response is that to the next request: no byte
//! of the upstream becomes a response of its own. The simulation checks that nothing is left.

use std::io::{Read, Write};
use std::time::Duration;

use straightline_net::{TcpListener, TcpStream};
use straightline_sched::{self as sched, deadline, sim};

use super::plain_response::{Plain, PlainResponse, read_plainly};
use crate::Server;
use crate::proxy::Proxy;

/// Tries the bytes of an upstream. The first two bytes say how they are cut and how the two sides
/// behave.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_proxied(data: &[u8]) {
    let [fragment, flags, bytes @ ..] = data else { return };
    let method = ["GET", "GET", "HEAD", "POST"][usize::from(flags & 3)];
    let is_closed = flags & 4 != 0;
    for fragment in [usize::from(*fragment), bytes.len()] {
        let behaviour =
            Behaviour { method, is_closed, fragment: fragment.max(1), pauses: flags & 8 != 0 };
        let bytes = bytes.to_vec();
        sim::run(u64::from(*flags), move || history(&behaviour, &bytes));
    }
}

#[derive(Clone, Copy)]
struct Behaviour {
    /// Of the first request; a POST has a body.
    method: &'static str,
    /// The upstream closes the connection behind the bytes.
    is_closed: bool,
    fragment: usize,
    pauses: bool,
}

impl Behaviour {
    fn body_bytes(&self) -> usize {
        if self.method == "POST" { BODY_BYTES } else { 0 }
    }
}

fn history(behaviour: &Behaviour, bytes: &[u8]) {
    let listener = TcpListener::bind(UPSTREAM).expect("a free address");
    let proxy = Proxy::builder().upstream(UPSTREAM).observer(|_| {}).build().expect("an upstream");
    let server = Server::builder().bind(PROXY).workers(1).quiet();
    let server = server.build(proxy.clone()).expect("a free address");
    let handle = server.handle();
    let serving = sched::spawn(|| server.run());
    let received = sched::scope(|scope| {
        scope.spawn(|| accept(&listener, behaviour, bytes));
        let received = deadline(Duration::from_secs(3_600), || ask(behaviour));
        scope.cancel();
        received.expect("the connection ends in time")
    });
    handle.shutdown();
    serving.join().expect("no panic").expect("a good end");
    let numbers = proxy.metrics().upstreams.remove(0);
    assert_eq!((numbers.in_flight, numbers.idle), (0, 0), "{numbers:?}");
    assert_eq!(handle.counters().panicked, 0);
    let sent = read_plainly(bytes, behaviour.method == "HEAD", behaviour.is_closed);
    // What comes behind a response, and later, is the response to the next request: no proxy can
    // tell. So the next response is known if all bytes come at once.
    let is_at_once = behaviour.fragment >= bytes.len() && !behaviour.pauses;
    let has_more = matches!(&sent, Plain::Whole(response) if response.end < bytes.len());
    let is_known = is_at_once || !has_more;
    check(behaviour, &received, &sent, is_known);
}

/// The upstream: sends the bytes in answer to the first request, and a known response in answer to
/// every other.
fn accept(listener: &TcpListener, behaviour: &Behaviour, bytes: &[u8]) {
    sched::scope(|scope| {
        for number in 0_u32.. {
            let Ok((stream, _)) = listener.accept() else { return };
            scope.spawn(move || {
                let mut is_first = number == 0;
                while read_head(&stream) {
                    let text = if is_first { bytes } else { SECOND };
                    let mut pieces = text.chunks(behaviour.fragment);
                    if !pieces.all(|piece| send(&stream, piece, behaviour.pauses)) {
                        return;
                    }
                    if is_first && behaviour.is_closed {
                        break;
                    }
                    let body_bytes = if is_first { behaviour.body_bytes() } else { 0 };
                    if (&stream).read_exact(&mut vec![0; body_bytes]).is_err() {
                        return;
                    }
                    is_first = false;
                }
                if behaviour.is_closed {
                    let _ = stream.shutdown(std::net::Shutdown::Write); // the proxy was quicker
                }
                let _ = (&stream).read_to_end(&mut Vec::new());
            });
        }
    });
}

fn send(mut stream: &TcpStream, piece: &[u8], pauses: bool) -> bool {
    if pauses {
        sched::sleep(Duration::from_millis(1));
    }
    stream.write_all(piece).is_ok()
}

fn read_head(mut stream: &TcpStream) -> bool {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    true
}

/// Sends two requests at once, and returns all that comes.
fn ask(behaviour: &Behaviour) -> Vec<u8> {
    let stream = TcpStream::connect(PROXY).expect("the proxy listens");
    let body = behaviour.body_bytes();
    let first = format!(
        "{} /first HTTP/1.1\r\nHost: a\r\nContent-Length: {body}\r\n\r\n{}",
        behaviour.method,
        "b".repeat(body)
    );
    let second = "GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    // The proxy may close the connection before it has read all of it.
    let _ = (&stream).write_all((first + second).as_bytes());
    let mut received = Vec::new();
    let _ = (&stream).read_to_end(&mut received);
    received
}

fn check(behaviour: &Behaviour, received: &[u8], sent: &Plain, is_second_known: bool) {
    let shown = || format!("{} for {sent:?}", received.escape_ascii());
    let is_head = behaviour.method == "HEAD";
    let first = match read_plainly(received, is_head, false) {
        Plain::Whole(first) => first,
        Plain::Cut(first) => {
            check_framing(&first, is_head);
            // A response that is passed on while it arrives may end early; then nothing follows.
            assert!(matches!(sent, Plain::Cut(_)), "{}", shown());
            assert_eq!(first.status, status_of(sent), "{}", shown());
            return;
        }
        Plain::None => panic!("no response: {}", shown()),
    };
    check_framing(&first, is_head);
    let is_error = matches!(first.status, 502 | 504);
    match sent {
        // A 205 has no body, whatever the upstream says.
        Plain::Whole(sent) if sent.status == 205 => {
            assert_eq!((first.status, &first.body[..]), (205, &b""[..]), "{}", shown());
        }
        Plain::Whole(sent) => {
            assert_eq!((first.status, &first.body), (sent.status, &sent.body), "{}", shown());
            assert_eq!(first.interim, sent.interim, "{}", shown());
        }
        Plain::Cut(sent) if sent.status == 205 => {
            assert!(is_error || first.status == 205, "{}", shown());
        }
        Plain::Cut(_) | Plain::None => assert!(is_error, "{}", shown()),
    }
    let rest = &received[first.end..];
    if !is_second_known {
        return;
    }
    if first.is_reusable {
        let second = read_plainly(rest, false, false);
        let Plain::Whole(second) = second else { panic!("no second response: {}", shown()) };
        check_framing(&second, false);
        assert_eq!((second.status, &second.body[..]), (200, &b"second"[..]), "{}", shown());
        assert_eq!(second.end, rest.len(), "bytes behind: {}", shown());
    } else {
        assert_eq!(rest, b"", "bytes behind the end: {}", shown());
    }
}

/// One framing, and no field of the upstream's connection.
fn check_framing(response: &PlainResponse, is_head: bool) {
    let count = |wanted: &str| {
        response.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).count()
    };
    let framing = count("content-length") + count("transfer-encoding");
    assert!(framing <= 1 && count("connection") <= 2, "{response:?}");
    let may_have_none = is_head || matches!(response.status, 204 | 304);
    assert!(framing == 1 || may_have_none, "{response:?}");
    for name in ["keep-alive", "proxy-connection", "te", "proxy-authenticate"] {
        assert_eq!(count(name), 0, "{response:?}");
    }
}

fn status_of(sent: &Plain) -> u16 {
    match sent {
        Plain::Whole(response) | Plain::Cut(response) => response.status,
        Plain::None => 0,
    }
}

const UPSTREAM: &str = "10.0.0.9:80";
const PROXY: &str = "10.0.0.1:80";
const SECOND: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond";

/// More than the proxy reads before it chooses an upstream, and no more than a server skips.
const BODY_BYTES: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::super::plain_response::responses_of;
    use super::*;

    quickcheck::quickcheck! {
        fn an_upstream_that_sends_any_parts_cannot_mislead_a_client(
            fragment: u8,
            flags: u8,
            parts: Vec<u8>
        ) -> bool {
            responses_of(&parts).all(|text| {
                fuzz_proxied(&[&[fragment, flags], text.as_bytes()].concat());
                true
            })
        }
    }
}
