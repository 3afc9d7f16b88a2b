//! Connections that switch to another protocol, and connections that must not.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::common::{Client, Running, serve};
use straightline::sched;
use straightline::sched::sync::{after, select};
use straightline::{IntoResponse, Method, Request, Response, StatusCode, Upgraded};

/// Sends back what it reads, in upper case.
fn shout(mut client: Upgraded) -> io::Result<()> {
    let mut text = [0; 100];
    loop {
        match client.read(&mut text)? {
            0 => return client.write_all(b"bye"),
            count => client.write_all(&text[..count].to_ascii_uppercase())?,
        }
    }
}

fn handler(request: &mut Request) -> Response {
    match (request.method(), request.path()) {
        (&Method::CONNECT, _) => match request.target() {
            "shout:1" => Response::tunnel(shout),
            "plain:1" => "not a tunnel".into_response(),
            _ => StatusCode::FORBIDDEN.into_response(),
        },
        (_, "/shout") => Response::upgrade("shout", shout),
        (_, "/tunnel") => Response::tunnel(shout),
        (_, "/panic") => Response::upgrade("shout", |_| panic!("on purpose")),
        (_, "/interim") => Response::new(StatusCode::CONTINUE),
        _ => format!("{} {}", request.path(), request.asks_to_upgrade("shout")).into_response(),
    }
}

const UPGRADE: &str = "GET /shout HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\
    Upgrade: websocket, Shout\r\n\r\n";

fn shouted(client: &mut Client) {
    assert_eq!(client.exactly(5), b"HELLO");
    assert_eq!(client.send("again").exactly(5), b"AGAIN");
    client.finish();
    assert_eq!(client.rest(), b"bye");
}

#[test]
fn an_upgrade_hands_over_the_connection_and_what_came_with_the_request() {
    let server = serve(handler);
    for early in ["hello", "h", ""] {
        let mut client = server.client();
        client.send(format!("{UPGRADE}{early}"));
        let answer = client.receive_with(false);
        assert_eq!((answer.status, answer.field("upgrade")), (101, Some("shout")));
        assert_eq!(answer.field("connection"), Some("upgrade"));
        assert_eq!(
            (answer.field("content-length"), answer.field("transfer-encoding")),
            (None, None)
        );
        client.send(&"hello"[early.len()..]);
        shouted(&mut client);
    }
}

#[test]
fn an_upgrade_comes_after_the_requests_before_it() {
    let server = serve(handler);
    let mut client = server.client();
    client.send(format!("GET /first HTTP/1.1\r\nHost: a\r\n\r\n{UPGRADE}hello"));
    assert_eq!(client.receive().text(), "/first false");
    assert_eq!(client.receive_with(false).status, 101);
    shouted(&mut client);
}

#[test]
fn the_body_of_an_upgrading_request_is_no_part_of_the_protocol() {
    let server = serve(handler);
    for body in [
        "Content-Length: 4\r\n\r\nbody",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ] {
        let mut client = server.client();
        let head = UPGRADE.trim_end_matches("\r\n");
        client.send(format!("{head}\r\n{body}hello"));
        assert_eq!(client.receive_with(false).status, 101);
        shouted(&mut client);
    }
    let mut client = server.client();
    let head = UPGRADE.trim_end_matches("\r\n");
    client.send(format!("{head}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"));
    assert_eq!(client.receive().status, 100);
    client.send("bodyhello");
    assert_eq!(client.receive_with(false).status, 101);
    shouted(&mut client);
}

#[test]
fn a_client_that_has_not_asked_gets_a_426() {
    let server = serve(handler);
    let mut client = server.client();
    for request in [
        UPGRADE.replace("Connection: upgrade\r\n", ""),
        UPGRADE.replace("Shout", "scream"),
        UPGRADE.replace("Upgrade: websocket, Shout\r\n", ""),
    ] {
        let answer = client.ask(request);
        assert_eq!((answer.status, answer.field("upgrade")), (426, Some("shout")));
        assert_eq!(answer.field("connection"), Some("upgrade"));
    }
    assert_eq!(client.ask(UPGRADE.replace("1.1", "1.0")).status, 426);
    let asks = UPGRADE.replace("/shout", "/");
    assert_eq!(server.client().ask(&asks).text(), "/ true");
}

#[test]
fn connect_is_a_tunnel_or_a_refusal() {
    let server = serve(handler);
    let connect = |target: &str| format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let mut client = server.client();
    client.send(connect("shout:1") + "hello");
    let answer = client.receive_with(false);
    assert_eq!(answer.status, 200);
    assert_eq!((answer.field("content-length"), answer.field("transfer-encoding")), (None, None));
    shouted(&mut client);

    let mut client = server.client();
    assert_eq!(client.ask(connect("elsewhere:1")).status, 403);
    let answer = client.ask(connect("plain:1"));
    assert_eq!((answer.status, answer.field("connection")), (501, Some("close")));
    assert!(client.is_at_end());
}

#[test]
fn a_tunnel_for_another_method_and_an_interim_status_are_bugs_of_the_handler() {
    let server = serve(handler);
    assert_eq!(server.client().get("/tunnel").status, 500);
    assert_eq!(server.client().get("/interim").status, 500);
    assert_eq!(server.handle.counters().failed_responses, 2);
}

fn upgraded(server: &Running, path: &str) -> Client {
    let mut client = server.client();
    client.send(UPGRADE.replace("/shout", path));
    assert_eq!(client.receive_with(false).status, 101);
    client
}

#[test]
fn a_protocol_that_panics_ends_its_connection() {
    let server = serve(handler);
    let mut client = upgraded(&server, "/panic");
    assert!(client.is_at_end());
    assert_eq!(server.handle.counters().panicked, 1);
    assert_eq!(server.client().get("/").status, 200);
}

