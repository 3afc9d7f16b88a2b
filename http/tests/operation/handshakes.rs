//! A stream may have a handshake of its own, which comes before the first request.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::io::{self, ErrorKind, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;

use crate::common::simulated::secs;
use straightline::net::MemoryStream;
use straightline::sched::sync::Ready;
use straightline::sched::{self, Interest, JoinHandle, sim};
use straightline::{
    Capacity, ConnectionEnd, Event, LocalServer, Peer, Request, Response, Server, Timeout,
    Timeouts, Transport,
};

/// A stream whose client has to say who it is, in one line. Without that it gives an error.
struct Greeted {
    stream: MemoryStream,
    name: OnceCell<String>,
    handshakes: Rc<Cell<u32>>,
}

impl Greeted {
    /// A pair of a client and its server's stream.
    fn pair() -> (MemoryStream, Self, Rc<Cell<u32>>) {
        let (client, stream) = MemoryStream::pair(1 << 16);
        let handshakes = Rc::new(Cell::new(0));
        let server = Self { stream, name: OnceCell::new(), handshakes: Rc::clone(&handshakes) };
        (client, server, handshakes)
    }
}

impl Transport for Greeted {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(self.name.get().is_some(), "a read before the handshake");
        match self.stream.try_read(buffer)? {
            // As TLS does that was cut off.
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        assert!(self.name.get().is_some(), "a write before the handshake");
        self.stream.try_write(bytes)
    }

    fn arm(&self, interest: Interest) -> io::Result<bool> {
        self.stream.arm(interest)
    }

    fn ready(&self, interest: Interest) -> Ready<'_> {
        match interest {
            Interest::Read => self.stream.readable(),
            Interest::Write => self.stream.writable(),
        }
    }

    fn handshake(&self) -> io::Result<()> {
        self.handshakes.set(self.handshakes.get() + 1);
        let (mut name, mut byte) = (Vec::new(), [0]);
        loop {
            match self.stream.try_read(&mut byte) {
                Ok(0) if name.is_empty() => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(0) => return Err(io::Error::other("half a name")),
                Ok(_) if byte[0] == b'\n' => break,
                Ok(_) => name.push(byte[0]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stream.wait_until(Interest::Read, None)?;
                }
                Err(error) => return Err(error),
            }
        }
        let name = String::from_utf8(name).map_err(io::Error::other)?;
        self.name.set(name).map_err(|_| io::Error::other("a second handshake"))
    }

    fn info(&self) -> Option<&dyn Any> {
        self.name.get().map(|name| name as &dyn Any)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }
}

fn greet(request: &mut Request) -> Response {
    if request.path() == "/upgrade" {
        return Response::upgrade("greet", |mut client| {
            let name = client.transport_info::<String>().cloned().unwrap_or_default();
            client.write_all(name.as_bytes())
        });
    }
    let _ = request.body().read_to_vec(1 << 20);
    let name = request.transport_info::<String>().cloned().unwrap_or_default();
    assert!(request.transport_info::<u32>().is_none(), "a value of another type");
    straightline::IntoResponse::into_response(format!("hello {name}\n"))
}

type Events = Arc<Mutex<Vec<String>>>;

/// A server, and the text of its events about failures.
fn server() -> (LocalServer, Events) {
    let events = Events::default();
    let told = Arc::clone(&events);
    let observer = move |event: &Event<'_>| {
        if let Event::ConnectionFailed { .. } | Event::TimedOut { .. } = event {
            told.lock().expect("no panic").push(event.to_string());
        }
    };
    let timeouts = Timeouts::default().with_head(secs(5));
    let builder = Server::builder().observer(observer).timeouts(timeouts);
    (builder.build_local(greet).expect("a stack"), events)
}

fn serve(server: &LocalServer, stream: impl Transport) -> JoinHandle<ConnectionEnd> {
    let handle = server.handle();
    sched::spawn(move || handle.serve(stream, Peer::named("a test")))
}

fn send(client: &MemoryStream, text: &str) {
    { client }.write_all(text.as_bytes()).expect("the server reads");
}

