//! A line for each request.
//!
//! A client's text cannot forge a line: quotes, backslashes, control bytes and bytes that are not
//! ASCII are escaped as Apache does it, and in JSON as JSON requires. One request cannot fill the
//! log either: long targets and fields are cut.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Version;

use super::escaped::{boundary_below, is_printable};
use super::finished_request::FinishedRequest;

/// What the lines of an access log look like.
///
/// ```text
/// 192.0.2.1 - - [22/Nov/2026:13:08:04 +0000] "GET /x HTTP/1.1" 200 1234
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessLogFormat {
    /// The Common Log Format, as above: the client's address, time, request line, status, and bytes
    /// of the body, without chunk framing.
    Common,
    /// The Common Log Format with the fields `Referer` and `User-Agent`: what most analysers read.
    Combined,
    /// A JSON object, with the keys `time` (RFC 3339), `peer`, `method`, `target`, `version`,
    /// `status`, `bytes`, `duration_us`, `outcome` (see [`Outcome::name`](crate::Outcome::name)),
    /// `route`, `host`, `referer` and `user_agent`; the last four may be null. If the connection is
    /// TLS, also `tls_version`, `tls_cipher`, `tls_server_name` (or null) and `tls_resumed`.
    Json,
}

/// A request and its outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'e> {
    pub(crate) time: SystemTime,
    pub(crate) peer: &'e str,
    /// The peer without its port.
    pub(crate) client: &'e str,
    /// Method, target and version; `None` if the head was malformed.
    pub(crate) line: Option<(&'e str, &'e str, &'static str)>,
    /// 0 if the client got no answer.
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) duration: Duration,
    pub(crate) outcome: &'static str,
    pub(crate) route: Option<&'static str>,
    pub(crate) host: Option<&'e [u8]>,
    pub(crate) referer: Option<&'e [u8]>,
    pub(crate) user_agent: Option<&'e [u8]>,
    pub(crate) tls: Option<TlsWords<'e>>,
}

/// What is said about the TLS of a request's connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TlsWords<'e> {
    version: &'e str,
    cipher_suite: &'e str,
    server_name: Option<&'e str>,
    is_resumed: bool,
}

impl<'e> Entry<'e> {
    /// The entry of a request; `peer` and `client` are its client with and without the port.
    pub(crate) fn of(request: &FinishedRequest<'e>, peer: &'e str, client: &'e str) -> Self {
        let version = match request.version {
            Some(Version::HTTP_10) => "HTTP/1.0",
            _ => "HTTP/1.1",
        };
        let line = request.method.zip(request.target);
        let field = |name: &str| request.headers.get_bytes(name);
        Self {
            time: request.begun,
            peer,
            client,
            line: line.map(|(method, target)| (method.as_str(), target, version)),
            status: request.status.map_or(0, |status| status.as_u16()),
            bytes: request.response_bytes,
            duration: request.duration,
            outcome: request.outcome.name(),
            route: request.route,
            host: field("host"),
            referer: field("referer"),
            user_agent: field("user-agent"),
            tls: tls_words(request),
        }
    }
}

#[cfg(feature = "_tls")]
fn tls_words<'e>(request: &FinishedRequest<'e>) -> Option<TlsWords<'e>> {
    request.tls.map(|info| TlsWords {
        version: info.version(),
        cipher_suite: info.cipher_suite(),
        server_name: info.server_name(),
        is_resumed: info.is_resumed(),
    })
}

#[cfg(not(feature = "_tls"))]
fn tls_words<'e>(_: &FinishedRequest<'e>) -> Option<TlsWords<'e>> {
    None
}

impl AccessLogFormat {
    /// The line, with its line end.
    pub(crate) fn line(self, entry: &Entry<'_>) -> String {
        let mut line = String::with_capacity(200);
        let texts = Texts::of(entry);
        let entry = &texts.in_entry(entry);
        // Writing to a string cannot fail, here and below.
        let _ = match self {
            Self::Common | Self::Combined => apache(&mut line, entry, self == Self::Combined),
            Self::Json => json(&mut line, entry),
        };
        line.push('\n');
        line
    }
}

/// The client's texts of an entry; long ones are cut.
struct Texts<'e> {
    target: Option<Cow<'e, str>>,
    fields: [Option<Cow<'e, [u8]>>; 3],
}

impl<'e> Texts<'e> {
    fn of(entry: &Entry<'e>) -> Self {
        let target = entry.line.map(|(_, target, _)| {
            if target.len() <= TEXT_BYTES_MAX {
                return Cow::Borrowed(target);
            }
            let end = boundary_below(target, TEXT_BYTES_MAX);
            (target[..end].to_owned() + CUT).into()
        });
        let cut = |field: &'e [u8]| match field.get(..TEXT_BYTES_MAX) {
            Some(begin) if field.len() > TEXT_BYTES_MAX => [begin, CUT.as_bytes()].concat().into(),
            _ => Cow::Borrowed(field),
        };
        let fields = [entry.host, entry.referer, entry.user_agent].map(|field| field.map(cut));
        Self { target, fields }
    }

    fn in_entry<'t>(&'t self, entry: &Entry<'t>) -> Entry<'t> {
        let line = entry.line.map(|(method, target, version)| {
            (method, self.target.as_deref().unwrap_or(target), version)
        });
        let [host, referer, user_agent] = self.fields.each_ref().map(Option::as_deref);
        Entry { line, host, referer, user_agent, ..*entry }
    }
}

