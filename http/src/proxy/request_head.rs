//! The head that an upstream gets, made anew of the client's: never its bytes.
//!
//! The server has parsed the request and refused what two parties could read differently. So the
//! line, the length and the fields of the connection are written here, and only the other fields
//! are copied. Nothing that says where the body ends is copied.

use std::io::Write;

use http::{Method, Version};

use super::forwarded::ForwardedPolicy;
use super::hop_by_hop::ConnectionNames;
use super::settings::HostPolicy;
use crate::message::Request;

/// How the head frames the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SentBody {
    /// No body, and no field about one.
    None,
    /// `Content-Length`
    Length(u64),
    /// `Transfer-Encoding: chunked`
    Chunked,
}

/// What a program has chosen about heads.
pub(super) struct HeadPolicy {
    pub(super) host: HostPolicy,
    pub(super) forwarded: ForwardedPolicy,
    /// The name of the proxy in `Via`.
    pub(super) via: String,
}

/// What is particular to one request.
pub(super) struct HeadParts<'p> {
    pub(super) upstream: &'p str,
    pub(super) body: SentBody,
    /// The protocol that the client asks for, if the proxy lets it pass.
    pub(super) upgrade: Option<&'p str>,
    /// The client waits with its body for a 100.
    pub(super) expects_continue: bool,
}

impl HeadPolicy {
    /// Appends the head of `request` to `out`.
    pub(super) fn put(&self, out: &mut Vec<u8>, request: &Request, parts: &HeadParts<'_>) {
        out.reserve(HEAD_BYTES_USUAL);
        put_line(out, request);
        self.put_host(out, request, parts.upstream);
        let headers = request.headers();
        let connection = ConnectionNames::of(headers);
        let is_trusted = self.forwarded.trusts(request.peer());
        let hops = (*request.method() == Method::OPTIONS).then(|| max_forwards(request)).flatten();
        for (name, value) in headers {
            if is_made_anew(name)
                || connection.has(name)
                || self.forwarded.replaces(name, is_trusted)
                || (hops.is_some() && name.eq_ignore_ascii_case(MAX_FORWARDS))
            {
                continue;
            }
            put_field(out, name, value);
        }
        if let Some(hops) = hops {
            let _ = write!(out, "{MAX_FORWARDS}: {}\r\n", hops.saturating_sub(1));
        }
        self.forwarded.put(out, request, is_trusted);
        self.put_via(out, request);
        match parts.body {
            SentBody::None => {}
            SentBody::Length(length) => {
                let _ = write!(out, "Content-Length: {length}\r\n"); // a vector takes everything
            }
            SentBody::Chunked => put_field(out, "Transfer-Encoding", b"chunked"),
        }
        if parts.expects_continue {
            put_field(out, "Expect", b"100-continue");
        }
        let takes_trailers = headers.list("te").any(|coding| coding.eq_ignore_ascii_case(TRAILERS));
        match (parts.upgrade, takes_trailers) {
            (Some(protocol), _) => {
                put_field(out, "Connection", b"Upgrade");
                put_field(out, "Upgrade", protocol.as_bytes());
            }
            // The proxy passes trailers on, so the upstream may send them.
            (None, true) => {
                put_field(out, "Connection", b"TE");
                put_field(out, "TE", TRAILERS.as_bytes());
            }
            (None, false) => {}
        }
        out.extend_from_slice(b"\r\n");
    }

    fn put_host(&self, out: &mut Vec<u8>, request: &Request, upstream: &str) {
        let host = match &self.host {
            // Only a client of HTTP/1.0 has none.
            HostPolicy::Keep => request.host().unwrap_or(upstream),
            HostPolicy::Upstream => upstream,
            HostPolicy::Fixed(host) => host,
        };
        put_field(out, "Host", host.as_bytes());
    }