/// Waits for one response, and returns its body.
fn receive(client: &MemoryStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while !bytes.ends_with(b"\n") || bytes.ends_with(b"\r\n") {
        client.wait_readable().expect("a fiber");
        let count = client.try_read(&mut buffer).expect("a response");
        bytes.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8(bytes).expect("text");
    text.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_stream_has_its_handshake_once_and_the_request_knows_what_it_agreed_on() {
    sim::run(7, || {
        let (server, events) = server();
        let (client, stream, handshakes) = Greeted::pair();
        let serving = serve(&server, stream);
        send(&client, "Ada");
        sched::sleep(secs(1)); // the handshake waits for the rest of the line
        send(&client, "\n");
        for _ in 0..3 {
            send(&client, GET);
            assert_eq!(receive(&client), "hello Ada\n");
        }
        send(&client, "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n");
        send(&client, "Upgrade: greet\r\n\r\n");
        let mut rest = String::new();
        io::Read::read_to_string(&mut { &client }, &mut rest).expect("an end in good order");
        assert!(rest.ends_with("\r\n\r\nAda"), "{rest}");
        assert!(matches!(serving.join(), Ok(ConnectionEnd::Closed)));
        assert_eq!(handshakes.get(), 1);
        assert!(events.lock().expect("no panic").is_empty());
    });
}

#[test]
fn a_connection_that_sends_nothing_is_idle_and_has_no_handshake() {
    sim::run(7, || {
        let (server, events) = server();
        let stacks = sched::stats().stacks;
        let connections: Vec<_> = (0..20).map(|_| Greeted::pair()).collect();
        let mut servings = Vec::new();
        let handshakes: Vec<_> = connections
            .into_iter()
            .map(|(client, stream, handshakes)| {
                let handle = server.handle();
                servings.push(sched::spawn(move || {
                    let end = handle.serve(stream, Peer::named("a test"));
                    drop(client);
                    end
                }));
                handshakes
            })
            .collect();
        sched::sleep(secs(1));
        // Only the fibers of this test that wait in `serve` have stacks, and the idle reaper.
        let more = sched::stats().stacks - stacks;
        assert!(more <= 21, "{more} stacks for 20 idle connections");
        // Each is closed when the time for the first request is over.
        for serving in servings {
            assert!(matches!(serving.join(), Ok(ConnectionEnd::Closed)));
        }
        assert!(handshakes.iter().all(|handshakes| handshakes.get() == 0));
        assert_eq!(server.handle().counters().timed_out(Timeout::Head), 20);
        assert_eq!(events.lock().expect("no panic").len(), 20);
    });
}

#[test]
fn the_time_for_the_first_request_begins_after_the_handshake() {
    sim::run(7, || {
        let (server, events) = server();
        let (client, stream, _) = Greeted::pair();
        let serving = serve(&server, stream);
        sched::sleep(secs(4));
        send(&client, "Ada\n");
        sched::sleep(secs(4));
        send(&client, GET);
        assert_eq!(receive(&client), "hello Ada\n");
        drop(client);
        assert!(matches!(serving.join(), Ok(ConnectionEnd::Closed)));
        assert!(events.lock().expect("no panic").is_empty());
    });
}

#[test]
fn a_handshake_that_fails_is_a_failed_connection() {
    sched::run(|| {
        let (server, events) = server();
        let (client, stream, _) = Greeted::pair();
        send(&client, "Ad");
        drop(client);
        let end = serve(&server, stream).join().expect("no panic");
        assert!(matches!(end, ConnectionEnd::Failed(error) if error.to_string() == "half a name"));
        assert_eq!(
            *events.lock().expect("no panic"),
            ["a test: the connection failed: half a name"]
        );
        assert_eq!(server.handle().counters().aborted, 1);
    });
}

#[test]
fn a_client_that_leaves_before_its_handshake_has_not_failed() {
    sched::run(|| {
        let (server, events) = server();
        let (client, stream, handshakes) = Greeted::pair();
        let serving = serve(&server, stream);
        sched::yield_now();
        drop(client);
        assert!(matches!(serving.join(), Ok(ConnectionEnd::Closed)));
        assert_eq!(handshakes.get(), 1);
        assert!(events.lock().expect("no panic").is_empty());
        assert_eq!(server.handle().counters().aborted, 0);
    });
}

#[test]
fn a_cut_between_two_requests_is_an_end_and_a_cut_within_one_is_not() {
    /// Whether the cut was a failure, and how the bodies of the requests were read.
    fn outcome(sent: &'static str) -> (bool, Vec<Result<usize, String>>) {
        sched::run(move || {
            let events = Events::default();
            let (told, bodies) = (Arc::clone(&events), Rc::new(RefCell::new(Vec::new())));
            let observer = move |event: &Event<'_>| {
                if let Event::ConnectionFailed { .. } = event {
                    told.lock().expect("no panic").push(event.to_string());
                }
            };
            let read = Rc::clone(&bodies);
            let handler = move |request: &mut Request| {
                let body = request.body().read_to_vec(1 << 20);
                let body = body.map(|body| body.len()).map_err(|error| error.to_string());
                read.borrow_mut().push(body);
                "read\n"
            };
            let server = Server::builder().observer(observer).build_local(handler);
            let server = server.expect("a stack");
            let (client, stream, _) = Greeted::pair();
            send(&client, "Ada\n");
            send(&client, sent);
            client.shutdown(std::net::Shutdown::Write).expect("it is open");
            serve(&server, stream).join().expect("no panic");
            let is_told = !events.lock().expect("no panic").is_empty();
            (is_told, bodies.take())
        })
    }

    assert_eq!(outcome(""), (false, vec![]));
    assert_eq!(outcome(GET), (false, vec![Ok(0)]));
    assert_eq!(outcome(&GET[..GET.len() - 2]), (true, vec![]), "in the head");
    let post = |rest| format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}").leak();
    let (is_told, bodies) = outcome(post("Content-Length: 9\r\n\r\nhalf"));
    assert!(is_told && matches!(bodies[..], [Err(_)]), "{bodies:?}");
    let (is_told, bodies) = outcome(post("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"));
    assert!(is_told && matches!(bodies[..], [Err(_)]), "{bodies:?}");
}

