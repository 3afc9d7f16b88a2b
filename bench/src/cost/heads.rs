//! The instructions that a request's head takes to parse, beside `httparse`.
//!
//! straightline's parser also does what a user of `httparse` has to do afterwards: it finds the
//! path and the query, checks the host, the framing, the limits and the form of the target, and
//! makes the method a `Method`.

use std::hint::black_box;
use std::io;
use std::mem::MaybeUninit;

use clap::ValueEnum;
use straightline::Limits;
use straightline::internals::Parser;

use super::valgrind::count_instructions;

/// Who parses.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Reader {
    Straightline,
    Httparse,
}

/// A head that arrives whole.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Parsed {
    /// Forty bytes.
    Small,
    /// The ten field lines of a browser.
    Browser,
    /// A cookie of 4 KiB.
    Cookies,
}

impl Parsed {
    fn bytes(self) -> Vec<u8> {
        let text = match self {
            Self::Small => "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n".to_owned(),
            Self::Browser => format!(
                "GET /plaintext?n=00000001 HTTP/1.1\r\nHost: localhost:8080\r\n{BROWSER_LINES}\
                 X-Request-Id: 00000001-aaaa-bbbb\r\n\r\n"
            ),
            Self::Cookies => {
                let pair = |n: u32| format!("name{n:02}={:040x}; ", n * 7919);
                let cookie: String = (0..80).map(pair).collect();
                format!("GET / HTTP/1.1\r\nHost: localhost:8080\r\nCookie: {cookie}x=y\r\n\r\n")
            }
        };
        text.into_bytes()
    }
}

/// Parses the head so often: the process that is measured.
pub(crate) fn parse(reader: Reader, head: Parsed, count: u32) {
    let head = head.bytes();
    match reader {
        Reader::Straightline => {
            let (mut parser, limits) = (Parser::default(), Limits::default());
            for _ in 0..count {
                let outcome = parser.parse(black_box(&head), &limits);
                assert!(outcome.is_ok_and(|is_complete| is_complete), "a good head");
                black_box(&parser);
            }
        }
        Reader::Httparse => (0..count).for_each(|_| parse_with_httparse(black_box(&head))),
    }
}

/// The cheapest way to call `httparse`: the array of headers is not initialised.
fn parse_with_httparse(head: &[u8]) {
    let mut headers = [const { MaybeUninit::uninit() }; 100];
    let mut request = httparse::Request::new(&mut []);
    let status = request.parse_with_uninit_headers(head, &mut headers);
    assert!(status.is_ok_and(|status| status.is_complete()), "a good head");
    black_box(&request);
}

/// The instructions of one head. Prints how many `httparse` takes.
pub(super) fn instructions_of(name: &str, head: Parsed) -> io::Result<u64> {
    let ours = instructions(Reader::Straightline, head)?;
    let theirs = instructions(Reader::Httparse, head)?;
    println!("{name}: httparse takes {theirs}");
    Ok(ours)
}

fn instructions(reader: Reader, head: Parsed) -> io::Result<u64> {
    let count = |heads: u32| {
        let value = |value: Option<clap::builder::PossibleValue>| {
            value.map_or_else(String::new, |value| value.get_name().to_owned())
        };
        let (reader, head) = (value(reader.to_possible_value()), value(head.to_possible_value()));
        count_instructions(&["parse", &reader, &head, &heads.to_string()])
    };
    let (few, many) = (count(HEADS_FEW)?, count(HEADS_MANY)?);
    Ok(many.saturating_sub(few) / u64::from(HEADS_MANY - HEADS_FEW))
}

const HEADS_FEW: u32 = 100;
const HEADS_MANY: u32 = 2_100;

/// The field lines of a browser behind its `Host`.
pub(super) const BROWSER_LINES: &str = "\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
Chrome/140.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
Connection: keep-alive\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; \
visitor=GA1.1.123456789.1700000000\r\n\
Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n";
