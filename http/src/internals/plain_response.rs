//! Responses, as a plain reader finds them in bytes that are all there. It works line by line, and
//! shares no code with the reader of the proxy.

use super::fuzz_chunked::decode_plainly;
use crate::Limits;

/// What a plain reader finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plain {
    /// A response, and the connection may be used again if nothing follows.
    Whole(PlainResponse),
    /// A good head, and a body that is not complete.
    Cut(PlainResponse),
    /// No head, or one that is to be refused.
    None,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlainResponse {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    /// How many interim responses stand in front, without those that a proxy keeps: each 100.
    pub(super) interim: usize,
    /// Where the response ends.
    pub(super) end: usize,
    /// Another request may follow on the connection.
    pub(super) is_reusable: bool,
}

/// Reads the response at the beginning of `bytes`, past interim responses. `is_closed` says that
/// the connection ends behind them.
pub(super) fn read_plainly(bytes: &[u8], is_head: bool, is_closed: bool) -> Plain {
    let (mut at, mut count, mut interim) = (0, 0, 0);
    loop {
        let Some(head) = read_head(&bytes[at..]) else { return Plain::None };
        at += head.end;
        let announces = !head.codings.is_empty() || head.lengths.iter().any(|&length| length > 0);
        match head.status {
            101 => return Plain::None, // it was not asked for
            100..200 if announces || count == INTERIM_MAX => return Plain::None,
            100..200 => (count, interim) = (count + 1, interim + usize::from(head.status != 100)),
            _ => {
                let mut response = PlainResponse {
                    status: head.status,
                    is_reusable: head.keeps && !(announces && head.status == 204),
                    fields: head.fields,
                    body: Vec::new(),
                    interim,
                    end: at,
                };
                let has_none = is_head || matches!(head.status, 204 | 304);
                response.is_reusable &= head.status != 304 || head.codings.is_empty();
                let rest = &bytes[at..];
                let body = match (head.codings.is_empty(), head.lengths.first()) {
                    _ if has_none => Some((Vec::new(), 0)),
                    (false, _) => decode_plainly(rest, &limits()),
                    (true, Some(&length)) => usize::try_from(length)
                        .ok()
                        .and_then(|length| Some((rest.get(..length)?.to_vec(), length))),
                    (true, None) => {
                        response.is_reusable = false;
                        is_closed.then(|| (rest.to_vec(), rest.len()))
                    }
                };
                let Some((body, used)) = body else { return Plain::Cut(response) };
                (response.body, response.end) = (body, at + used);
                return Plain::Whole(response);
            }
        }
    }
}

struct PlainHead {
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    lengths: Vec<u64>,
    codings: Vec<Vec<u8>>,
    keeps: bool,
    end: usize,
}

/// A head, if it is good and the framing in it is clear.
fn read_head(bytes: &[u8]) -> Option<PlainHead> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let mut lines = Vec::new();
    for line in bytes[..end - 2].split_inclusive(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r\n")?;
        if line.contains(&b'\r') {
            return None;
        }
        lines.push(line);
    }
    let (first, rest) = lines.split_first()?;
    let (status, minor) = read_status_line(first)?;
    let mut fields = Vec::new();
    for line in rest {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = (std::str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]);
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) || !value.iter().copied().all(is_text) {
            return None;
        }
        fields.push((name.to_owned(), value.trim_ascii().to_vec()));
    }
    let values = |wanted: &str| {
        let of = |(name, _): &&(String, Vec<u8>)| name.eq_ignore_ascii_case(wanted);
        fields.iter().filter(of).map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let lengths: Option<Vec<u64>> =
        values("content-length").iter().map(|value| read_length(value)).collect();
    let (lengths, codings) = (lengths?, values("transfer-encoding"));
    let is_clear = match (&lengths[..], &codings[..]) {
        ([], [coding]) => minor > 0 && coding.eq_ignore_ascii_case(b"chunked"),
        (lengths, codings) => lengths.len() + codings.len() <= 1,
    };
    if fields.len() > FIELDS_MAX || !is_clear {
        return None;
    }
    let connection = values("connection").join(&b","[..]).to_ascii_lowercase();
    let says = |option: &[u8]| connection.split(|&b| b == b',').any(|x| x.trim_ascii() == option);
    let keeps = (minor > 0 || says(b"keep-alive")) && !says(b"close");
    Some(PlainHead { status, fields, lengths, codings, keeps, end })
}

/// `HTTP/1.x SP status [ SP reason ]`
fn read_status_line(line: &[u8]) -> Option<(u16, u8)> {
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b' ', status @ ..] = line else {
        return None;
    };
    let (digits, rest) = status.split_at_checked(3)?;
    let is_good = minor.is_ascii_digit()
        && digits.iter().all(u8::is_ascii_digit)
        && matches!(rest, [] | [b' ', ..])
        && rest.iter().copied().all(is_text);
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (is_good && (100..600).contains(&status)).then(|| (status, minor - b'0'))
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn read_length(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let length: u64 = text.parse().ok()?;
    (length.to_string() == text).then_some(length)
}

fn limits() -> Limits {
    Limits {
        body_bytes: u64::MAX,
        chunk_extension_bytes: 1 << 20,
        trailer_bytes: 8 * 1024,
        ..Limits::default()
    }
}

/// As the proxy's.
pub(super) const INTERIM_MAX: usize = 16;

/// Of a head, and of the trailers of a chunked body.
pub(super) const FIELDS_MAX: usize = 200;

/// For tests: responses that are made of these parts. Bytes at random are hardly ever a head.
#[cfg(test)]
pub(super) fn responses_of(parts: &[u8]) -> impl Iterator<Item = String> {
    let part = |number: &u8| PARTS[usize::from(*number) % PARTS.len()];
    let text: String = parts.iter().map(part).collect();
    let starts = ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"];
    starts.into_iter().map(move |start| format!("{start}{text}"))
}

/// Parts of responses, good and bad.
#[cfg(test)]
const PARTS: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 404\r\n",
    "HTTP/1.1 204 x\r\n",
    "HTTP/1.1 304 x\r\n",
    "HTTP/1.1 103 x\r\n",
    "HTTP/1.1 100\r\n\r\n",
    "Content-Length: 3\r\n",
    "content-length:0\r\n",
    "Content-Length: 3, 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Connection: close\r\n",
    "Connection: x, Keep-Alive\r\n",
    "X: \t y \r\n",
    "X : y\r\n",
    "\r\n",
    "\r\n",
    "3\r\nabc\r\n",
    "3;a=\"b\"\r\nabc\r\n",
    "0\r\n",
    "0\r\n\r\n",
    "abc",
    "\r",
    "\n",
    " ",
    "\0",
];
