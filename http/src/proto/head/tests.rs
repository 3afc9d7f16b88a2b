//! The parser against hand-written heads, limits, and heads cut up at random.

use quickcheck::{Arbitrary, Gen, quickcheck};

use super::super::chars;
use super::super::fields::Headers;
use super::*;

fn parse(bytes: &[u8]) -> Result<Option<Head>, RefusalKind> {
    parse_with(bytes, &Limits::default())
}

fn parse_with(bytes: &[u8], limits: &Limits) -> Result<Option<Head>, RefusalKind> {
    let mut head = Head::default();
    match HeadParser::default().parse(bytes, limits, &mut head) {
        Ok(complete) => Ok(complete.then_some(head)),
        Err(refusal) => Err(refusal.kind),
    }
}

fn parse_byte_by_byte(bytes: &[u8]) -> Result<bool, RefusalKind> {
    let (mut parser, mut head) = (HeadParser::default(), Head::default());
    let mut parse = |end| parser.parse(&bytes[..end], &Limits::default(), &mut head);
    match (0..=bytes.len()).map(&mut parse).find(|parsed| *parsed != Ok(false)) {
        None => Ok(false),
        Some(parsed) => parsed.map_err(|refusal| refusal.kind),
    }
}

/// Sets one limit.
type Change = fn(&mut Limits, usize);

/// A request with one header line more than the required ones.
fn with_field(line: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n")
}

#[test]
fn a_head_is_read_in_full() {
    let bytes = b"POST /a?b=c HTTP/1.1\r\nHost: example.com:80\r\nX-Odd:  \t two words \t\r\n\
        Content-Length: 12\r\nExpect: 100-continue\r\nEmpty:\r\n\r\nbody";
    let head = parse(bytes).unwrap().unwrap();
    assert_eq!(head.method, Method::POST);
    assert_eq!(&bytes[head.target.0 as usize..head.target.1 as usize], b"/a?b=c");
    assert_eq!((head.minor, head.keep_alive, head.expect_continue), (1, true, true));
    assert_eq!(head.body, BodyLength::Known(12));
    assert_eq!(&bytes[head.end..], b"body");
    let headers = Headers::received(bytes, &head.fields);
    assert_eq!(headers.get("x-ODD"), Some("two words"));
    assert_eq!(headers.get("empty"), Some(""));
    assert_eq!(headers.get("absent"), None);
    assert_eq!(headers.len(), 5);
}

#[test]
fn malformed_heads_are_refused_with_their_reason() {
    use RefusalKind as K;
    let cases: &[(&str, RefusalKind)] = &[
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", K::Method),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", K::Method),
        ("\x16\x03\x01\x02", K::Method),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", K::Method),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", K::LineEnd),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", K::LineEnd),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", K::VersionSyntax),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", K::VersionSyntax),
        ("GET /\r\n\r\n", K::Target),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", K::Version),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", K::Version),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", K::Version),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", K::VersionSyntax),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("CONNECT [::1] HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("CONNECT a:1/ HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("CONNECT a:1?b HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("CONNECT http://a:1 HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("CONNECT * HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", K::ConnectBody),
        ("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", K::Target),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", K::Method),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", K::Method),
        ("GET / HTTP/1.1\r\n\r\n", K::HostMissing),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", K::HostDuplicate),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", K::Host),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", K::Host),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", K::Host),
        ("GET / HTTP/1.1\r\nHost: a\r\n\nx", K::FieldName),
    ];
    for (bytes, kind) in cases {
        assert_eq!(parse(bytes.as_bytes()).unwrap_err(), *kind, "{bytes:?}");
        assert_eq!(parse_byte_by_byte(bytes.as_bytes()).unwrap_err(), *kind, "{bytes:?}");
    }
}

