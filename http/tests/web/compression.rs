//! Responses that are compressed on the fly.

use std::io::{self, Read, Write};
use std::time::Duration;

use straightline::testing::{Client, TestResponse};
use straightline::web::middleware::{Coding, Compression};
use straightline::{IntoResponse, Next, Request, Response, StatusCode, header};

use crate::common::{self, Running, serve_with};

/// The handler, compressed, without a socket.
fn compressed(
    handler: impl Fn(&mut Request) -> Response + Send + Sync + 'static,
) -> impl Fn(&mut Request) -> Response + Send + Sync + 'static {
    let compress = Compression::new().middleware();
    move |request: &mut Request| compress(request, Next::new(&handler))
}

/// The same on a server.
fn server(handler: impl Fn(&mut Request) -> Response + Send + Sync + 'static) -> Running {
    serve_with(|builder| builder.wrap(Compression::new().middleware()), handler)
}

fn get(handler: impl Fn(&mut Request) -> Response + Send + Sync + 'static) -> TestResponse {
    Client::new(compressed(handler)).get("/").header("accept-encoding", "gzip").send()
}

fn text() -> Response {
    "some text\n".repeat(1_000).into_response()
}

/// A decoder into which pieces are written, and whose output can be looked at meanwhile.
enum Decoder {
    Gzip(Box<flate2::write::GzDecoder<Vec<u8>>>),
    Brotli(Box<brotli::DecompressorWriter<Vec<u8>>>),
    #[cfg(feature = "zstd")]
    Zstd(zstd::stream::write::Decoder<'static, Vec<u8>>),
}

impl Decoder {
    fn new(coding: &str) -> Self {
        match coding {
            "gzip" => Self::Gzip(Box::new(flate2::write::GzDecoder::new(Vec::new()))),
            "br" => Self::Brotli(Box::new(brotli::DecompressorWriter::new(Vec::new(), 4096))),
            #[cfg(feature = "zstd")]
            "zstd" => Self::Zstd(zstd::stream::write::Decoder::new(Vec::new()).expect("memory")),
            other => panic!("{other} is no coding"),
        }
    }

    fn write(&mut self, piece: &[u8]) -> &[u8] {
        let writer: &mut dyn Write = match self {
            Self::Gzip(decoder) => decoder,
            Self::Brotli(decoder) => decoder,
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder,
        };
        writer.write_all(piece).expect("valid data");
        writer.flush().expect("valid data");
        match self {
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Brotli(decoder) => decoder.get_ref(),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.get_ref(),
        }
    }
}

/// Decodes a whole body, which has to be complete.
fn decode(coding: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_end(&mut content)?,
        "br" => brotli::Decompressor::new(body, 4096).read_to_end(&mut content)?,
        #[cfg(feature = "zstd")]
        "zstd" => zstd::stream::read::Decoder::new(body)?.read_to_end(&mut content)?,
        other => panic!("{other} is no coding"),
    };
    Ok(content)
}

#[test]
fn a_client_gets_a_coding_that_it_accepts() {
    let client = Client::new(compressed(|_| text()));
    let best = Coding::ALL[0].name();
    let cases = [
        (None, None),
        (Some(""), None),
        (Some("identity"), None),
        (Some("gzip"), Some("gzip")),
        (Some("x-gzip"), Some("gzip")),
        (Some("br, gzip;q=0.5"), Some("br")),
        (Some("br;q=0.5, gzip"), Some("gzip")),
        (Some("gzip;q=0"), None),
        (Some("*"), Some(best)),
        (Some("identity, *;q=0.5"), None),
        (Some("compress"), None),
        (Some("identity;q=0"), None),
    ];
    for (accepted, expected) in cases {
        let mut request = client.get("/");
        if let Some(accepted) = accepted {
            request = request.header("accept-encoding", accepted);
        }
        let response = request.send();
        response.assert_status(200).assert_header("vary", "accept-encoding");
        let coding = response.header("content-encoding");
        assert_eq!(coding.as_deref(), expected, "{accepted:?}");
        let Some(coding) = coding else {
            assert_eq!(response.bytes().len(), 10_000);
            continue;
        };
        assert_eq!(
            decode(&coding, response.bytes()).unwrap(),
            "some text\n".repeat(1_000).as_bytes()
        );
        assert_eq!(response.header("content-length"), Some(response.bytes().len().to_string()));
    }
}

