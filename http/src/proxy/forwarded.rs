//! The fields in which the proxy names its client: `Forwarded` (RFC 7239), and `X-Forwarded-For`,
//! `-Proto` and `-Host`, which more programs read.
//!
//! What a client writes into them itself may be a lie, so the proxy replaces it. Only from proxies
//! that the program trusts the fields are passed on, and extended.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use crate::config::{Networks, Peer};
use crate::message::Request;

/// What a proxy tells its upstreams about its clients.
///
/// Fields of other names, such as `X-Real-IP`, are passed on as the client has sent them: an
/// upstream that believes them believes the client.
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

    /// Whether a field of the client that names a client is not passed on as it is.
    pub(super) fn replaces(&self, name: &str) -> bool {
        if matches!(self.kind, Kind::Untouched) {
            return false;
        }
        // Programs behind CGI and its heirs cannot tell `X_Forwarded_For` from `X-Forwarded-For`.
        let is = |other: &str| {
            let same = |(a, b): (u8, u8)| a.eq_ignore_ascii_case(&b) || (a, b) == (b'_', b'-');
            name.bytes().zip(other.bytes()).all(same)
        };
        match name.len() {
            9 => is(FORWARDED),
            15 => is("X-Forwarded-For"),
            16 => is("X-Forwarded-Host"),
            17 => is("X-Forwarded-Proto"),
            _ => false,
        }
    }

    /// Appends the fields for this request.
    pub(super) fn put(&self, out: &mut Vec<u8>, request: &Request) {
        let Kind::Written(trusted) = &self.kind else { return };
        let address = match request.peer() {
            Peer::Tcp(address) => Some(*address),
            Peer::Unix | Peer::Named(_) => None,
        };
        let is_trusted =
            trusted.as_ref().is_some_and(|trusted| trusted.contains_peer(request.peer()));
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
        // These two are about the request of the outermost client: a trusted proxy knows them.
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
    }
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
        policy.put(&mut out, &request.build().expect("a request"));
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_a_client_says_of_itself_is_replaced() {
        let said = [("forwarded", "for=9.9.9.9"), ("x-forwarded-for", "9.9.9.9")];
        assert_eq!(
            written(&ForwardedPolicy::replace(), "192.0.2.1:5", &said),
            "Forwarded: for=192.0.2.1;host=\"a.example:80\";proto=http\r\n\
             X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: a.example:80\r\n\
             X-Forwarded-Proto: http\r\n"
        );
        let ipv6 = written(&ForwardedPolicy::replace(), "[2001:db8::1]:5", &[]);
        assert!(ipv6.contains("for=\"[2001:db8::1]\";"), "{ipv6}");
        assert!(ipv6.contains("X-Forwarded-For: 2001:db8::1\r\n"), "{ipv6}");
        let named = written(&ForwardedPolicy::replace(), "none", &said);
        assert!(named.starts_with("Forwarded: for=unknown;"), "{named}");
        assert!(named.contains("X-Forwarded-For: unknown\r\n"), "{named}");
        for name in ["forwarded", "X-FORWARDED-FOR", "x-forwarded-host", "x-forwarded-proto"] {
            assert!(ForwardedPolicy::replace().replaces(name));
            assert!(!ForwardedPolicy::untouched().replaces(name));
        }
        assert!(!ForwardedPolicy::replace().replaces("x-real-ip"));
        assert_eq!(written(&ForwardedPolicy::untouched(), "192.0.2.1:5", &said), "");
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_its_fields_are_extended() {
        let policy = ForwardedPolicy::trusting(Networks::new(["10.0.0.0/8"]).expect("a network"));
        let said = [
            ("forwarded", "for=192.0.2.7"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-for", "10.0.0.9"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(
            written(&policy, "10.0.0.1:5", &said),
            "Forwarded: for=192.0.2.7, for=10.0.0.1;host=\"a.example:80\";proto=http\r\n\
             X-Forwarded-For: 192.0.2.7, 10.0.0.9, 10.0.0.1\r\n\
             X-Forwarded-Host: a.example:80\r\nX-Forwarded-Proto: https\r\n"
        );
        let other = written(&policy, "192.0.2.1:5", &said);
        assert!(other.contains("X-Forwarded-For: 192.0.2.1\r\n"), "{other}");
        assert!(other.contains("X-Forwarded-Proto: http\r\n"), "{other}");
    }
}
