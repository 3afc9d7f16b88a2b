//! Bodies in both directions, as streams.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use straightline::client::Client;
use straightline::client::ureq::{Error, SendBody};
use straightline::sched::{self, sleep};
use straightline::{Request, Response, Server, StatusCode};

use crate::upstream::{MS, Upstream, check, time_of, url};

#[test]
fn a_chunked_body_comes_whole_and_its_connection_is_used_again() {
    check(|| {
        let upstream = Upstream::answering(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             4;x=y\r\nstra\r\n8\r\nightline\r\n0\r\nSum: 1\r\n\r\n",
        );
        let client = Client::new();
        for _ in 0..2 {
            let mut response = client.get(url("/")).call().unwrap();
            assert_eq!(response.body_mut().read_to_string().unwrap(), "straightline");
        }
        assert_eq!(upstream.connections(), 1);
    });
}

/// A server of this library on the simulated network that counts the bytes that it gets.
fn counting(configure: impl FnOnce(&str, &Client)) {
    let server = Server::builder().bind("10.0.0.9:80").workers(1);
    let server = server
        .build(|request: &mut Request| {
            let chunked = request.headers().get("transfer-encoding").unwrap_or("none").to_owned();
            let length = request.headers().get("content-length").unwrap_or("none").to_owned();
            let bytes = io::copy(&mut request.body(), &mut io::sink()).expect("a whole body");
            format!("{chunked} {length} {bytes}")
        })
        .expect("a free port");
    let handle = server.handle();
    let serving = sched::spawn(|| server.run());
    configure("http://10.0.0.9/", &Client::new());
    handle.shutdown();
    serving.join().expect("no panic").expect("it runs");
}

#[test]
fn a_request_body_has_its_length_or_is_chunked() {
    check(|| {
        counting(|url, client| {
            let answer = |outcome: Result<http::Response<ureq::Body>, Error>| {
                outcome.unwrap().body_mut().read_to_string().unwrap()
            };
            assert_eq!(answer(client.post(url).send("hello")), "none 5 5");
            assert_eq!(answer(client.post(url).send_empty()), "none 0 0");
            for bytes in [0, 1, 100_000] {
                let mut reader = io::repeat(b'x').take(bytes);
                let outcome = client.post(url).send(SendBody::from_reader(&mut reader));
                assert_eq!(answer(outcome), format!("chunked none {bytes}"));
                let mut reader = io::repeat(b'x').take(bytes);
                let request = client.put(url).header("content-length", bytes.to_string());
                let outcome = request.send(SendBody::from_reader(&mut reader));
                assert_eq!(answer(outcome), format!("none {bytes} {bytes}"));
            }
        });
    });
}

#[test]
fn a_body_that_fails_while_it_is_sent_is_an_error_and_never_looks_whole() {
    struct Breaks(u32);

    impl Read for Breaks {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 > 2 {
                return Err(io::Error::other("the source broke"));
            }
            buffer.fill(b'x');
            Ok(buffer.len())
        }
    }

    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            let mut rest = Vec::new();
            let _ = conversation.read_to_end(&mut rest);
            assert!(!rest.ends_with(b"0\r\n\r\n"), "the last chunk");
            conversation.wait_for_end();
        });
        let client = Client::new();
        let error = client.post(url("/")).send(SendBody::from_reader(&mut Breaks(0))).unwrap_err();
        assert_eq!(error.to_string(), "io: the source broke");
        sleep(5 * MS);
        assert_eq!(upstream.ends().len(), 1);
    });
}

/// What may be on its way: the buffers of both sockets, and those of the client.
const ON_THE_WAY_MAX: u64 = 6 * 1024 * 1024;

#[test]
fn a_response_comes_at_the_pace_of_its_reader() {
    check(|| {
        let written = Rc::new(Cell::new(0_u64));
        let count = Rc::clone(&written);
        let _upstream = Upstream::start(move |mut conversation| {
            conversation.hear();
            conversation.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
            while conversation.stream.write_all(chunk.as_bytes()).is_ok() {
                count.set(count.get() + (1 << 16));
            }
        });
        let mut response = Client::new().get(url("/")).call().unwrap();
        let mut reader = response.body_mut().as_reader();
        let mut read = 0;
        for _ in 0..20 {
            let mut piece = [0; 1000];
            reader.read_exact(&mut piece).unwrap();
            read += 1000;
            sleep(100 * MS);
            assert!(written.get() - read < ON_THE_WAY_MAX, "{} {read}", written.get());
        }
    });
}

#[test]
fn a_request_body_is_read_at_the_pace_of_the_server() {
    struct Endless(Rc<Cell<u64>>);

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(b'x');
            self.0.set(self.0.get() + buffer.len() as u64);
            Ok(buffer.len())
        }
    }

    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            sleep(Duration::from_secs(1));
        });
        let sent = Rc::new(Cell::new(0));
        let body = SendBody::from_owned_reader(Endless(Rc::clone(&sent)));
        assert!(Client::new().post(url("/")).send(body).is_err(), "the server closes");
        assert!(sent.get() > 0 && sent.get() < ON_THE_WAY_MAX, "{}", sent.get());
        drop(upstream);
    });
}

#[test]
fn a_body_is_read_into_memory_up_to_a_limit() {
    check(|| {
        let _upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        let client = Client::new();
        for (limit, is_read) in [(4, false), (5, true), (6, true)] {
            let mut response = client.get(url("/")).call().unwrap();
            let body = response.body_mut().with_config().limit(limit).read_to_vec();
            assert_eq!(body.is_ok(), is_read, "{limit}");
            assert!(is_read || matches!(body, Err(Error::BodyExceedsLimit(4))), "{body:?}");
        }
    });
}

#[test]
fn a_server_can_decline_a_body_before_it_is_sent() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            let head = conversation.hear().expect("a request");
            if head.starts_with("POST /decline ") {
                conversation.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
            } else {
                conversation.say("HTTP/1.1 100 Continue\r\n\r\n");
                let mut body = [0; 4];
                conversation.read_exact(&mut body).expect("a body");
                conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
            conversation.wait_for_end();
        });
        let client = Client::new();
        let send = |path: &str| {
            client.post(url(path)).header("expect", "100-continue").send("body").unwrap().status()
        };
        let took = time_of(|| assert_eq!(send("/decline"), StatusCode::PAYLOAD_TOO_LARGE));
        assert!(took < 10 * MS, "{took:?}");
        // The server may still wait for the body, and would take the next request for it.
        assert_eq!(send("/take"), StatusCode::OK);
        assert_eq!(upstream.connections(), 2);
    });
}

#[test]
fn a_response_can_be_passed_on_as_a_stream() {
    check(|| {
        let _upstream =
            Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nstraightline");
        let server = Server::builder().bind("10.0.0.1:80").workers(1);
        let client = Client::new();
        let server = server.build(move |_: &mut Request| match client.get(url("/")).call() {
            Ok(response) => Response::reader(response.into_body().into_reader()),
            Err(_) => Response::new(StatusCode::BAD_GATEWAY),
        });
        let server = server.expect("a free port");
        let handle = server.handle();
        let serving = sched::spawn(|| server.run());
        let client = Client::new();
        let mut response = client.get("http://10.0.0.1/").call().unwrap();
        assert_eq!(response.body_mut().read_to_string().unwrap(), "straightline");
        handle.shutdown();
        serving.join().unwrap().unwrap();
    });
}