#[test]
fn malformed_fields_are_refused_with_their_reason() {
    use RefusalKind as K;
    let lines: &[(&str, RefusalKind)] = &[
        ("A : b", K::FieldName),
        (": b", K::FieldName),
        (" folded", K::FieldName),
        ("A", K::FieldName),
        ("A(): b", K::FieldName),
        ("A: b\nC: d", K::LineEnd),
        ("A: b\rC: d", K::LineEnd),
        ("A: b\0", K::FieldValue),
        ("A: \x7f", K::FieldValue),
        ("A: \x1b[31m and some more text", K::FieldValue),
        ("Content-Length: +1", K::ContentLength),
        ("Content-Length: -1", K::ContentLength),
        ("Content-Length:", K::ContentLength),
        ("Content-Length: 1,1", K::ContentLength),
        ("Content-Length: 007", K::ContentLength),
        ("Content-Length: 00", K::ContentLength),
        ("Content-Length: 0x1", K::ContentLength),
        ("Content-Length: 18446744073709551616", K::ContentLength),
        ("Content-Length: 18446744073709551615", K::BodyBytes),
        ("Content-Length: 1\r\nContent-Length: 1", K::ContentLengthDuplicate),
        ("Content-Length: 1\r\ncontent-length: 2", K::ContentLengthDuplicate),
        ("Transfer-Encoding: gzip, chunked", K::TransferEncoding),
        ("Transfer-Encoding: chunked, gzip", K::TransferEncodingSyntax),
        ("Transfer-Encoding: chunked, chunked", K::TransferEncodingSyntax),
        ("Transfer-Encoding: gzip, chunked, chunked", K::TransferEncodingSyntax),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", K::TransferEncodingSyntax),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip", K::TransferEncodingSyntax),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", K::TransferEncoding),
        ("Transfer-Encoding: , chunked", K::TransferEncodingSyntax),
        ("Transfer-Encoding: chunked,", K::TransferEncodingSyntax),
        ("Transfer-Encoding: chunked;q=1", K::TransferEncoding),
        ("Transfer-Encoding: xchunked", K::TransferEncoding),
        ("Transfer-Encoding: identity", K::TransferEncoding),
        ("Transfer-Encoding:", K::TransferEncodingSyntax),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1", K::FramingConflict),
        ("Expect: more", K::Expectation),
    ];
    for (line, kind) in lines {
        assert_eq!(parse(with_field(line).as_bytes()).unwrap_err(), *kind, "{line:?}");
    }
    let old = "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(parse(old.as_bytes()).unwrap_err(), K::TransferEncodingIn10);
}

