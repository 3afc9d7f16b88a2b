//! The fields in which the proxy names its client: `Forwarded` (RFC 7239), and `X-Forwarded-For`,
//! `-Proto` and `-Host` and `X-Real-IP`, which more programs read.
//!
//! What a client writes into them itself may be a lie, so the proxy replaces it. The same holds for
//! the fields of other proxies and of networks for content, such as `CF-Connecting-IP`: the proxy
//! removes those. Only from proxies that the program trusts all of them are passed on, and those
//! that are lists are extended.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use crate::config::{Networks, Peer};
use crate::message::Request;

/// What a proxy tells its upstreams about its clients.
///
/// | field of the request | from a client | from a trusted proxy |
/// |---|---|---|
/// | `Forwarded`, `X-Forwarded-For` | replaced | extended by the address of that proxy |
/// | `X-Forwarded-Host`, `X-Forwarded-Proto`, `X-Real-IP` | replaced | passed on |
/// | any other `X-Forwarded-*`, such as `-Port`, `-Prefix` and `-Server` | removed | passed on |
/// | those below | removed | passed on |
///
/// The last row is for `X-Client-IP`, `Client-IP`, `X-Cluster-Client-IP`,
/// `X-Original-Forwarded-For`, `True-Client-IP`, `CF-Connecting-IP`, `CF-Connecting-IPv6`,
/// `CF-Pseudo-IPv4` and `Fastly-Client-IP`. Names with underscores count as those with hyphens. A
/// private name that is in no row is passed on: an upstream that believes it believes the client.
///
/// ```
/// use straightline::Networks;
/// use straightline::proxy::ForwardedPolicy;
///
/// // A load balancer in front of this proxy names the clients.
/// let policy = ForwardedPolicy::trusting(Networks::new(["10.0.0.0/8"])?);
/// # Ok::<(), straightline::NetworkError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ForwardedPolicy {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Nothing is written, and what the client has written stays.
    Untouched,
    /// The client's fields are replaced, unless the client is in one of these networks.
    Written(Option<Networks>),
}

impl ForwardedPolicy {
    /// The proxy's own fields replace those of the client: the default. Not a yield point.
    pub fn replace() -> Self {
        Self { kind: Kind::Written(None) }
    }

    /// As [`replace`](Self::replace); but fields of a client in one of these networks, which is a
    /// proxy itself, are passed on, and the proxy adds its own element. Not a yield point.
    pub fn trusting(proxies: Networks) -> Self {
        Self { kind: Kind::Written(Some(proxies)) }
    }

    /// The fields are passed on as they are, and the proxy writes none. Then no upstream may
    /// believe them. Not a yield point.
    pub fn untouched() -> Self {
        Self { kind: Kind::Untouched }
    }

    /// Whether it believes what that client says about another one.
    pub(super) fn trusts(&self, client: &Peer) -> bool {
        match &self.kind {
            Kind::Untouched | Kind::Written(None) => false,
            Kind::Written(Some(trusted)) => trusted.contains_peer(client),
        }
    }

    /// Whether a field of a client, which is trusted or not, is not passed on as it is.
    pub(super) fn replaces(&self, name: &str, is_trusted: bool) -> bool {
        if matches!(self.kind, Kind::Untouched) {
            return false;
        }
        // All names begin with one of these, and most fields do not.
        let first = name.as_bytes().first().map(u8::to_ascii_lowercase);
        if name.len() < SHORTEST || !matches!(first, Some(b'x' | b'f' | b'c' | b't')) {
            return false;
        }
        if WRITTEN.iter().any(|written| is_same(name, written)) {
            return true;
        }
        let is_x_forwarded = name.get(..X_FORWARDED.len()).is_some_and(|x| is_same(x, X_FORWARDED));
        !is_trusted && (is_x_forwarded || REMOVED.iter().any(|removed| is_same(name, removed)))
    }

