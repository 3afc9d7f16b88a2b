//! A property: a response through the proxy is the one that the upstream gives directly, but for
//! the fields that the proxy's page names.

use std::io::Write;
use std::sync::OnceLock;

use quickcheck::{Arbitrary, Gen, TestResult, quickcheck};
use straightline::{IntoResponse, Request, Response, ResponseBody, StatusCode};

use crate::common::{Answer, Running, serve};
use crate::passing::in_front_of;

/// A request, and how the upstream answers.
#[derive(Clone, Debug)]
struct Case {
    method: &'static str,
    /// The request's body in pieces; `None` for no body.
    body: Option<Vec<u8>>,
    /// In chunks of this size, or by length.
    chunk: Option<usize>,
    status: u16,
    /// `known`, `stream`, `announced`
    framing: &'static str,
    answer_bytes: usize,
    field: String,
}

impl Arbitrary for Case {
    fn arbitrary(g: &mut Gen) -> Self {
        let method = *g.choose(&["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]).expect("some");
        let sizes = [0, 1, 100, 4_095, 16_384, 16_385, 40_000, 70_000];
        let bytes = *g.choose(&sizes).expect("some");
        let body = bool::arbitrary(g).then(|| (0..bytes).map(|_| u8::arbitrary(g)).collect());
        let field: String =
            (0..u8::arbitrary(g) % 20).map(|_| char::from(b'!' + u8::arbitrary(g) % 90)).collect();
        Self {
            method,
            body,
            chunk: bool::arbitrary(g).then(|| usize::from(u16::arbitrary(g) % 20_000) + 1),
            status: *g.choose(&[200, 201, 204, 205, 304, 404, 500, 299]).expect("some"),
            framing: g.choose(&["known", "stream", "announced"]).expect("some"),
            answer_bytes: *g.choose(&sizes).expect("some"),
            field,
        }
    }
}

/// Answers as the query asks: the body of the request, and more bytes.
fn upstream(request: &mut Request) -> Response {
    let query = request.query().unwrap_or_default().to_owned();
    let mut parts = query.split('&');
    let status: u16 = parts.next().and_then(|text| text.parse().ok()).unwrap_or(500);
    let framing = parts.next().unwrap_or_default().to_owned();
    let bytes: usize = parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let Ok(mut body) = request.body().read_to_vec(1 << 20) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    body.extend((0..=255_u8).cycle().take(bytes));
    let field = request.headers().get_bytes("x-field").unwrap_or_default().to_vec();
    let length = body.len() as u64;
    let write = move |_: &mut Request, writer: &mut straightline::BodyWriter<'_>| {
        body.chunks(10_000).try_for_each(|piece| writer.write_all(piece))
    };
    let response = match &*framing {
        "known" => {
            let mut bytes = Vec::new();
            let made = ResponseBody::stream(write);
            let mut none = Request::builder().build().expect("a request");
            made.write_to(&mut none, &mut bytes).expect("a vector");
            ResponseBody::from(bytes).into_response()
        }
        "stream" => Response::stream(write),
        _ => Response::stream(write).content_length(length),
    };
    let status = StatusCode::from_u16(status).expect("a status");
    response.with_status(status).header("x-field", &field[..])
}

impl Case {
    fn to_bytes(&self) -> Vec<u8> {
        let Self { method, status, framing, answer_bytes, field, .. } = self;
        let mut text = format!(
            "{method} /?{status}&{framing}&{answer_bytes} HTTP/1.1\r\nHost: a\r\n\
             X-Field: {field}\r\n"
        )
        .into_bytes();
        match (&self.body, self.chunk) {
            (None, _) => text.extend_from_slice(b"\r\n"),
            (Some(body), None) => {
                text.extend_from_slice(
                    format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes(),
                );
                text.extend_from_slice(body);
            }
            (Some(body), Some(size)) => {
                text.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for piece in body.chunks(size) {
                    text.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    text.extend_from_slice(piece);
                    text.extend_from_slice(b"\r\n");
                }
                text.extend_from_slice(b"0\r\n\r\n");
            }
        }
        text
    }
}

/// The fields in an order of their own, without the time. A 304 has no body that could be chunked:
/// there the coding is one of the connection, which the proxy leaves out.
fn fields(answer: &Answer) -> Vec<String> {
    let is_left_out = |line: &String| {
        line.starts_with("date:")
            || (answer.status == 304 && line.starts_with("transfer-encoding:"))
    };
    let lines = answer.head.lines().skip(1).map(str::to_lowercase);
    let mut lines: Vec<_> = lines.filter(|line| !is_left_out(line)).collect();
    lines.sort();
    lines
}

quickcheck! {
    fn a_response_through_the_proxy_is_that_of_the_upstream(case: Case) -> TestResult {
        static SERVERS: OnceLock<(Running, Running)> = OnceLock::new();
        let (upstream, proxy) = SERVERS.get_or_init(|| {
            let upstream = serve(upstream);
            let proxy = in_front_of(&upstream);
            (upstream, proxy)
        });
        let has_body = case.method != "HEAD" && !matches!(case.status, 204 | 205 | 304);
        let [direct, proxied] = [upstream, proxy].map(|server| {
            let mut client = server.client();
            let answer = client.send(case.to_bytes()).receive_with(has_body);
            // Another request on the same connection is answered as well.
            client.send("GET /?200&known&3 HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.receive().body, [0, 1, 2]);
            answer
        });
        assert_eq!(direct.head.lines().next(), proxied.head.lines().next());
        assert_eq!(fields(&direct), fields(&proxied));
        TestResult::from_bool(direct.body == proxied.body)
    }
}
