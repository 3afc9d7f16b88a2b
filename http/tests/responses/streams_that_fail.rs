//! Streams and upgrades that fail: after a part of the response was sent, before the values that
//! they own are dropped, or with bytes that are not sent yet.

use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::streams_under_fire::post;
use crate::common::{serve, serve_with};
use straightline::sched;
use straightline::{IntoResponse, OnDisconnect, Request, Response, Timeouts};

fn head(path: &str) -> String {
    format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn a_stream_that_fails_behind_100_continue_becomes_an_error() {
    let server = serve(|_: &mut Request| {
        Response::stream(|request, body| {
            let text = request.body().read_to_vec(100)?;
            body.write_all(&text)?;
            Err(io::Error::other("on purpose"))
        })
    });
    let mut client = server.client();
    let head = post("/", "Expect: 100-continue\r\nContent-Length: 4");
    assert_eq!(client.ask(head).status, 100);
    assert_eq!(client.ask("text").status, 500);
    assert!(client.is_at_end());
    let mut client = server.client();
    let head = post("/", "Expect: 100-continue\r\nTransfer-Encoding: chunked");
    assert_eq!(client.ask(head).status, 100);
    assert_eq!(client.ask("x").text(), "malformed chunk\n");
    assert!(client.is_at_end());
}

#[test]
fn a_body_that_ends_with_its_connection_is_whole_or_reset() {
    let server = serve_with(
        |builder| builder.drain_timeout(Duration::from_millis(10)),
        |request: &mut Request| {
            if request.path() == "/gone" {
                request.on_disconnect(OnDisconnect::Cancel);
            }
            Response::stream(|request, body| {
                let mut buffer = [0; 100];
                if request.path() == "/echo" {
                    while let count @ 1.. = request.body().read(&mut buffer)? {
                        body.write_all(&buffer[..count])?;
                        body.flush()?;
                    }
                    return Ok(());
                }
                body.write_all(b"01234")?;
                loop {
                    sched::park();
                }
            })
        },
    );
    let begin = |path: &str| {
        let mut client = server.client();
        client.send(format!("POST {path} HTTP/1.0\r\nContent-Length: 10\r\n\r\n01234"));
        assert_eq!(client.receive_with(false).field("connection"), Some("close"));
        assert_eq!(client.exactly(5), b"01234");
        client
    };
    let ending = |mut client: crate::common::Client| {
        client.stream.read_to_end(&mut Vec::new()).map_err(|error| error.kind())
    };
    for path in ["/echo", "/gone"] {
        let mut client = begin(path);
        client.finish();
        assert_eq!(ending(client), Err(ErrorKind::ConnectionReset), "{path}");
    }
    let client = begin("/");
    server.handle.shutdown();
    assert_eq!(ending(client), Err(ErrorKind::ConnectionReset), "the end of a drain");
}

#[test]
fn a_stream_that_is_cut_for_its_request_is_counted() {
    let server = serve(|_: &mut Request| {
        Response::stream(|request, body| {
            body.flush()?;
            request.body().read_to_vec(1).map_err(io::Error::from).map(drop)
        })
    });
    let mut client = server.client();
    client.send(post("/", "Content-Length: 5") + "01234");
    assert_eq!(client.receive_with(false).status, 200);
    let (Err(body), _) = client.chunks() else { panic!("the body looks complete") };
    assert_eq!(body, b"");
    assert_eq!(server.handle.counters().failed_responses, 1);
}

#[test]
fn a_response_that_is_taken_back_is_not_counted() {
    let server = serve(|_: &mut Request| {
        Response::stream(|_, body| {
            body.write_all(b"text")?;
            Err(io::Error::other("on purpose"))
        })
    });
    assert_eq!(server.client().get("/").status, 500);
    assert_eq!(server.handle.counters().responses, [0, 0, 0, 0, 1]);
}

#[test]
fn a_fiber_that_is_abandoned_while_it_writes_ends_the_connection() {
    let server = serve(|_: &mut Request| {
        Response::stream(|request, body| {
            // Writes until the kernel takes no more bytes and some bytes are left in the buffer.
            for _ in 0..20 {
                let fill = || -> io::Result<()> {
                    loop {
                        body.write_all(&[b'x'; 10_000])?;
                    }
                };
                sched::deadline(Duration::from_millis(5), fill)
                    .expect_err("the client does not read");
            }
            sched::scope(|scope| {
                // Reading sends the written bytes. This fiber swallows all errors and panics that
                // would end it.
                let reader = scope.spawn(|| {
                    loop {
                        let read = || request.body().read(&mut [0]);
                        let _ = catch_unwind(AssertUnwindSafe(read));
                    }
                });
                sched::yield_now();
                reader.cancel();
                reader.join().expect_err("it is abandoned")
            });
            Ok(())
        })
    });
    let mut client = server.client();
    client.send(post("/", "Content-Length: 5"));
    assert_eq!(client.receive_with(false).status, 200);
    while server.handle.counters().aborted == 0 {
        std::thread::yield_now();
    }
    client.wait_for_end();
}

/// When it is dropped, it waits or panics, which a handler should not do in a destructor.
struct Rude {
    waits: bool,
}

impl Rude {
    fn be_used(&self) -> io::Result<()> {
        panic!("it is not used, waiting: {}", self.waits);
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        if self.waits {
            loop {
                sched::park();
            }
        }
        panic!("on purpose");
    }
}

#[test]
fn what_a_body_owns_that_is_not_sent_ends_within_the_handlers_bounds() {
    let timeouts = Timeouts::default().with_handler(Duration::from_millis(50));
    let server = serve_with(
        |builder| builder.timeouts(timeouts),
        |request: &mut Request| {
            let rude = match request.path() {
                "/" => return "fine".into_response(),
                path => Rude { waits: path == "/wait" },
            };
            match request.query() {
                Some("upgrade") => Response::upgrade("any", move |_| rude.be_used()),
                _ => Response::stream(move |_, _| rude.be_used()),
            }
        },
    );
    let mut client = server.client();
    for (path, status) in [("/panic", 500), ("/wait", 504)] {
        // The response to the earlier request is not lost.
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned() + &head(path));
        assert_eq!(client.receive().text(), "fine");
        assert_eq!(client.receive_with(false).status, status);
        assert_eq!(client.get(&format!("{path}?upgrade")).status, status);
    }
    let counters = server.handle.counters();
    assert_eq!((counters.panicked, counters.cancelled, counters.aborted), (2, 2, 0));
}