#[test]
fn what_must_not_be_compressed_is_left_as_it_is() {
    type Case = (&'static str, fn(&mut Request) -> Response);
    let cases: [Case; 14] = [
        ("short", |_| "short\n".into_response()),
        ("an image", |_| text().content_type("image/png")),
        ("bytes", |_| vec![0; 10_000].into_response()),
        ("no type", |_| Response::stream(|_, body| body.write_all(&[b'x'; 10_000]))),
        ("encoded", |_| text().header(header::CONTENT_ENCODING, "br")),
        ("no-transform", |_| text().header(header::CACHE_CONTROL, "private, No-Transform")),
        ("digest", |_| text().header("content-digest", "sha-256=:AA==:")),
        ("206", |_| text().with_status(StatusCode::PARTIAL_CONTENT)),
        ("range", |_| text().header(header::CONTENT_RANGE, "bytes 0-9999/20000")),
        ("204", |_| Response::new(StatusCode::NO_CONTENT)),
        ("205", |_| Response::new(StatusCode::RESET_CONTENT)),
        ("404", |_| StatusCode::NOT_FOUND.into_response()),
        ("upgrade", |_| Response::upgrade("chat", |_| Ok(()))),
        ("empty", |_| "".into_response()),
    ];
    for (what, handler) in cases {
        let response = compressed(handler)(
            &mut Request::builder().header("accept-encoding", "*").build().unwrap(),
        );
        let coding = response.headers().get("content-encoding");
        assert!(coding.is_none_or(|coding| what == "encoded" && coding == "br"), "{what}");
        assert!(!response.headers().contains("vary"), "{what}");
    }
}

#[test]
fn a_body_that_does_not_become_smaller_is_sent_as_it_is() {
    // Bytes without a pattern.
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()[7]
    };
    let noise: Vec<u8> = (0..4_000).map(|_| next()).collect();
    let response = get(move |_| noise.clone().into_response().content_type("text/plain"));
    response.assert_status(200).assert_header("vary", "accept-encoding");
    response.assert_no_header("content-encoding");
    assert_eq!(response.bytes().len(), 4_000);
}

#[test]
fn a_strong_tag_becomes_weak_and_is_recognised_again() {
    let handler = |request: &mut Request| {
        let asked = request.headers().get("if-none-match").unwrap_or_default();
        let response = if asked.contains("\"one\"") {
            Response::new(StatusCode::NOT_MODIFIED)
        } else {
            text().header(header::ACCEPT_RANGES, "bytes")
        };
        response.header(header::ETAG, "\"one\"")
    };
    let client = Client::new(compressed(handler));
    let ask = |encoding: &str, tag: &str| {
        let request = client.get("/").header("accept-encoding", encoding);
        request.header("if-none-match", tag).send()
    };
    let first = ask("gzip", "\"none\"");
    first.assert_header("etag", "W/\"one\"").assert_no_header("accept-ranges");
    ask("gzip", "W/\"one\"").assert_status(304).assert_header("etag", "W/\"one\"");
    ask("gzip", "\"one\"").assert_status(304).assert_header("etag", "\"one\"");
    let identity = ask("identity", "\"none\"");
    identity.assert_header("etag", "\"one\"").assert_header("accept-ranges", "bytes");
    ask("identity", "\"one\"").assert_status(304).assert_header("vary", "accept-encoding");
    let weak = get(|_| text().header(header::ETAG, "W/\"x\"").header(header::VARY, "Origin"));
    weak.assert_header("etag", "W/\"x\"");
    assert_eq!(weak.headers().get_all("vary").iter().count(), 2);
    get(|_| text().header(header::VARY, "*")).assert_header("vary", "*");
}

/// A long text, in memory or streamed.
fn long(request: &mut Request) -> Response {
    let text = (0..100_000).map(|n| format!("line {n}\n")).collect::<String>();
    let response = if request.path() == "/stream" {
        Response::stream(move |_, body| body.write_all(text.as_bytes())).content_type("text/plain")
    } else {
        text.into_response()
    };
    response.header(header::ETAG, "\"long\"")
}