    /// Appends the fields for this request.
    pub(super) fn put(&self, out: &mut Vec<u8>, request: &Request, is_trusted: bool) {
        if matches!(self.kind, Kind::Untouched) {
            return;
        }
        let address = match request.peer() {
            Peer::Tcp(address) => Some(*address),
            Peer::Unix | Peer::Named(_) => None,
        };
        let scheme = if is_secure(request) { "https" } else { "http" };
        let host = request.host().unwrap_or_default();

        begin(out, request, FORWARDED, is_trusted);
        put_element(out, address, host, scheme);
        out.extend_from_slice(b"\r\n");

        begin(out, request, "X-Forwarded-For", is_trusted);
        match address {
            Some(address) => put(out, format_args!("{}\r\n", address.ip().to_canonical())),
            None => out.extend_from_slice(b"unknown\r\n"),
        }
        // These are about the request of the outermost client: a trusted proxy knows them.
        let is_passed_on = is_trusted && pass_on(out, request, "X-Forwarded-Host");
        if !is_passed_on && !host.is_empty() {
            out.extend_from_slice(b"X-Forwarded-Host: ");
            out.extend_from_slice(host.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if !(is_trusted && pass_on(out, request, "X-Forwarded-Proto")) {
            out.extend_from_slice(b"X-Forwarded-Proto: ");
            out.extend_from_slice(scheme.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        // Without a word of a trusted proxy, its client is unknown.
        if is_trusted {
            pass_on(out, request, X_REAL_IP);
        } else if let Some(address) = address {
            put(out, format_args!("{X_REAL_IP}: {}\r\n", address.ip().to_canonical()));
        }
    }
}

/// Whether the names are the same for a program behind CGI or its heirs, which cannot tell
/// `X_Forwarded_For` from `X-Forwarded-For`.
fn is_same(name: &str, known: &str) -> bool {
    let same = |(a, b): (u8, u8)| a.eq_ignore_ascii_case(&b) || (a, b) == (b'_', b'-');
    name.len() == known.len() && name.bytes().zip(known.bytes()).all(same)
}

impl Default for ForwardedPolicy {
    fn default() -> Self {
        Self::replace()
    }
}

/// Appends the name of a list field, and behind it the elements of a trusted client.
fn begin(out: &mut Vec<u8>, request: &Request, name: &str, is_trusted: bool) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    if is_trusted {
        for value in request.headers().all(name).filter(|value| !value.is_empty()) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }
}

/// Appends the client's fields of that name; false if it has sent none.
fn pass_on(out: &mut Vec<u8>, request: &Request, name: &str) -> bool {
    let mut has_any = false;
    for value in request.headers().all(name) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
        has_any = true;
    }
    has_any
}

/// An element of `Forwarded` (RFC 7239 section 4). An address of IPv6 and a host with a port are no
/// tokens, so they are quoted; no host that the server lets in has a quote or a backslash.
fn put_element(out: &mut Vec<u8>, address: Option<SocketAddr>, host: &str, scheme: &str) {
    match address.map(|address| address.ip().to_canonical()) {
        Some(IpAddr::V4(ip)) => put(out, format_args!("for={ip}")),
        Some(IpAddr::V6(ip)) => put(out, format_args!("for=\"[{ip}]\"")),
        None => out.extend_from_slice(b"for=unknown"),
    }
    if !host.is_empty() {
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(host.as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(scheme.as_bytes());
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text); // a vector takes everything
}

#[cfg(feature = "_tls")]
fn is_secure(request: &Request) -> bool {
    request.tls().is_some()
}

#[cfg(not(feature = "_tls"))]
fn is_secure(_: &Request) -> bool {
    false
}

const FORWARDED: &str = "Forwarded";
const X_REAL_IP: &str = "X-Real-IP";
const X_FORWARDED: &str = "X-Forwarded-";

/// The fields that the proxy writes.
const WRITTEN: [&str; 5] =
    [FORWARDED, "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", X_REAL_IP];

/// The fields in which other proxies name a client, besides `X-Forwarded-*`.
const REMOVED: [&str; 9] = [
    "X-Client-IP",
    "Client-IP",
    "X-Cluster-Client-IP",
    "X-Original-Forwarded-For",
    "True-Client-IP",
    "CF-Connecting-IP",
    "CF-Connecting-IPv6",
    "CF-Pseudo-IPv4",
    "Fastly-Client-IP",
];

/// The length of the shortest of these names.
const SHORTEST: usize = FORWARDED.len();

#[cfg(test)]
mod tests {
    use super::*;

    fn written(policy: &ForwardedPolicy, peer: &str, fields: &[(&'static str, &str)]) -> String {
        let mut request = Request::builder().header("host", "a.example:80");
        request = match peer.parse() {
            Ok(address) => request.peer(Peer::Tcp(address)),
            Err(_) => request.peer(Peer::named("a test")),
        };
        for (name, value) in fields {
            request = request.append(*name, *value);
        }
        let mut out = Vec::new();
        let request = request.build().expect("a request");
        policy.put(&mut out, &request, policy.trusts(request.peer()));
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_a_client_says_of_itself_is_replaced() {
        let said = [("forwarded", "for=9.9.9.9"), ("x-forwarded-for", "9.9.9.9")];
        assert_eq!(
            written(&ForwardedPolicy::replace(), "192.0.2.1:5", &said),
            "Forwarded: for=192.0.2.1;host=\"a.example:80\";proto=http\r\n\
             X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: a.example:80\r\n\
             X-Forwarded-Proto: http\r\nX-Real-IP: 192.0.2.1\r\n"
        );
        let ipv6 = written(&ForwardedPolicy::replace(), "[2001:db8::1]:5", &[]);
        assert!(ipv6.contains("for=\"[2001:db8::1]\";"), "{ipv6}");
        assert!(ipv6.contains("X-Forwarded-For: 2001:db8::1\r\n"), "{ipv6}");
        let named = written(&ForwardedPolicy::replace(), "none", &said);
        assert!(named.starts_with("Forwarded: for=unknown;"), "{named}");
        assert!(named.contains("X-Forwarded-For: unknown\r\n"), "{named}");
        assert!(!named.contains("X-Real-IP"), "{named}");
        assert_eq!(written(&ForwardedPolicy::untouched(), "192.0.2.1:5", &said), "");
    }

    #[test]
    fn fields_that_name_a_client_are_passed_on_only_from_a_trusted_proxy() {
        let policy = ForwardedPolicy::replace();
        for name in WRITTEN {
            assert!(policy.replaces(name, false) && policy.replaces(name, true), "{name}");
        }
        for name in REMOVED.into_iter().chain(["X-Forwarded-Port", "x-forwarded-", "X_Forwarded_Y"])
        {
            assert!(policy.replaces(name, false) && !policy.replaces(name, true), "{name}");
        }
        for name in WRITTEN.into_iter().chain(REMOVED) {
            let (lower, under) = (name.to_lowercase(), name.replace('-', "_"));
            assert!(policy.replaces(&lower, false) && policy.replaces(&under, false), "{name}");
            assert!(!ForwardedPolicy::untouched().replaces(name, false), "{name}");
        }
        let others = ["accept", "cookie", "x-forwarde", "x-request-id", "forwarded2", "cf-ray"];
        for name in others.into_iter().chain(["client-i", "true-client-ipx", "x-forwarded\u{e9}"]) {
            assert!(!policy.replaces(name, false), "{name}");
        }
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_its_fields_are_extended() {
        let policy = ForwardedPolicy::trusting(Networks::new(["10.0.0.0/8"]).expect("a network"));
        let said = [
            ("forwarded", "for=192.0.2.7"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-for", "10.0.0.9"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "192.0.2.7"),
        ];
        assert_eq!(
            written(&policy, "10.0.0.1:5", &said),
            "Forwarded: for=192.0.2.7, for=10.0.0.1;host=\"a.example:80\";proto=http\r\n\
             X-Forwarded-For: 192.0.2.7, 10.0.0.9, 10.0.0.1\r\n\
             X-Forwarded-Host: a.example:80\r\nX-Forwarded-Proto: https\r\n\
             X-Real-IP: 192.0.2.7\r\n"
        );
        let other = written(&policy, "192.0.2.1:5", &said);
        assert!(other.contains("X-Forwarded-For: 192.0.2.1\r\n"), "{other}");
        assert!(other.contains("X-Forwarded-Proto: http\r\n"), "{other}");
    }
}
