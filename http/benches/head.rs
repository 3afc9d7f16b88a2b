//! The head parser against the `httparse` crate, on the same heads in the same run:
//! `cargo bench -p straightline --features internals --bench head`.
//!
//! Our parser also does the work that a user of httparse has to do afterwards: it finds the path
//! and the query, checks Host, framing, limits and the form of the target, and makes the method a
//! `Method`.

use std::hint::black_box;
use std::mem::MaybeUninit;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use straightline::Limits;
use straightline::internals::Parser;

/// A minimal head of forty bytes.
const SMALL: &str = "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";

/// The head of a browser's request.
const BROWSER: &str = "\
GET /search?q=stackful+coroutines&source=hp&oq=stackful HTTP/1.1\r\n\
Host: www.example.org\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Accept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Referer: https://www.example.org/\r\n\
DNT: 1\r\n\
Connection: keep-alive\r\n\
Cookie: session=5f2c7d9e1b3a48f6a0c4e8d2b6f1a397; theme=dark; consent=yes; lang=en\r\n\
Upgrade-Insecure-Requests: 1\r\n\
Sec-Fetch-Dest: document\r\n\
Sec-Fetch-Mode: navigate\r\n\
Sec-Fetch-Site: same-origin\r\n\
Sec-Fetch-User: ?1\r\n\
Priority: u=0, i\r\n\
\r\n";

/// A head with cookies of the largest size that a browser allows.
fn cookies() -> String {
    let cookie: String = (0..80).map(|n| format!("name{n:02}={:040x}; ", n * 7919)).collect();
    format!("GET / HTTP/1.1\r\nHost: www.example.org\r\nCookie: {cookie}x=y\r\n\r\n")
}

fn ours(parser: &mut Parser, limits: &Limits, head: &[u8]) {
    assert!(parser.parse(black_box(head), limits).expect("a good head"));
    black_box(&parser);
}

fn httparse(head: &[u8]) {
    assert!(httparse_status(head).is_complete());
}

/// The cheapest way to call httparse: the array of headers is not initialised.
fn httparse_status(head: &[u8]) -> httparse::Status<usize> {
    let mut headers = [const { MaybeUninit::uninit() }; 100];
    let mut request = httparse::Request::new(&mut []);
    let status = request.parse_with_uninit_headers(black_box(head), &mut headers);
    black_box(&request);
    status.expect("a good head")
}

fn whole_heads(c: &mut Criterion) {
    let limits = Limits::default();
    let cookies = cookies();
    let mut group = c.benchmark_group("head");
    for (name, head) in [("small", SMALL), ("browser", BROWSER), ("cookies", &*cookies)] {
        let head = head.as_bytes();
        group.throughput(Throughput::Bytes(head.len() as u64));
        let mut parser = Parser::default();
        group.bench_with_input(BenchmarkId::new("straightline", name), head, |b, head| {
            b.iter(|| ours(&mut parser, &limits, head));
        });
        group.bench_with_input(BenchmarkId::new("httparse", name), head, |b, head| {
            b.iter(|| httparse(head));
        });
    }
    group.finish();
}

/// The head of a browser's request arrives byte by byte: after each byte the parser is called.
fn in_pieces(c: &mut Criterion) {
    let limits = Limits::default();
    let head = BROWSER.as_bytes();
    let mut group = c.benchmark_group("head in pieces of one byte");
    group.throughput(Throughput::Bytes(head.len() as u64));
    let mut parser = Parser::default();
    group.bench_function("straightline", |b| {
        b.iter(|| {
            for end in 1..head.len() {
                let complete = parser.parse(black_box(&head[..end]), &limits);
                assert!(!complete.expect("a good head"));
            }
            ours(&mut parser, &limits, head);
        });
    });
    group.bench_function("httparse", |b| {
        b.iter(|| {
            for end in 1..head.len() {
                assert!(httparse_status(&head[..end]).is_partial());
            }
            httparse(head);
        });
    });
    group.finish();
}

criterion_group!(benches, whole_heads, in_pieces);
criterion_main!(benches);
