//! Which proxies the program trusts, and the walk from the connection back to the client.
//!
//! Each proxy appends to the field for whom it asks. So the last element is that of the proxy at
//! the other end of the connection, and each element is worth as much as the proxy that wrote it.
//! The walk begins at the connection, and ends at the first address that is not a trusted proxy:
//! what stands to the left of its element comes from the client, and may be anything.

use http::StatusCode;

use super::forwarded::{Node, parse_forwarded, parse_node};
use super::resolved::ClientAddress;
use crate::config::Networks;
use crate::message::{Problem, Request};

/// The proxies in front of the server, and the header field in which they name their clients.
///
/// The field has to be chosen, because a proxy that writes one of them may pass on another one as
/// the client has sent it. The field counts only in requests from these networks, and is walked
/// from its end: the client is the last address that is not one of the proxies.
///
/// ```
/// use straightline::web::{RequestExt, TrustedProxies};
/// use straightline::{Networks, Peer, Problem, Request};
///
/// fn hello(request: &Request, proxies: &TrustedProxies) -> Result<String, Problem> {
///     match request.client_ip(proxies)? {
///         Some(address) => Ok(format!("hello, {address}\n")),
///         None => Ok("hello\n".to_owned()),
///     }
/// }
///
/// let proxies = TrustedProxies::by_forwarded(Networks::new(["10.0.0.0/8"])?);
/// let from = |peer: &str| {
///     Request::builder()
///         .peer(Peer::Tcp(peer.parse().unwrap()))
///         .header("forwarded", "for=1.1.1.1, for=203.0.113.7, for=10.0.0.2")
///         .build()
/// };
/// assert_eq!(hello(&from("10.0.0.1:80")?, &proxies).unwrap(), "hello, 203.0.113.7\n");
/// // A client that is not a proxy is not believed.
/// assert_eq!(hello(&from("192.0.2.1:80")?, &proxies).unwrap(), "hello, 192.0.2.1\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    networks: Networks,
    field: Field,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Forwarded,
    XForwardedFor { has_proto: bool, has_host: bool },
}

impl TrustedProxies {
    /// Proxies that write `Forwarded` (RFC 7239): the client's address, and the scheme and the host
    /// that it has asked for if the proxy says them.
    pub fn by_forwarded(networks: Networks) -> Self {
        Self { networks, field: Field::Forwarded }
    }

    /// Proxies that append the address of their client to `X-Forwarded-For`.
    pub fn by_x_forwarded_for(networks: Networks) -> Self {
        Self { networks, field: Field::XForwardedFor { has_proto: false, has_host: false } }
    }

    /// Beside `X-Forwarded-For`, the proxies set `X-Forwarded-Proto`. Only if they all do: the
    /// field of a client would count otherwise. Default: no.
    ///
    /// # Panics
    ///
    /// For proxies by `Forwarded`, which has the scheme itself.
    #[must_use]
    #[track_caller]
    pub fn with_x_forwarded_proto(mut self) -> Self {
        match &mut self.field {
            Field::XForwardedFor { has_proto, .. } => *has_proto = true,
            Field::Forwarded => panic!(
                "straightline: `with_x_forwarded_proto` for proxies by `Forwarded`, which has the \
                 scheme itself: leave it out"
            ),
        }
        self
    }

    /// As [`with_x_forwarded_proto`](Self::with_x_forwarded_proto), for `X-Forwarded-Host`.
    ///
    /// # Panics
    ///
    /// For proxies by `Forwarded`, which has the host itself.
    #[must_use]
    #[track_caller]
    pub fn with_x_forwarded_host(mut self) -> Self {
        match &mut self.field {
            Field::XForwardedFor { has_host, .. } => *has_host = true,
            Field::Forwarded => panic!(
                "straightline: `with_x_forwarded_host` for proxies by `Forwarded`, which has the \
                 host itself: leave it out"
            ),
        }
        self
    }