    /// RFC 9110 section 7.6.3. The elements of earlier proxies stand in lines in front.
    fn put_via(&self, out: &mut Vec<u8>, request: &Request) {
        let version = if request.version() == Version::HTTP_10 { "1.0 " } else { "1.1 " };
        out.extend_from_slice(b"Via: ");
        out.extend_from_slice(version.as_bytes());
        out.extend_from_slice(self.via.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// How many more proxies may pass on a request that is about the way itself (RFC 9110 section
/// 7.6.2).
pub(super) fn max_forwards(request: &Request) -> Option<u64> {
    request.headers().get(MAX_FORWARDS)?.parse().ok()
}

/// The line has the origin form, whatever form the client has used (RFC 9112 section 3.2.1): the
/// host of an absolute target is in `Host`. OPTIONS for a whole server keeps the asterisk form, and
/// gets it if the client has used the absolute form without a path (section 3.2.4).
fn put_line(out: &mut Vec<u8>, request: &Request) {
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    let target = request.target();
    if target.starts_with('/') || target == "*" {
        out.extend_from_slice(target.as_bytes());
    } else if *request.method() == Method::OPTIONS && is_bare_authority(target) {
        out.push(b'*');
    } else {
        out.extend_from_slice(request.path().as_bytes());
        if let Some(query) = request.query() {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Whether an absolute target has neither a path nor a query.
fn is_bare_authority(target: &str) -> bool {
    target.split_once("://").is_some_and(|(_, behind)| !behind.contains(['/', '?']))
}

/// Fields that are written anew, beside those of the connection.
fn is_made_anew(name: &str) -> bool {
    match name.len() {
        4 => name.eq_ignore_ascii_case("host"),
        6 => name.eq_ignore_ascii_case("expect"),
        _ => false,
    }
}

fn put_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

const MAX_FORWARDS: &str = "Max-Forwards";
const TRAILERS: &str = "trailers";

/// How many bytes are reserved at once, so that a usual head needs no further allocation.
const HEAD_BYTES_USUAL: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::RequestBuilder;

    fn policy() -> HeadPolicy {
        let forwarded = ForwardedPolicy::untouched();
        HeadPolicy { host: HostPolicy::Keep, forwarded, via: "test".to_owned() }
    }

    fn head(policy: &HeadPolicy, request: RequestBuilder, parts: &HeadParts<'_>) -> String {
        let mut out = Vec::new();
        policy.put(&mut out, &request.build().expect("a request"), parts);
        String::from_utf8(out).expect("text")
    }

    const PARTS: HeadParts<'_> = HeadParts {
        upstream: "10.0.0.1:80",
        body: SentBody::None,
        upgrade: None,
        expects_continue: false,
    };

    #[test]
    fn the_fields_of_the_client_are_passed_on_and_those_of_its_connection_are_not() {
        let request = Request::builder()
            .header("host", "a.example")
            .append("accept", "*/*")
            .append("connection", "close, x-hop")
            .append("x-hop", "1")
            .append("keep-alive", "timeout=5")
            .append("proxy-authorization", "secret")
            .append("via", "1.0 other")
            .append("x-end", "2");
        assert_eq!(
            head(&policy(), request, &PARTS),
            "GET / HTTP/1.1\r\nHost: a.example\r\naccept: */*\r\nvia: 1.0 other\r\nx-end: 2\r\n\
             Via: 1.1 test\r\n\r\n"
        );
    }

    #[test]
    fn the_body_and_the_host_are_framed_anew() {
        let request = || Request::builder().header("host", "a.example");
        for (body, line) in [
            (SentBody::Length(0), "Content-Length: 0\r\n"),
            (SentBody::Length(u64::MAX), "Content-Length: 18446744073709551615\r\n"),
            (SentBody::Chunked, "Transfer-Encoding: chunked\r\n"),
        ] {
            let text = head(&policy(), request(), &HeadParts { body, ..PARTS });
            assert!(text.ends_with(&format!("{line}\r\n")), "{text}");
        }
        for (host, line) in [
            (HostPolicy::Keep, "Host: a.example\r\n"),
            (HostPolicy::Upstream, "Host: 10.0.0.1:80\r\n"),
            (HostPolicy::Fixed("b".to_owned()), "Host: b\r\n"),
        ] {
            let text = head(&HeadPolicy { host, ..policy() }, request(), &PARTS);
            assert!(text.contains(line), "{text}");
            assert_eq!(text.to_lowercase().matches("host:").count(), 1, "{text}");
        }
    }

    /// The four forms of RFC 9112 section 3.2; the authority form is that of CONNECT, which the
    /// proxy refuses.
    #[test]
    fn a_target_gets_the_origin_form_or_the_asterisk_form() {
        for (method, target, sent) in [
            (Method::GET, "/", "GET / "),
            (Method::GET, "/a?b=c", "GET /a?b=c "),
            (Method::OPTIONS, "/a?b", "OPTIONS /a?b "),
            (Method::GET, "http://x.example", "GET / "),
            (Method::GET, "http://x.example/", "GET / "),
            (Method::GET, "http://x.example?b", "GET /?b "),
            (Method::GET, "http://x.example/a/?b", "GET /a/?b "),
            (Method::GET, "https://x.example:8443//a", "GET //a "),
            (Method::OPTIONS, "*", "OPTIONS * "),
            (Method::OPTIONS, "http://x.example", "OPTIONS * "),
            (Method::OPTIONS, "HTTP://x.example:80", "OPTIONS * "),
            (Method::OPTIONS, "http://x.example/", "OPTIONS / "),
            (Method::OPTIONS, "http://x.example?", "OPTIONS /? "),
            (Method::OPTIONS, "http://x.example?b", "OPTIONS /?b "),
            (Method::OPTIONS, "http://x.example/*", "OPTIONS /* "),
        ] {
            let authority = target.split_once("://").map(|(_, behind)| behind);
            let end = |text: &str| text.find(['/', '?']).unwrap_or(text.len());
            let host = authority.map_or("localhost", |text| &text[..end(text)]);
            let request = Request::builder().method(method).target(target).header("host", host);
            let text = head(&policy(), request, &PARTS);
            let line = format!("{sent}HTTP/1.1\r\nHost: {host}\r\n");
            assert!(text.starts_with(&line), "{target}: {text}");
        }
    }

    #[test]
    fn what_a_connection_may_do_is_said_anew() {
        let request = || Request::builder().append("te", "trailers, gzip");
        let text = head(&policy(), request(), &PARTS);
        assert!(text.ends_with("Connection: TE\r\nTE: trailers\r\n\r\n"), "{text}");
        let parts = HeadParts { upgrade: Some("websocket"), expects_continue: true, ..PARTS };
        let text = head(&policy(), request(), &parts);
        let end = "Expect: 100-continue\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        assert!(text.ends_with(end), "{text}");
        let options = Request::builder().method(Method::OPTIONS).header("max-forwards", "3");
        let text = head(&policy(), options, &PARTS);
        assert!(text.contains("Max-Forwards: 2\r\n") && !text.contains('3'), "{text}");
    }
}