#[test]
fn unusual_but_good_heads_are_served() {
    let cases = [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.9\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT [::1]:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a:80/x HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET HTTP://a?q HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET /%00|[]^{}`\\ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:80\r\n!#$%&'*+-.^_`|~: \u{e9}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    ];
    for bytes in cases {
        assert!(matches!(parse(bytes.as_bytes()), Ok(Some(_))), "{bytes:?}");
    }
}

#[test]
fn keep_alive_follows_the_version_and_the_connection_field() {
    let keeps = |version: &str, connection: &str| {
        let bytes = format!("GET / HTTP/{version}\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
        parse(bytes.as_bytes()).unwrap().unwrap().keep_alive
    };
    assert!(keeps("1.1", "Upgrade"));
    assert!(keeps("1.1", "keep-alive"));
    assert!(!keeps("1.1", "Close"));
    assert!(!keeps("1.1", "keep-alive, close"));
    assert!(!keeps("1.0", "Upgrade"));
    assert!(keeps("1.0", "foo , Keep-Alive"));
}

#[test]
fn each_limit_bites_one_byte_or_line_beyond_it() {
    let request_line = "GET /12345 HTTP/1.1";
    let field = "X-Field: 1234567890";
    let head = format!("{request_line}\r\nHost: a\r\n{field}\r\n\r\n");
    let base = Limits::default();
    let with = |change: &dyn Fn(&mut Limits, usize), at: usize| {
        let mut limits = base.clone();
        change(&mut limits, at);
        parse_with(head.as_bytes(), &limits).map(|parsed| parsed.is_some())
    };
    let cases: [(Change, usize, RefusalKind); 4] = [
        (|l, n| l.request_line_bytes = n, request_line.len(), RefusalKind::RequestLineBytes),
        (|l, n| l.field_line_bytes = n, field.len(), RefusalKind::FieldLineBytes),
        (|l, n| l.head_bytes = n, head.len(), RefusalKind::HeadBytes),
        (|l, n| l.fields = n, 2, RefusalKind::Fields),
    ];
    for (change, exact, kind) in cases {
        assert_eq!(with(&change, exact + 1), Ok(true), "{kind:?}");
        assert_eq!(with(&change, exact), Ok(true), "{kind:?}");
        assert_eq!(with(&change, exact - 1), Err(kind));
    }
    let body = with_field("Content-Length: 10");
    let with_body = |bytes: u64| {
        let limits = Limits { body_bytes: bytes, ..base.clone() };
        parse_with(body.as_bytes(), &limits).map(|parsed| parsed.is_some())
    };
    assert_eq!(with_body(11), Ok(true));
    assert_eq!(with_body(10), Ok(true));
    assert_eq!(with_body(9), Err(RefusalKind::BodyBytes));
}

#[test]
fn a_line_that_never_ends_is_refused_at_its_limit() {
    let limits = Limits { request_line_bytes: 64, field_line_bytes: 32, ..Limits::default() };
    let endless = [b"GET /".to_vec(), vec![b'a'; 60]].concat();
    assert_eq!(parse_with(&endless[..64], &limits).map(|parsed| parsed.is_some()), Ok(false));
    assert_eq!(parse_with(&endless, &limits).unwrap_err(), RefusalKind::RequestLineBytes);
    let endless = [b"GET / HTTP/1.1\r\nA: ".to_vec(), vec![b'a'; 30]].concat();
    let at_limit = &endless[..endless.len() - 1];
    assert_eq!(parse_with(at_limit, &limits).map(|parsed| parsed.is_some()), Ok(false));
    assert_eq!(parse_with(&endless, &limits).unwrap_err(), RefusalKind::FieldLineBytes);
}

#[test]
fn a_refused_line_is_known_for_a_head_request_however_it_is_cut() {
    let limits = Limits { request_line_bytes: 64, ..Limits::default() };
    let endless = [b"HEAD /".to_vec(), vec![b'a'; 100]].concat();
    for cut in 0..60 {
        let (mut parser, mut head) = (HeadParser::default(), Head::default());
        assert!(matches!(parser.parse(&endless[..cut], &limits, &mut head), Ok(false)));
        let refusal = parser.parse(&endless, &limits, &mut head).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::RequestLineBytes);
        assert_eq!(head.method, Method::HEAD, "cut at {cut}");
    }
}

/// A request that is usually good, and the positions at which it is cut.
#[derive(Clone, Debug)]
struct Cut {
    bytes: Vec<u8>,
    pieces: Vec<u8>,
}

impl Arbitrary for Cut {
    fn arbitrary(g: &mut Gen) -> Self {
        let methods = ["GET", "GET", "POST", "OPTIONS", "X-LONG-METHOD-NAME"];
        let targets = [
            "/",
            "/a/b?c=d",
            "/!$&'()[]{}^?/a-query-that-ends-in-another-vector",
            "http://a/b",
            "*",
        ];
        let lines = [
            "Host: a",
            "Content-Length: 5",
            "X: y",
            "Connection: close",
            "Cookie: a=b; c=d",
            "Accept:\t*/*  ",
            "Accept-Language: en",
            "X_1:  \u{e9} a",
            "Empty: ",
            "Empty:",
            "A-Name-That-Is-Longer-Than-A-Vector: a value that is longer than a block of the mask",
            "Bad name: x",
            "Transfer-Encoding: chunked",
        ];
        let mut text = format!(
            "{} {} HTTP/1.{}\r\n",
            g.choose(&methods).unwrap(),
            g.choose(&targets).unwrap(),
            u8::arbitrary(g) % 2
        );
        for _ in 0..usize::arbitrary(g) % 6 {
            text.push_str(g.choose(&lines).unwrap());
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        if u8::arbitrary(g) % 4 == 0 {
            let at = usize::arbitrary(g) % bytes.len();
            bytes[at] = u8::arbitrary(g);
        }
        // Whatever was broken above, there is a line end behind it.
        bytes.extend_from_slice(b"\r\n\r\n");
        Self { bytes, pieces: Vec::arbitrary(g) }
    }
}

/// A valid request, and its parts.
#[derive(Clone, Debug)]
struct Valid {
    method: String,
    target: String,
    minor: u8,
    fields: Fields,
    /// Whitespace around each value.
    padding: Vec<u8>,
    pieces: Vec<u8>,
}

/// Between one and `most` of those bytes.
fn some(g: &mut Gen, bytes: impl Iterator<Item = u8>, most: usize) -> Vec<u8> {
    let bytes: Vec<u8> = bytes.collect();
    (0..=usize::arbitrary(g) % most).map(|_| *g.choose(&bytes).unwrap()).collect()
}

impl Arbitrary for Valid {
    fn arbitrary(g: &mut Gen) -> Self {
        let token = |g: &mut Gen, most| {
            let bytes = (0..=255).filter(|&byte| chars::is_token(byte));
            String::from_utf8(some(g, bytes, most)).unwrap()
        };
        let value = |g: &mut Gen| {
            let bytes = (b' '..=b'~').chain(0x80..=0xff).chain([b'\t']);
            some(g, bytes, 100).trim_ascii().to_vec()
        };
        let path = some(g, (b'!'..=b'~').filter(|byte| !b"\"<>#".contains(byte)), 80);
        // A name with a meaning would change the request.
        let fields =
            (0..usize::arbitrary(g) % 20).map(|_| (format!("x{}", token(g, 30)), value(g)));
        let fields = fields.chain([("HoSt".to_owned(), b"example.org".to_vec())]).collect();
        Self {
            // CONNECT has targets of its own.
            method: format!("M{}", token(g, 10)),
            target: format!("/{}", String::from_utf8(path).unwrap()),
            minor: u8::arbitrary(g) % 10,
            fields,
            padding: Vec::arbitrary(g),
            pieces: Vec::arbitrary(g),
        }
    }
}

impl Valid {
    fn rendered(&self) -> Vec<u8> {
        let mut bytes =
            format!("{} {} HTTP/1.{}\r\n", self.method, self.target, self.minor).into_bytes();
        let mut padding = self.padding.iter().cycle();
        let mut pad = |bytes: &mut Vec<u8>| {
            let count = padding.next().copied().unwrap_or(1);
            bytes.extend((0..count % 3).map(|n| if (count + n) % 2 == 0 { b' ' } else { b'\t' }));
        };
        for (name, value) in &self.fields {
            bytes.extend_from_slice(format!("{name}:").as_bytes());
            pad(&mut bytes);
            bytes.extend_from_slice(value);
            pad(&mut bytes);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// Parses a head that has arrived, without the quick looks at its lines.
fn parse_plainly(bytes: &[u8], limits: &Limits, head: &mut Head) -> Result<bool, Refusal> {
    let (mut framing, mut known_host) = (RequestFraming::default(), KnownHost::default());
    let line = plain_request_line(bytes, limits, head);
    let line = line.map_err(|refusal| refuse_request_line(refusal, bytes, head))?;
    let Some(mut line) = line else { return Ok(false) };
    while !bytes[line as usize..].starts_with(b"\r\n") {
        let Some(found) = plain_line(bytes, line)? else { return Ok(false) };
        let FieldLine { name_end, value, value_end, line_end } = found;
        if (line_end - line) as usize > limits.field_line_bytes {
            return Err(RefusalKind::FieldLineBytes.at(line as usize));
        }
        if head.fields.len() == limits.fields {
            return Err(RefusalKind::Fields.at(line as usize));
        }
        let field = Field { name: (line, name_end), value: (value, value_end) };
        framing
            .record(slice(bytes, field.name), slice(bytes, field.value), &mut known_host)
            .map_err(|kind| kind.at(value as usize))?;
        head.fields.push(field);
        line = line_end + 2;
    }
    check_head(line + 2, limits)?;
    finish_unusual(line as usize + 2, &framing, limits, head).map(|()| true)
}

#[test]
fn each_name_with_a_meaning_is_recorded_in_any_case() {
    for name in ["host", "expect", "connection", "content-length", "transfer-encoding"] {
        for text in [name.to_owned(), name.to_uppercase()] {
            let length = u32::try_from(text.len()).unwrap();
            assert!(RequestFraming::may_have_meaning(length, text.as_bytes()[0]), "{text}");
        }
    }
    for (line, has_close) in
        [("CONNECTION", true), ("conNection", true), ("connectIon", true), ("conne`tion", false)]
    {
        let head = parse(with_field(&format!("{line}: close")).as_bytes()).unwrap().unwrap();
        assert_eq!(head.keep_alive, !has_close, "{line}");
    }
    let hosts = parse(b"GET / HTTP/1.1\r\nHos^: a\r\n\r\n").map(|head| head.is_some());
    assert_eq!(hosts, Err(RefusalKind::HostMissing));
}

type Fields = Vec<(String, Vec<u8>)>;

/// How httparse reads the bytes.
fn httparse(bytes: &[u8]) -> Option<(usize, String, String, u8, Fields)> {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(end)) = request.parse(bytes) else { return None };
    let fields = request.headers.iter().map(|field| (field.name.to_owned(), field.value.to_vec()));
    let (method, target) = (request.method?.to_owned(), request.path?.to_owned());
    Some((end, method, target, request.version?, fields.collect()))
}

fn fields(bytes: &[u8], head: &Head) -> Fields {
    let headers = Headers::received(bytes, &head.fields);
    headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

fn target(bytes: &[u8], head: &Head) -> String {
    String::from_utf8(bytes[head.target.0 as usize..head.target.1 as usize].to_vec()).unwrap()
}

quickcheck! {
    fn a_valid_request_says_what_was_rendered_however_it_is_cut(valid: Valid) -> bool {
        let bytes = valid.rendered();
        let (mut parser, mut head) = (HeadParser::default(), Head::default());
        let mut pieces = valid.pieces.iter().cycle();
        let mut have = 0;
        while parser.parse(&bytes[..have], &Limits::default(), &mut head) == Ok(false) {
            let piece = pieces.next().map_or(1, |&piece| usize::from(piece) + 1);
            have = (have + piece).min(bytes.len());
        }
        head.end == bytes.len()
            && head.method.as_str() == valid.method
            && target(&bytes, &head) == valid.target
            && head.minor == valid.minor.min(1)
            && fields(&bytes, &head) == valid.fields
    }

    fn what_httparse_accepts_too_it_reads_the_same(cut: Cut) -> bool {
        let Ok(Some(head)) = parse(&cut.bytes) else { return true };
        let Some(theirs) = httparse(&cut.bytes) else { return false };
        let (method, target) = (head.method.to_string(), target(&cut.bytes, &head));
        theirs == (head.end, method, target, head.minor, fields(&cut.bytes, &head))
    }

    fn a_quick_look_finds_what_the_plain_one_finds(cut: Cut, small: bool) -> bool {
        let bytes = &cut.bytes[..];
        let mut limits = Limits::default();
        if small {
            (limits.field_line_bytes, limits.head_bytes, limits.fields) = (20, 100, 3);
        }
        let (mut head, mut plain) = (Head::default(), Head::default());
        let outcome = HeadParser::default().parse(bytes, &limits, &mut head);
        match parse_plainly(bytes, &limits, &mut plain) {
            Ok(false) => !matches!(outcome, Ok(true)), // perhaps a limit
            Ok(true) => outcome == Ok(true) && format!("{head:?}") == format!("{plain:?}"),
            refused => outcome == refused && head.method == plain.method,
        }
    }

    fn any_split_parses_the_same(cut: Cut) -> bool {
        let limits = Limits::default();
        let whole = parse_with(&cut.bytes, &limits);
        let (mut parser, mut head) = (HeadParser::default(), Head::default());
        let mut pieces = cut.pieces.iter().cycle();
        let mut have = 0;
        let split = loop {
            match parser.parse(&cut.bytes[..have], &limits, &mut head) {
                Ok(false) if have < cut.bytes.len() => {
                    let piece = pieces.next().map_or(1, |&piece| usize::from(piece) % 9 + 1);
                    have = (have + piece).min(cut.bytes.len());
                }
                result => break result,
            }
        };
        match (whole, split) {
            (Ok(Some(whole)), Ok(true)) => format!("{whole:?}") == format!("{head:?}"),
            (Ok(None), Ok(false)) => true,
            (Err(whole), Err(split)) => whole == split.kind,
            _ => false,
        }
    }

    fn no_bytes_make_it_panic(bytes: Vec<u8>) -> bool {
        let _ = parse(&bytes);
        true
    }
}

#[test]
fn a_version_is_refused_at_the_same_byte_in_part_and_whole() {
    let refused = |bytes: &[u8]| {
        let mut head = Head::default();
        HeadParser::default().parse(bytes, &Limits::default(), &mut head).unwrap_err()
    };
    let syntax = Refusal { kind: RefusalKind::VersionSyntax, offset: 9 };
    assert_eq!(refused(b"POST /a HTX"), Refusal { offset: 8, ..syntax });
    assert_eq!(refused(b"POST /a HTXP/1.1\r\nHost: a\r\n\r\n"), Refusal { offset: 8, ..syntax });
    assert_eq!(refused(b"POST /ab http/1"), syntax);
    let line_end = Refusal { kind: RefusalKind::LineEnd, offset: 16 };
    assert_eq!(refused(b"POST /a HTTP/1.1\n"), line_end);
    assert_eq!(refused(b"POST /a HTTP/1.1\nHost: a\r\n\r\n"), line_end);
}