#[test]
fn a_drain_lets_a_handshake_end_and_answers_the_first_request() {
    sim::run(7, || {
        let (server, events) = server();
        let (client, stream, _) = Greeted::pair();
        let serving = serve(&server, stream);
        let (silent, other, _) = Greeted::pair();
        let waiting = serve(&server, other);
        sched::sleep(secs(2));
        send(&client, "Ad");
        sched::sleep(secs(1));
        server.handle().shutdown();
        sched::sleep(secs(2));
        // The connection without a handshake is idle, and closed at once.
        assert!(matches!(waiting.join(), Ok(ConnectionEnd::Closed)));
        drop(silent);
        send(&client, "a\n");
        sched::sleep(secs(1) / 2);
        send(&client, GET);
        assert_eq!(receive(&client), "hello Ada\n");
        assert!(matches!(serving.join(), Ok(ConnectionEnd::Closed)));
        let report = server.join();
        assert_eq!((report.idle, report.finished, report.cancelled), (1, 1, 0));
        assert!(events.lock().expect("no panic").is_empty());
    });
}

#[test]
fn a_connection_before_its_handshake_makes_room_for_another() {
    sim::run(7, || {
        let capacity = Capacity::default().with_connections(1);
        let builder = Server::builder().capacity(capacity);
        let server = builder.build_local(greet).expect("a stack");
        let (_silent, stream, handshakes) = Greeted::pair();
        let evicted = serve(&server, stream);
        sched::sleep(secs(12)); // it must have been idle for a while
        let (client, stream, _) = Greeted::pair();
        let serving = serve(&server, stream);
        send(&client, "Ada\n");
        send(&client, GET);
        assert_eq!(receive(&client), "hello Ada\n");
        assert!(matches!(evicted.join(), Ok(ConnectionEnd::Closed)));
        assert_eq!((handshakes.get(), server.handle().counters().evicted), (0, 1));
        drop(client);
        assert!(matches!(serving.join(), Ok(ConnectionEnd::Closed)));
    });
}
