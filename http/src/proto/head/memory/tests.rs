//! The memory against a parser that remembers nothing.

use quickcheck::{Arbitrary, Gen, quickcheck};

use super::super::super::refusal::Refusal;
use super::super::{BodyLength, HeadParser};
use super::*;

/// A client's side of the memory: what its connection does with each head.
#[derive(Default)]
struct Client {
    memory: HeadMemory,
    parser: HeadParser,
    head: Head,
}

impl Client {
    /// Whether the head was recalled, and the outcome.
    fn parse(&mut self, bytes: &[u8], limits: &Limits) -> (bool, Result<bool, Refusal>) {
        self.head = odd_head(); // nothing of the last one may be left in the next one
        if self.memory.recall(bytes, limits, &mut self.head) {
            return (true, Ok(true));
        }
        let outcome = self.parser.parse(bytes, limits, &mut self.head);
        if outcome == Ok(true) {
            self.memory.learn(bytes, &self.head);
        }
        self.parser.forget(); // a head that is cut off
        (false, outcome)
    }

    /// Whether the outcome is that of a parser that remembers nothing.
    fn parses_as_ever(&mut self, bytes: &[u8], limits: &Limits) -> bool {
        let mut fresh = Head::default();
        let expected = HeadParser::default().parse(bytes, limits, &mut fresh);
        let (_, outcome) = self.parse(bytes, limits);
        let is_same = || expected != Ok(true) || format!("{:?}", self.head) == format!("{fresh:?}");
        outcome == expected && is_same()
    }

    fn recalls(&mut self, bytes: &str) -> bool {
        let (is_recalled, outcome) = self.parse(bytes.as_bytes(), &Limits::default());
        assert_eq!(outcome, Ok(true), "{bytes}");
        is_recalled
    }
}

/// A head that no request has.
fn odd_head() -> Head {
    let field = Field { name: (7, 8), value: (9, 10) };
    Head {
        method: Method::PATCH,
        target: (1, 2),
        path: (3, 4),
        fields: vec![field; 3],
        minor: 7,
        keep_alive: false,
        expect_continue: true,
        body: BodyLength::Chunked,
        end: 11,
    }
}

/// The heads of a client, each made of the one before it.
#[derive(Clone, Debug)]
struct Heads(Vec<Vec<u8>>);

impl Arbitrary for Heads {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut lines: Vec<String> = vec!["GET / HTTP/1.1".into(), "Host: a.example".into()];
        lines.extend((0..usize::arbitrary(g) % 8).map(|_| any_line(g)));
        let heads = (0..24).map(|_| {
            for _ in 0..u8::arbitrary(g) % 3 {
                change(g, &mut lines);
            }
            let mut bytes = format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes();
            match u8::arbitrary(g) % 16 {
                0 => bytes.truncate(usize::arbitrary(g) % bytes.len()),
                1 => {
                    let at = usize::arbitrary(g) % bytes.len();
                    bytes[at] = u8::arbitrary(g);
                }
                2 => _ = bytes.drain(..=lines[0].len()), // the line end stays
                3 => _ = bytes.drain(..lines[0].len() + 2),
                4..8 => bytes.extend_from_slice(b"GET / HTTP/1.1\r\n"),
                _ => {}
            }
            bytes
        });
        Self(heads.collect())
    }
}

/// Changes a line, or their number.
fn change(g: &mut Gen, lines: &mut Vec<String>) {
    let at = 1 + usize::arbitrary(g) % (lines.len() - 1).max(1);
    match u8::arbitrary(g) % 12 {
        0 => lines.insert(at.min(lines.len()), any_line(g)),
        1 if at < lines.len() => _ = lines.remove(at),
        2 if at < lines.len() => lines[at] = any_line(g),
        3 if at < lines.len() => lines[at].push('x'),
        4 if at < lines.len() => _ = lines[at].pop(),
        5 if at < lines.len() => lines[at] = lines[at].to_uppercase(),
        6 => {
            let others = [
                "POST / HTTP/1.1",
                "GET / HTTP/1.0",
                "GET http://b/ HTTP/1.1",
                "HEAD / HTTP/1.1",
                "GET  HTTP/1.1",
                "CONNECT a:1 HTTP/1.1",
            ];
            lines[0] = (*g.choose(&others).unwrap()).into();
        }
        7.. => lines[0] = format!("GET /{}?{} HTTP/1.1", u8::arbitrary(g), u64::arbitrary(g)),
        _ => {}
    }
}

fn any_line(g: &mut Gen) -> String {
    let lines = [
        "Host: b",
        "Connection: keep-alive",
        "Connection: close",
        "connection: upgrade",
        "Content-Length: 5",
        "Content-Length: 0",
        "content-length: x",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "Cookie: a=b; c=d; a-cookie-that-is-longer-than-a-block-of-sixty-four-bytes=0123456789",
        "X:y",
        "X-Tab:\ty ",
        "X-Empty:",
        "X-Beyond-ASCII: \u{e9}",
        " folded",
        "no colon",
    ];
    match u8::arbitrary(g) % 4 {
        0 => (*g.choose(&lines[..]).unwrap()).into(),
        1 => format!("X-Id: {}", u64::arbitrary(g)),
        _ => format!("Accept-{}: text/html, text/{}", u8::arbitrary(g) % 4, u8::arbitrary(g)),
    }
}

quickcheck! {
    fn heads_say_what_they_say_without_a_memory(heads: Heads, small: bool) -> bool {
        let mut limits = Limits::default();
        if small {
            (limits.request_line_bytes, limits.field_line_bytes) = (30, 40);
            (limits.head_bytes, limits.fields) = (150, 5);
        }
        let mut client = Client::default();
        heads.0.iter().all(|bytes| client.parses_as_ever(bytes, &limits))
    }
}