/// How many bytes of a target or a field are kept, before escaping, which makes them up to six
/// times as long. Arbitrary: longer texts rarely differ only at their ends.
const TEXT_BYTES_MAX: usize = 2_048;

/// Marks where a text was cut.
const CUT: &str = "...";

fn apache(line: &mut String, entry: &Entry<'_>, is_combined: bool) -> std::fmt::Result {
    let Entry { client, status, bytes, .. } = entry;
    let Date { year, month, day, hour, minute, second, .. } = Date::of(entry.time);
    let name = MONTHS[month - 1];
    write!(
        line,
        "{client} - - [{day:02}/{name}/{year}:{hour:02}:{minute:02}:{second:02} +0000] \""
    )?;
    match entry.line {
        Some((method, target, version)) => {
            line.push_str(method);
            line.push(' ');
            escape_apache(line, target.as_bytes());
            write!(line, " {version}")?;
        }
        None => line.push('-'),
    }
    write!(line, "\" {status:03} {bytes}")?;
    if is_combined {
        for field in [entry.referer, entry.user_agent] {
            line.push_str(" \"");
            escape_apache(line, field.unwrap_or(b"-"));
            line.push('"');
        }
    }
    Ok(())
}

fn json(line: &mut String, entry: &Entry<'_>) -> std::fmt::Result {
    let Date { year, month, day, hour, minute, second, millis } = Date::of(entry.time);
    write!(line, "{{\"time\":\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
    write!(line, ".{millis:03}Z\",\"peer\":")?;
    escape_json(line, entry.peer.as_bytes());
    let (method, target, version) = match entry.line {
        Some((method, target, version)) => (Some(method), Some(target), Some(version)),
        None => (None, None, None),
    };
    for (key, value) in [("method", method), ("target", target), ("version", version)] {
        member(line, key, value.map(str::as_bytes))?;
    }
    let Entry { status, bytes, duration, .. } = entry;
    let micros = duration.as_micros();
    write!(line, ",\"status\":{status},\"bytes\":{bytes},\"duration_us\":{micros}")?;
    member(line, "outcome", Some(entry.outcome.as_bytes()))?;
    member(line, "route", entry.route.map(str::as_bytes))?;
    member(line, "host", entry.host)?;
    member(line, "referer", entry.referer)?;
    member(line, "user_agent", entry.user_agent)?;
    if let Some(TlsWords { version, cipher_suite, server_name, is_resumed }) = entry.tls {
        member(line, "tls_version", Some(version.as_bytes()))?;
        member(line, "tls_cipher", Some(cipher_suite.as_bytes()))?;
        member(line, "tls_server_name", server_name.map(str::as_bytes))?;
        write!(line, ",\"tls_resumed\":{is_resumed}")?;
    }
    line.push('}');
    Ok(())
}

fn member(line: &mut String, key: &str, value: Option<&[u8]>) -> std::fmt::Result {
    write!(line, ",\"{key}\":")?;
    match value {
        Some(value) => escape_json(line, value),
        None => line.push_str("null"),
    }
    Ok(())
}

/// As Apache's `%r` and `%{...}i`.
fn escape_apache(line: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => line.extend(['\\', char::from(byte)]),
            b' '..=b'~' => line.push(char::from(byte)),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
}

/// A string of RFC 8259. Bytes that are not UTF-8 become replacement characters.
pub(crate) fn escape_json(line: &mut String, bytes: &[u8]) {
    line.push('"');
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            // Also separators, which some readers take for line ends, and characters that change
            // the direction of text.
            _ if !is_printable(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
            _ => line.push(character),
        }
    }
    line.push('"');
}

/// A time of day in UTC.
struct Date {
    year: u64,
    month: usize,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    millis: u32,
}