    /// The client of a request. Not a yield point.
    ///
    /// If a trusted proxy has sent no field, it is the client itself, as for a health check.
    ///
    /// # Errors
    ///
    /// A 400 if a trusted proxy has sent a field that is malformed. What stands to the left of the
    /// client's own address is not looked at, except in the same line of `Forwarded`.
    pub fn client(&self, request: &Request) -> Result<ClientAddress, Problem> {
        let mut client = ClientAddress::of_connection(request);
        if !self.networks.contains_peer(request.peer()) {
            return Ok(client);
        }
        match self.field {
            Field::Forwarded => self.walk_forwarded(request, &mut client)?,
            Field::XForwardedFor { has_proto, has_host } => {
                self.walk_x_forwarded_for(request, &mut client)?;
                let index = client.proxies.saturating_sub(1);
                if has_proto && let Some(scheme) = from_end(request, X_FORWARDED_PROTO, index)? {
                    client.is_secure = parse_scheme(scheme, X_FORWARDED_PROTO)?;
                }
                if has_host && let Some(host) = from_end(request, X_FORWARDED_HOST, index)? {
                    client.host = Some(checked_host(host, X_FORWARDED_HOST)?);
                }
            }
        }
        Ok(client)
    }

    fn walk_forwarded(&self, request: &Request, client: &mut ClientAddress) -> Result<(), Problem> {
        for line in lines_from_end(request, FORWARDED) {
            let elements = parse_forwarded(line).ok_or_else(|| malformed(FORWARDED))?;
            for element in elements.into_iter().rev() {
                client.is_secure = match &element.scheme {
                    Some(scheme) => parse_scheme(scheme, FORWARDED)?,
                    // What an inner proxy said is about the connection between the two.
                    None => client.is_secure && client.proxies == 0,
                };
                if let Some(host) = &element.host {
                    client.host = Some(checked_host(host, FORWARDED)?);
                }
                if !self.step(client, element.client.unwrap_or(Node::Hidden)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn walk_x_forwarded_for(
        &self,
        request: &Request,
        client: &mut ClientAddress,
    ) -> Result<(), Problem> {
        for line in lines_from_end(request, X_FORWARDED_FOR) {
            for node in line.rsplit(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                if node.is_empty() {
                    continue;
                }
                let node = str::from_utf8(node).ok().and_then(parse_node);
                let node = node.ok_or_else(|| malformed(X_FORWARDED_FOR))?;
                if !self.step(client, node) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Goes from a proxy to its client; false if that one is not a proxy.
    fn step(&self, client: &mut ClientAddress, node: Node) -> bool {
        client.proxies += 1;
        (client.ip, client.port) = match node {
            Node::Hidden => (None, None),
            Node::Address(ip, port) => (Some(ip), port),
        };
        client.ip.is_some_and(|ip| self.networks.contains(ip))
    }
}

/// The lines of a field, the last one first.
fn lines_from_end<'r>(
    request: &'r Request,
    name: &str,
) -> impl Iterator<Item = &'r [u8]> + use<'r> {
    let lines: Vec<_> = request.headers().all(name).collect();
    lines.into_iter().rev()
}

/// The element of that number, counted from the end of the list; the first one of a shorter list.
fn from_end<'r>(
    request: &'r Request,
    name: &'static str,
    index: usize,
) -> Result<Option<&'r str>, Problem> {
    let lines = lines_from_end(request, name);
    let elements = lines.flat_map(|line| line.rsplit(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    let element = elements.filter(|element| !element.is_empty()).take(index + 1).last();
    element.map(|text| str::from_utf8(text).map_err(|_| malformed(name))).transpose()
}

/// Whether the scheme is HTTPS.
fn parse_scheme(scheme: &str, name: &'static str) -> Result<bool, Problem> {
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    match () {
        () if is("https") || is("wss") => Ok(true),
        () if is("http") || is("ws") => Ok(false),
        () => Err(malformed(name)),
    }
}

/// A host that may stand in a `Host` field, so that a program may use it in a link.
fn checked_host(host: &str, name: &'static str) -> Result<String, Problem> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte);
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(is_good) {
        return Err(malformed(name));
    }
    Ok(host.to_owned())
}

fn malformed(name: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST).with_detail(format!("The {name} field is malformed."))
}

const FORWARDED: &str = "Forwarded";
const X_FORWARDED_FOR: &str = "X-Forwarded-For";
const X_FORWARDED_PROTO: &str = "X-Forwarded-Proto";
const X_FORWARDED_HOST: &str = "X-Forwarded-Host";

/// The longest host: a name of 253 bytes, and a port.
const HOST_BYTES_MAX: usize = 253 + 6;

#[cfg(test)]
mod tests;