/// As a browser sends it: some lines, one of which changes.
fn browser_head(target: &str, id: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nX-Request-Id: {id}\r\n\
         Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nCookie: session=0123456789abcdef\r\n\
         \r\n"
    )
}

#[test]
fn a_head_that_comes_again_is_recalled_from_the_third_time_on() {
    let mut client = Client::default();
    let recalled: Vec<_> = (0..5).map(|_| client.recalls(&browser_head("/", "1"))).collect();
    assert_eq!(recalled, [false, false, true, true, true]);
}

#[test]
fn lines_that_change_are_learnt() {
    let mut client = Client::default();
    let heads = ["/", "/", "/a", "/longer?a=b", "/b"].map(|target| browser_head(target, "1"));
    assert_eq!(heads.map(|head| client.recalls(&head)), [false, false, false, true, true]);
    // Another line, of another length each time, and the request line with it.
    let ids = [("/", "12"), ("/c", "1234"), ("/d", "a"), ("/e", "1")];
    let recalled = ids.map(|(target, id)| client.recalls(&browser_head(target, id)));
    assert_eq!(recalled, [false, false, true, true]);
    let (last, limits) = (browser_head("/", "5"), Limits::default());
    assert!(client.parses_as_ever(last.as_bytes(), &limits));
}

#[test]
fn a_head_needs_its_request_line_whichever_lines_change() {
    let mut client = Client::default();
    let limits = Limits::default();
    let head = |request: &str, id: u32| format!("{request}X-Id: {id}\r\nHost: a\r\n\r\n");
    for id in [1, 1, 2, 3] {
        client.recalls(&head("GET / HTTP/1.1\r\n", id));
    }
    assert!(client.recalls(&head("GET / HTTP/1.1\r\n", 4)));
    assert!(client.parses_as_ever(head("", 5).as_bytes(), &limits));
    assert!(client.parses_as_ever(head("GET /b HTTP/1.1\r\n", 6).as_bytes(), &limits));
}

#[test]
fn a_line_with_a_meaning_may_not_change() {
    let with = |line: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\nX: y\r\n\r\n");
    for (first, second) in [
        ("Connection: keep-alive", "Connection: close"),
        ("Connection: close", "X-Nothing: close"),
        ("X-Nothing: 5", "Content-Length: 5"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("X-Nothing: chunked", "Transfer-Encoding: chunked"),
    ] {
        let mut client = Client::default();
        let limits = Limits::default();
        for head in [first, first, first, second, first, second, second, second, first].map(with) {
            assert!(client.parses_as_ever(head.as_bytes(), &limits), "{first}, {second}");
        }
        assert!(client.recalls(&with(first)) || client.recalls(&with(first)), "{first}");
    }
}

/// Heads that differ in the number of their lines.
fn head_with_lines(lines: usize) -> String {
    let lines = (0..lines).map(|line| format!("X-{line}: y\r\n"));
    format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", lines.collect::<String>())
}

#[test]
fn a_client_whose_heads_all_differ_costs_no_memory() {
    let mut client = Client::default();
    for count in 0..30 {
        assert!(!client.recalls(&head_with_lines(count)));
        let is_learning = (1..=usize::from(DEBT_MAX / LEARN_COST)).contains(&count);
        assert_eq!(client.memory.size() > 0, is_learning, "{count}");
    }
    assert!(!client.recalls(&head_with_lines(1)) && !client.recalls(&head_with_lines(1)));
}

#[test]
fn learning_ends_for_a_client_that_is_recalled_too_seldom() {
    let recalled = |heads: [usize; 8]| {
        let mut client = Client::default();
        let heads = heads.iter().cycle().take(800);
        heads.map(|&lines| u32::from(client.recalls(&head_with_lines(lines)))).sum::<u32>()
    };
    assert!(recalled([1, 1, 2, 2, 1, 1, 2, 2]) < 20);
    assert!(recalled([1, 1, 1, 1, 1, 1, 1, 2]) > 500);
}

#[test]
fn heads_that_cannot_be_learnt_in_between_do_no_harm() {
    let mut client = Client::default();
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    for nth in 0..100 {
        assert_eq!(client.recalls(&head_with_lines(1)), nth > 1, "{nth}");
        assert!(!client.recalls(post));
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let long = |bytes: usize, lines: usize| {
        let value = "v".repeat(bytes);
        let lines = "A: b\r\n".repeat(lines);
        format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}Cookie: {value}\r\n\r\n")
    };
    for (bytes, lines, is_learnt) in
        [(3000, 0, true), (4000, 0, true), (4090, 0, false), (10, 60, true), (10, 61, false)]
    {
        let mut client = Client::default();
        let recalled = [(); 3].map(|()| client.recalls(&long(bytes, lines)));
        assert_eq!(recalled, [false, false, is_learnt], "{bytes} bytes, {lines} lines");
        assert!(client.memory.size() <= BYTES_MAX + LINES_MAX * 16 + size_of::<KnownHead>());
    }
    // Nor does it grow beyond that from head to head.
    let mut client = Client::default();
    for bytes in [2500, 2500, 3000, 3000, 3000, 3500, 3500, 3500, 4000, 4000, 4000] {
        client.recalls(&long(bytes, bytes / 100));
        assert!(client.memory.size() <= BYTES_MAX + LINES_MAX * 16 + size_of::<KnownHead>());
    }
}