#[test]
fn a_malformed_body_before_an_upgrade_is_refused_once() {
    let server = serve(|_: &mut Request| Response::upgrade("any", |_| Ok(())));
    let mut client = server.client();
    let upgrade = "Connection: upgrade\r\nUpgrade: any\r\n";
    let body = "Expect: 100-continue\r\nTransfer-Encoding: chunked";
    assert_eq!(client.ask(post("/", &format!("{upgrade}{body}"))).status, 100);
    assert_eq!(client.ask("x").text(), "malformed chunk\n");
    assert!(client.is_at_end());
    assert_eq!(server.handle.counters().refused, 1);
}

#[test]
fn the_last_words_of_a_protocol_that_fails_arrive() {
    let server = serve(|_: &mut Request| {
        Response::upgrade("strict", |mut client| {
            client.read_exact(&mut [0])?;
            client.write_all(b"not like that")?;
            Err(io::Error::other("a violation"))
        })
    });
    let mut client = server.client();
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: strict\r\n\r\n";
    let answer = client.send(head).receive_with(false);
    assert_eq!(answer.status, 101);
    client.send([b'x'; 1_000]);
    assert_eq!(client.rest(), b"not like that");
    drop(client);
    let counters = server.handle.counters();
    assert_eq!(counters.aborted, 1);
    // Bytes that the server reads only to drop them do not count.
    assert_eq!(counters.bytes_read, head.len() as u64 + 1);
    assert_eq!(counters.bytes_written, answer.head.len() as u64 + 13);
}
