//! Which fields belong to one connection, and so are not passed on (RFC 9110 section 7.6.1).

use crate::proto::Headers;

/// The fields that the `Connection` field of a message names.
pub(super) struct ConnectionNames<'h> {
    names: Vec<&'h str>,
}

impl<'h> ConnectionNames<'h> {
    pub(super) fn of(headers: Headers<'h>) -> Self {
        // The usual options name no field that is passed on otherwise, and need no memory.
        let is_usual = |name: &&str| {
            ["close", "keep-alive", "upgrade", "te"].iter().any(|x| name.eq_ignore_ascii_case(x))
        };
        Self { names: headers.list("connection").filter(|name| !is_usual(name)).collect() }
    }

    /// Whether the field belongs to the connection.
    pub(super) fn has(&self, name: &str) -> bool {
        is_of_connection(name) || self.names.iter().any(|other| other.eq_ignore_ascii_case(name))
    }
}

/// Fields of the connection, whether `Connection` names them or not, and those about the framing of
/// the body, which each connection has anew.
///
/// `Trailer` is none of them: trailers are passed on, and so is the field that announces them.
fn is_of_connection(name: &str) -> bool {
    let is_one_of = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
    match name.len() {
        2 => is_one_of(&["te"]),
        7 => is_one_of(&["upgrade"]),
        10 => is_one_of(&["connection", "keep-alive"]),
        14 => is_one_of(&["content-length", "http2-settings"]),
        16 => is_one_of(&["proxy-connection"]),
        17 => is_one_of(&["transfer-encoding"]),
        18 => is_one_of(&["proxy-authenticate"]),
        19 => is_one_of(&["proxy-authorization"]),
        25 => is_one_of(&["proxy-authentication-info"]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Request;

    #[test]
    fn fields_of_the_connection_are_not_passed_on() {
        let request = Request::builder()
            .append("connection", "close, X-Secret,")
            .append("connection", "\"cookie")
            .build()
            .expect("a request");
        let names = ConnectionNames::of(request.headers());
        for name in [
            "Connection",
            "keep-alive",
            "TE",
            "upgrade",
            "Transfer-Encoding",
            "content-length",
            "Proxy-Connection",
            "proxy-authorization",
            "Proxy-Authenticate",
            "x-secret",
            "Proxy-Authentication-Info",
            "HTTP2-Settings",
        ] {
            assert!(names.has(name), "{name}");
        }
        for name in ["trailer", "cookie", "close", "proxy-status", "host", "x-secrets", "via"] {
            assert!(!names.has(name), "{name}");
        }
    }
}
