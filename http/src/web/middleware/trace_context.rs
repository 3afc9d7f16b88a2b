//! Trace context (W3C Recommendation): by which trace of calls a request was made.

use std::fmt;

use straightline_sched::random_u64;

use crate::conn::Next;
use crate::message::{Request, Response};

/// The place of a request in a trace: of which trace it is a part, and the id of this part.
///
/// `Display` writes it as the value of a `traceparent` field, for the calls that the handler makes.
///
/// ```
/// use straightline::Request;
/// use straightline::testing::Client;
/// use straightline::web::{RequestExt, middleware};
///
/// fn hello(request: &mut Request) -> String {
///     let trace = request.trace_context().expect("behind the middleware");
///     // For a call to another service: header("traceparent", trace.header_value())
///     trace.header_value()
/// }
///
/// let client = Client::with_settings(hello, |server| server.wrap(middleware::trace_context));
/// let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let answer = client.get("/").header("traceparent", sent).send();
/// assert!(answer.text().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
/// assert!(answer.text().ends_with("-01") && answer.text() != sent);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    parent_id: Option<u64>,
    flags: u8,
    state: Option<String>,
}

/// Reads the trace context of each request, or begins a trace, and gives the request a span id of
/// its own. The handler gets it by [`trace_context`](crate::web::RequestExt::trace_context).
///
/// A `traceparent` field that is malformed, or that stands there twice, counts as none. A
/// `tracestate` field that is malformed or too long is dropped. A new trace is not marked as
/// sampled, because nothing is recorded here.
///
/// # Blocking
///
/// A yield point if the handler is one.
pub fn trace_context(request: &mut Request, next: Next<'_>) -> Response {
    let context = TraceContext::of(request);
    request.extensions_mut().insert(context);
    next.run(request)
}

impl TraceContext {
    /// The context of a request, with a new span id.
    fn of(request: &Request) -> Self {
        let mut parents = request.headers().all("traceparent");
        let (Some(parent), None) = (parents.next().and_then(parse_parent), parents.next()) else {
            let trace_id = (u128::from(nonzero()) << 64) | u128::from(random_u64());
            let (parent_id, state) = (None, None);
            return Self { trace_id, span_id: nonzero(), parent_id, flags: 0, state };
        };
        let lines: Vec<_> = request.headers().all("tracestate").collect();
        let state = parse_state(&lines.join(&b","[..]));
        Self { span_id: nonzero(), state, ..parent }
    }

    /// The id of the trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The id of this request in the trace: 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// The id of the caller's part; `None` if the trace begins here.
    pub fn parent_id(&self) -> Option<String> {
        self.parent_id.map(|id| format!("{id:016x}"))
    }

    /// Whether the caller may have recorded its part of the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The value of `traceparent` for a call that belongs to this request.
    pub fn header_value(&self) -> String {
        self.to_string()
    }

    /// The value of `tracestate` for such a call, if there is one.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// A `traceparent` (section 3.2). The span id is the caller's.
fn parse_parent(value: &[u8]) -> Option<TraceContext> {
    let (known, behind) = value.split_at_checked(PARENT_BYTES)?;
    let mut parts = known.split(|&byte| byte == b'-');
    let (version, trace_id) = (hex(parts.next()?, 2)?, hex(parts.next()?, 32)?);
    let (parent_id, flags) = (hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
    let fits_version = match version {
        0 => behind.is_empty(),
        0xff => false,
        // A later version may have more parts (section 4.3).
        _ => behind.is_empty() || behind.starts_with(b"-"),
    };
    if parts.next().is_some() || !fits_version || trace_id == 0 || parent_id == 0 {
        return None;
    }
    let parent_id = u64::try_from(parent_id).ok()?;
    // Of a later version only the flag that this one knows is understood.
    let known_flags = if version == 0 { 0xff } else { SAMPLED };
    let flags = u8::try_from(flags).ok()? & known_flags;
    let parent_id = Some(parent_id);
    Some(TraceContext { trace_id, span_id: 0, parent_id, flags, state: None })
}

/// A number of that many digits, which are hexadecimal and in small letters.
fn hex(digits: &[u8], count: usize) -> Option<u128> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != count || !digits.iter().all(is_digit) {
        return None;
    }
    u128::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// A `tracestate` (section 3.3): a list of `key=value`, each key once.
fn parse_state(value: &[u8]) -> Option<String> {
    let text = str::from_utf8(value).ok().filter(|text| text.len() <= STATE_BYTES_MAX)?;
    let members: Vec<&str> =
        text.split(',').map(|member| member.trim_matches([' ', '\t'])).collect();
    let members: Vec<&str> = members.into_iter().filter(|member| !member.is_empty()).collect();
    let mut keys = Vec::new();
    for member in &members {
        let (key, value) = member.split_once('=')?;
        let of_key = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte)
        };
        let of_value = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
        let is_good = !key.is_empty()
            && key.len() <= KEY_BYTES_MAX
            && key.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && key.bytes().all(of_key)
            && !value.is_empty()
            && value.bytes().all(of_value);
        if !is_good || keys.contains(&key) || keys.len() == MEMBERS_MAX {
            return None;
        }
        keys.push(key);
    }
    (!members.is_empty()).then(|| members.join(","))
}

/// An id: zero is none.
fn nonzero() -> u64 {
    random_u64().max(1)
}

/// The flag of a caller that may have recorded its part.
const SAMPLED: u8 = 1;

/// The bytes of a `traceparent` of version 0.
const PARENT_BYTES: usize = 55;

/// The most bytes of a `tracestate` that is passed on: those that every implementation should pass
/// on (section 3.3.1.5).
const STATE_BYTES_MAX: usize = 512;

/// The most members of a `tracestate` (section 3.3.1.1).
const MEMBERS_MAX: usize = 32;

/// The longest key of a member: those of several tenants have 241 bytes, `@` and 14 more.
const KEY_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_parent_is_taken() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let later = good.replacen("00", "01", 1);
        for (value, is_good) in [
            (good.to_owned(), true),
            (good.replace("-01", "-fe"), true),
            (later.clone(), true),
            (later.clone() + "-what-the-future-brings", true),
            (later + ".x", false),
            (good.to_owned() + "-x", false),
            (good.replacen("00", "ff", 1), false),
            (good.to_uppercase(), false),
            (good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)), false),
            (good.replace("00f067aa0ba902b7", &"0".repeat(16)), false),
            (good[..54].to_owned(), false),
            (good.replace('-', "_"), false),
            (good.replace("4bf9", "4b-9"), false),
            (good.replace("4bf9", "+bf9"), false),
            (String::new(), false),
        ] {
            assert_eq!(parse_parent(value.as_bytes()).is_some(), is_good, "{value}");
        }
        let parent = parse_parent(good.as_bytes()).expect("it is good");
        assert!(parent.is_sampled());
        assert_eq!(parent.parent_id().as_deref(), Some("00f067aa0ba902b7"));
    }

    #[test]
    fn only_a_well_formed_state_is_passed_on() {
        let many = (0..33).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        for (value, expected) in [
            ("a=1,b@c=2", Some("a=1,b@c=2")),
            (" a=1 ,, b=x y", Some("a=1,b=x y")),
            ("a=1,a=2", None),
            ("A=1", None),
            ("a", None),
            ("a=", None),
            ("a=b=c", None),
            ("a=\u{e9}", None),
            ("", None),
            (&many, None),
            (&format!("a={}", "x".repeat(600)), None),
        ] {
            assert_eq!(parse_state(value.as_bytes()).as_deref(), expected, "{value}");
        }
    }
}
