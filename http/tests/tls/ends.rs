//! How connections over TLS end: whether a side can tell an end from a cut.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use straightline::sse::{Event as SseEvent, Feed, FeedSettings};
use straightline::tls::TlsProvider;
use straightline::{Event, IntoResponse, Request, Response, ServerBuilder, ServerHandle, Timeouts};

use super::client::{Client, config, socket, with_each_provider};
use crate::common::{Running, serve_with};

fn handler(request: &mut Request) -> Response {
    match request.path() {
        "/fails" => Response::stream(|_, body| {
            body.write_all(&vec![b'x'; 100_000])?;
            Err(io::Error::other("on purpose"))
        }),
        "/body" => match request.body().read_to_vec(1 << 20) {
            Ok(body) => format!("{} bytes", body.len()).into_response(),
            Err(error) => error.into_response(),
        },
        _ => "hello".into_response(),
    }
}

/// A server, and the text of its failed connections.
fn serve(
    provider: TlsProvider,
    configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (Running, Arc<Mutex<Vec<String>>>) {
    let failed = Arc::<Mutex<Vec<_>>>::default();
    let told = Arc::clone(&failed);
    let config = config(provider).build().unwrap();
    let observer = move |event: &Event<'_>| {
        if let Event::ConnectionFailed { error, .. } = event {
            told.lock().unwrap().push(error.to_string());
        }
    };
    let configure = |builder: ServerBuilder| configure(builder.tls(config).observer(observer));
    (serve_with(configure, handler), failed)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn an_orderly_end_is_told_and_a_body_that_failed_looks_cut() {
    with_each_provider(|provider| {
        let (server, _) = serve(provider, |builder| builder);
        for request in
            ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"]
        {
            let rest = Client::connect(server.address).send(request).rest().unwrap();
            assert!(rest.ends_with(b"hello"), "{request}");
        }
        // A malformed request ends the connection after its answer.
        let rest = Client::connect(server.address).send("GET\r\n\r\n").rest().unwrap();
        assert!(rest.starts_with(b"HTTP/1.1 400 "));
        // The end of an HTTP/1.0 body is the end of the connection.
        let error = Client::connect(server.address).send("GET /fails HTTP/1.0\r\n\r\n").rest();
        let kinds = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
        assert!(kinds.contains(&error.unwrap_err().kind()));
    });
}

#[test]
fn an_idle_connection_is_closed_with_a_goodbye() {
    with_each_provider(|provider| {
        let timeouts = Timeouts::default().with_idle(Duration::from_millis(20));
        let (server, failed) = serve(provider, |builder| builder.timeouts(timeouts));
        let mut client = Client::connect(server.address);
        assert_eq!(client.get("/"), "hello");
        assert!(client.rest().unwrap().is_empty());
        assert!(failed.lock().unwrap().is_empty());
        // So does a drain.
        let (server, failed) = serve(provider, |builder| builder);
        let mut client = Client::connect(server.address);
        assert_eq!(client.get("/"), "hello");
        server.handle.shutdown();
        assert!(client.rest().unwrap().is_empty());
        assert!(failed.lock().unwrap().is_empty());
    });
}

#[test]
fn a_client_may_leave_between_two_requests_without_a_goodbye_but_not_in_a_body() {
    with_each_provider(|provider| {
        let (server, failed) = serve(provider, |builder| builder);
        let mut client = Client::connect(server.address);
        assert_eq!(client.get("/"), "hello");
        drop(client.stream.sock);
        let mut client = Client::connect(server.address);
        client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
        client.stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = client.rest();
        server.handle.shutdown();
        let counters = server.join();
        let failed = failed.lock().unwrap();
        assert_eq!((failed.len(), counters.aborted), (1, 1), "{failed:?}");
    });
}

#[test]
fn a_handshake_that_runs_when_a_drain_begins_ends_and_its_request_is_answered() {
    with_each_provider(|provider| {
        let (server, failed) = serve(provider, |builder| builder);
        let mut stream = socket(server.address);
        let settings = super::client::Settings::default().config();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut connection = rustls::ClientConnection::new(settings, name).unwrap();
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).unwrap();
        stream.write_all(&hello[..100]).unwrap();
        await_stack(&server.handle);
        server.handle.shutdown();
        stream.write_all(&hello[100..]).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).unwrap();
        }
        let stream = rustls::StreamOwned::new(connection, stream);
        let rest = Client { stream }.send(GET).rest().unwrap();
        assert!(rest.ends_with(b"hello"));
        assert!(failed.lock().unwrap().is_empty());
    });
}

/// Waits until the server has read from its only connection: then its fiber waits in the handshake.
fn await_stack(handle: &ServerHandle) {
    let is_waiting = || {
        let shards = handle.inspect(0, Duration::from_secs(10));
        let mut fibers = shards.into_iter().filter_map(|(_, shard)| shard.ok()).flatten();
        fibers.any(|fiber| fiber.deadline_in.is_some())
    };
    for _ in 0..1_000 {
        if is_waiting() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the handshake does not begin: {:?}", handle.inspect(10, Duration::from_secs(1)));
}

#[test]
fn an_event_stream_rests_over_tls_and_ends_whole() {
    with_each_provider(|provider| {
        let feed = Feed::with_settings(&FeedSettings::default().with_bytes(1 << 23));
        let own = feed.clone();
        let config = config(provider).build().unwrap();
        let server = serve_with(
            |builder| builder.tls(config),
            move |request: &mut Request| own.subscribe(request),
        );
        let clients = [(); 3].map(|()| {
            let mut client = Client::connect(server.address);
            client.send("GET / HTTP/1.0\r\n\r\n");
            client
        });
        let mut clients = clients.into_iter();
        while feed.subscribers() < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(clients.next());
        while feed.subscribers() == 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        // More than a record, and more than the kernel takes at once.
        let texts = ["first".to_owned(), "x".repeat(3_000_000), "last".to_owned()];
        for text in &texts {
            feed.publish(&SseEvent::new(text.clone()));
        }
        let readers = std::thread::scope(|scope| {
            let reader = |mut client: Client| scope.spawn(move || client.rest().unwrap());
            let readers: Vec<_> = clients.map(reader).collect();
            server.handle.shutdown();
            readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(readers.len(), 2);
        for rest in readers {
            let text = String::from_utf8(rest).unwrap();
            let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
            assert!(data.eq(texts.iter().map(String::as_str)), "{} bytes", text.len());
        }
    });
}