#[test]
fn one_fiber_reads_while_another_writes() {
    let server = serve(|_: &mut Request| {
        Response::upgrade("shout", |client| {
            sched::scope(|scope| {
                let writer = scope.spawn(|| (&client).write_all(&vec![b'x'; 20_000_000]));
                let read = io::copy(&mut &client, &mut io::sink())?;
                assert_eq!(read, 20_000_000);
                writer.join().expect("no panic")?;
                client.shutdown_write()
            })
        })
    });
    let client = upgraded(&server, "/shout");
    let mut sender = client.stream.try_clone().expect("a descriptor");
    let writer = std::thread::spawn(move || {
        sender.write_all(&vec![b'y'; 20_000_000]).expect("the server reads");
        sender.shutdown(std::net::Shutdown::Write).expect("it is open");
    });
    let mut client = client;
    assert_eq!(client.rest().len(), 20_000_000);
    writer.join().expect("no panic");
    assert_eq!(server.handle.counters().panicked, 0);
}

/// A server whose protocol is `run`, and a client of it that sent `early` along with its request.
fn upgraded_to(
    run: impl Fn(Upgraded) -> io::Result<()> + Send + Sync + 'static,
    early: &str,
) -> (Running, Client) {
    let run = Arc::new(run);
    let server = serve(move |_: &mut Request| {
        let run = Arc::clone(&run);
        Response::upgrade("shout", move |client| run(client))
    });
    let mut client = server.client();
    client.send(format!("{UPGRADE}{early}"));
    assert_eq!(client.receive_with(false).status, 101);
    (server, client)
}

#[test]
fn a_read_timeout_is_an_error_and_loses_nothing() {
    let (_server, mut client) = upgraded_to(
        |mut client| {
            let zero = client.set_read_timeout(Some(Duration::ZERO)).unwrap_err();
            assert_eq!(zero.kind(), ErrorKind::InvalidInput);
            client.set_read_timeout(Some(Duration::from_millis(5)))?;
            for _ in 0..3 {
                let error = client.read(&mut [0; 8]).expect_err("the client is silent");
                assert_eq!(error.kind(), ErrorKind::TimedOut);
            }
            client.write_all(b"?")?;
            client.set_read_timeout(None)?;
            shout(client)
        },
        "",
    );
    assert_eq!(client.exactly(1), b"?");
    client.send("hello");
    shouted(&mut client);
}

#[test]
fn a_foreign_parser_survives_a_timeout() {
    let (_server, mut client) = upgraded_to(
        |client| {
            client.set_read_timeout(Some(Duration::from_millis(5)))?;
            let (mut lines, mut line) = (BufReader::new(&client), Vec::new());
            let mut asked = false;
            loop {
                match lines.read_until(b'\n', &mut line) {
                    Ok(_) => return (&client).write_all(&line),
                    Err(error) if error.kind() == ErrorKind::TimedOut => {
                        if !asked && line == b"half" {
                            (&client).write_all(b"?")?;
                            asked = true;
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        },
        "ha",
    );
    client.send("lf");
    assert_eq!(client.exactly(1), b"?");
    client.send(" a line\n");
    assert_eq!(client.rest(), b"half a line\n");
}

#[test]
fn a_write_timeout_is_an_error() {
    let (sender, ended) = mpsc::channel();
    let (server, client) = upgraded_to(
        move |mut client| {
            client.set_write_timeout(Some(Duration::from_millis(20)))?;
            let written = client.write_all(&vec![0; 64 << 20]); // the client reads nothing
            sender.send(written.map_err(|error| error.kind())).expect("the test waits");
            Ok(())
        },
        "",
    );
    let written = ended.recv_timeout(Duration::from_secs(30)).expect("the protocol ends");
    assert_eq!(written, Err(ErrorKind::TimedOut));
    drop(client);
    assert_eq!(server.handle.counters().panicked, 0);
}

#[test]
fn a_select_sees_what_came_with_the_request_and_what_comes_later() {
    let (_server, mut client) = upgraded_to(
        |mut client| {
            let mut received = Vec::new();
            assert_eq!(select(&[&client.writable()]), Ok(0));
            while received.len() < 7 {
                let readable = client.readable();
                match select(&[&readable, &after(Duration::from_secs(20))])? {
                    0 => {
                        let mut byte = [0];
                        assert_eq!(client.read(&mut byte)?, 1);
                        received.push(byte[0]);
                    }
                    _ => panic!("nothing is readable after {received:?}"),
                }
            }
            assert_eq!(select(&[&client.readable(), &after(Duration::from_millis(5))]), Ok(1));
            client.write_all(&received)
        },
        "ear",
    );
    client.send("late");
    assert_eq!(client.rest(), b"earlate");
}

#[test]
fn its_halves_go_to_fibers_of_their_own() {
    let (_server, mut client) = upgraded_to(
        |client| {
            let (mut reader, mut writer) = straightline::net::split(client);
            let copy = sched::spawn(move || io::copy(&mut reader, &mut writer));
            copy.join().expect("no panic").map(drop)
        },
        "hello",
    );
    client.send(" again");
    client.finish();
    assert_eq!(client.rest(), b"hello again");
}

#[cfg(feature = "tokio-io")]
#[test]
fn asynchronous_code_speaks_through_it() {
    use straightline::compat::AsyncStream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_server, mut client) = upgraded_to(
        |client| {
            sched::block_on(async {
                let mut client = AsyncStream::new(client);
                let mut text = String::new();
                client.read_to_string(&mut text).await?;
                client.write_all(text.to_uppercase().as_bytes()).await?;
                client.shutdown().await
            })?
        },
        "hello",
    );
    client.send(" again");
    client.finish();
    assert_eq!(client.rest(), b"HELLO AGAIN");
}