#[test]
fn long_bodies_are_compressed_while_they_are_sent_and_head_is_as_get() {
    let server = server(long);
    for coding in Coding::ALL {
        for path in ["/stream", "/memory"] {
            let mut client = server.client();
            let ask = |method: &str| {
                let name = coding.name();
                format!("{method} {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {name}\r\n\r\n")
            };
            let answer = client.ask(ask("GET"));
            let content = decode(coding.name(), &answer.body).unwrap();
            assert!(content.ends_with(b"line 99999\n") && answer.body.len() < content.len() / 2);
            let head = client.send(ask("HEAD")).receive_with(false);
            let fields = |answer: &common::Answer| {
                let lines = answer
                    .head
                    .lines()
                    .filter(|line| !line.starts_with("Date") && !line.starts_with("date"));
                lines.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(fields(&head), fields(&answer));
        }
    }
}

/// Answers each line of the request's body when it comes.
fn answer_lines(request: &mut Request) -> Response {
    let flushes = request.path() == "/flush";
    Response::stream(move |request, body| {
        for line in request.body().lines(100) {
            writeln!(body, "got {}", line?)?;
            if flushes {
                body.flush()?;
            }
        }
        Ok(())
    })
    .content_type("text/event-stream")
}

#[test]
fn what_is_written_arrives_when_the_handler_flushes_or_waits() {
    let server = server(answer_lines);
    for coding in Coding::ALL {
        for path in ["/flush", "/wait"] {
            let mut client = server.client();
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {}\r\n\
                 Transfer-Encoding: chunked\r\n\r\n",
                coding.name()
            );
            client.send(head);
            let mut decoder = Decoder::new(coding.name());
            let mut expected = String::new();
            for n in 0..5 {
                client.send(format!("7\r\nline {n}\n\r\n"));
                expected = format!("{expected}got line {n}\n");
                if n == 0 {
                    let answer = client.receive_with(false);
                    assert_eq!(answer.field("content-encoding"), Some(coding.name()));
                }
                while decoder.write(&[]) != expected.as_bytes() {
                    let chunk = client.chunk();
                    let content = decoder.write(&chunk);
                    assert!(expected.as_bytes().starts_with(content));
                }
            }
            client.send("0\r\n\r\n");
            let mut rest = Vec::new();
            loop {
                let chunk = client.chunk();
                if chunk.is_empty() {
                    break;
                }
                rest.extend_from_slice(&chunk);
            }
            assert_eq!(decoder.write(&rest), expected.as_bytes());
        }
    }
}

#[test]
fn a_body_that_fails_does_not_look_whole() {
    let server = server(|_| {
        Response::stream(|_, body| {
            for n in 0..100_000 {
                writeln!(body, "line {n}")?;
            }
            body.flush()?;
            Err(io::Error::other("no more"))
        })
        .content_type("text/plain")
    });
    for coding in Coding::ALL {
        let mut client = server.client();
        let name = coding.name();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {name}\r\n\r\n"));
        client.receive_with(false);
        let partial = client.chunks().0.unwrap_err();
        assert!(decode(name, &partial).is_err(), "{name}");
    }
}

#[test]
fn trailers_follow_a_compressed_body() {
    let server = server(|_| {
        Response::stream(|_, body| {
            body.write_all(&[b'x'; 5_000])?;
            body.trailer("sum", "1")?;
            body.trailer("sum", "2")
        })
        .content_type("text/plain")
    });
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    client.receive_with(false);
    let (body, trailers) = client.chunks();
    assert_eq!(decode("gzip", &body.unwrap()).unwrap(), [b'x'; 5_000]);
    assert_eq!(trailers.matches("sum: ").count(), 2, "{trailers}");
}

#[test]
fn an_old_client_gets_a_compressed_body_until_the_connection_closes() {
    let server = server(long);
    let mut client = server.client();
    client.send("GET /stream HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
    let answer = client.receive_with(false);
    assert_eq!(answer.field("content-encoding"), Some("gzip"));
    assert!(decode("gzip", &client.rest()).unwrap().ends_with(b"line 99999\n"));
}

#[test]
fn a_handler_that_is_cancelled_in_a_compressed_body_ends_it_early() {
    let timeouts = straightline::Timeouts::default().with_handler(Duration::from_millis(100));
    let server = serve_with(
        |builder| builder.timeouts(timeouts).wrap(Compression::new().middleware()),
        |_: &mut Request| {
            Response::stream(|_, body| {
                body.write_all(&[b'x'; 100])?;
                body.flush()?;
                straightline::sched::sleep(Duration::from_secs(1_000));
                Ok(())
            })
            .content_type("text/plain")
        },
    );
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    client.receive_with(false);
    assert!(decode("gzip", &client.chunks().0.unwrap_err()).is_err());
}