impl Date {
    /// A time before 1970 counts as 1970: such a clock was never set.
    fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        // Days since the first of March of year 0, so that leap days come last. 400 years always
        // have the same number of days (H. Hinnant, "chrono-compatible low-level date algorithms").
        let days = days + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month: usize::try_from(month).unwrap_or(1),
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            hour: seconds / 3_600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            millis: since.subsec_millis(),
        }
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    fn entry() -> Entry<'static> {
        Entry {
            time: UNIX_EPOCH + Duration::from_millis(1_795_352_884_056),
            peer: "192.0.2.1:4711",
            client: "192.0.2.1",
            line: Some(("GET", "/x?y=\"z\"", "HTTP/1.1")),
            status: 200,
            bytes: 1_234,
            duration: Duration::from_micros(56),
            outcome: "answered",
            route: None,
            host: Some(b"example.org"),
            referer: None,
            user_agent: Some(b"a\"b\\c\n\xff"),
            tls: None,
        }
    }

    #[test]
    fn lines_are_as_analysers_read_them() {
        let begin = "192.0.2.1 - - [22/Nov/2026:13:08:04 +0000] \
                     \"GET /x?y=\\\"z\\\" HTTP/1.1\" 200 1234";
        assert_eq!(AccessLogFormat::Common.line(&entry()), format!("{begin}\n"));
        assert_eq!(
            AccessLogFormat::Combined.line(&entry()),
            format!("{begin} \"-\" \"a\\\"b\\\\c\\x0a\\xff\"\n")
        );
        assert_eq!(
            AccessLogFormat::Json.line(&entry()),
            "{\"time\":\"2026-11-22T13:08:04.056Z\",\"peer\":\"192.0.2.1:4711\",\
             \"method\":\"GET\",\"target\":\"/x?y=\\\"z\\\"\",\"version\":\"HTTP/1.1\",\
             \"status\":200,\"bytes\":1234,\"duration_us\":56,\"outcome\":\"answered\",\
             \"route\":null,\"host\":\"example.org\",\
             \"referer\":null,\"user_agent\":\"a\\\"b\\\\c\\u000a\u{fffd}\"}\n"
        );
        let odd = "\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{e0001}\u{e9}".as_bytes();
        let odd = AccessLogFormat::Json.line(&Entry { user_agent: Some(odd), ..entry() });
        let expected = "\\u001b[2J\\u007f\\u009b\\u202e\\udb40\\udc01\u{e9}\"}\n";
        assert!(odd.ends_with(expected), "{odd}");
        let none = Entry { line: None, status: 0, ..entry() };
        assert!(AccessLogFormat::Common.line(&none).ends_with("] \"-\" 000 1234\n"));
        assert!(AccessLogFormat::Json.line(&none).contains("\"method\":null,\"target\":null"));
    }

    #[test]
    fn a_json_line_says_what_a_tls_connection_agreed_on() {
        let tls = TlsWords {
            version: "TLSv1.3",
            cipher_suite: "TLS_AES_128_GCM_SHA256",
            server_name: None,
            is_resumed: true,
        };
        let line = AccessLogFormat::Json.line(&Entry { tls: Some(tls), ..entry() });
        let end = ",\"tls_version\":\"TLSv1.3\",\"tls_cipher\":\"TLS_AES_128_GCM_SHA256\",\
                   \"tls_server_name\":null,\"tls_resumed\":true}\n";
        assert!(line.ends_with(end), "{line}");
        let tls = TlsWords { server_name: Some("example.org"), is_resumed: false, ..tls };
        let line = AccessLogFormat::Json.line(&Entry { tls: Some(tls), ..entry() });
        let end = ",\"tls_server_name\":\"example.org\",\"tls_resumed\":false}\n";
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn a_line_is_short_whatever_is_said() {
        let (target, field) = ("/é".repeat(20_000), vec![0; 60_000]);
        let line = Some(("GET", &target[..], "HTTP/1.1"));
        let (host, referer, user_agent) = (Some(&field[..]), Some(&field[..]), Some(&field[..]));
        let entry = Entry { line, host, referer, user_agent, ..entry() };
        for format in [AccessLogFormat::Common, AccessLogFormat::Combined, AccessLogFormat::Json] {
            let line = format.line(&entry);
            assert!(line.contains("..."), "it says that it was cut");
            assert!(line.len() < 25 * TEXT_BYTES_MAX, "{} bytes", line.len());
        }
        let target = "x".repeat(TEXT_BYTES_MAX);
        let whole = Entry { line: Some(("GET", &target, "HTTP/1.1")), ..entry };
        assert!(AccessLogFormat::Common.line(&whole).contains(&format!("GET {target} HTTP")));
    }

    quickcheck! {
        fn a_line_is_one_line_whatever_is_said(text: Vec<u8>) -> bool {
            let entry = Entry { referer: Some(&text), user_agent: Some(&text), ..entry() };
            [AccessLogFormat::Combined, AccessLogFormat::Json].iter().all(|format| {
                let line = format.line(&entry);
                let body = &line[..line.len() - 1];
                line.ends_with('\n') && body.chars().all(is_printable)
            })
        }

        /// Against the dates that the `httpdate` crate writes.
        fn dates_are_right(seconds: u32) -> bool {
            let time = UNIX_EPOCH + Duration::from_secs(u64::from(seconds) * 3);
            let Date { year, month, day, hour, minute, second, .. } = Date::of(time);
            let month = MONTHS[month - 1];
            let text = format!("{day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT");
            httpdate::fmt_http_date(time).ends_with(&text)
        }
    }
}
