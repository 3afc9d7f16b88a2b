//! Which pages may open a WebSocket.
//!
//! A browser lets a page of any site open a WebSocket to any server, with the user's cookies. Only
//! the server can refuse that: the browser says in `Origin` where the page comes from (RFC 6455
//! section 10.2). A server that does not look lets a hostile page speak as its visitors.

/// Which [origins](https://www.rfc-editor.org/rfc/rfc6454) may open a WebSocket.
///
/// A request without `Origin` comes from a program and not from a page in a browser. It is always
/// allowed: a program can write any origin.
///
/// ```
/// use straightline::websocket::Origins;
///
/// let origins = Origins::list(["https://app.example", "http://localhost:3000"]);
/// assert!(origins.allows(Some("https://app.example"), "api.example"));
/// assert!(!origins.allows(Some("https://evil.example"), "api.example"));
/// assert!(origins.allows(None, "api.example"));
///
/// assert!(Origins::Same.allows(Some("https://api.example"), "api.example"));
/// assert!(!Origins::Same.allows(Some("https://api.example.evil.example"), "api.example"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origins {
    /// Pages whose host and port are those of the request's `Host`; the scheme is not compared,
    /// because a proxy may speak TLS for the server. The default. Behind a proxy that changes
    /// `Host`, take a [list](Self::list). A page whose own name resolves to this server's address
    /// (DNS rebinding) has the same host: a list refuses it, and so does
    /// [`Endpoint::allowed_hosts`](super::Endpoint::allowed_hosts).
    #[default]
    Same,
    /// Pages of these origins, such as `https://app.example`.
    Listed(Vec<String>),
    /// Pages of any site: only for an endpoint that knows no user, or knows users by something that
    /// the browser does not send by itself.
    Any,
}

impl Origins {
    /// Pages of these origins, each a scheme, a host and a port that is not the scheme's default,
    /// such as `https://app.example`. Case does not matter. Not a yield point.
    pub fn list<O: Into<String>>(origins: impl IntoIterator<Item = O>) -> Self {
        Self::Listed(origins.into_iter().map(Into::into).collect())
    }

    /// Whether a request with that `Origin`, to that host (with the port, if the request names
    /// one), is allowed. Not a yield point.
    pub fn allows(&self, origin: Option<&str>, host: &str) -> bool {
        let Some(origin) = origin else { return true };
        match self {
            Self::Any => true,
            Self::Listed(list) => list.iter().any(|other| other.eq_ignore_ascii_case(origin)),
            Self::Same => origin.split_once("://").is_some_and(|(scheme, authority)| {
                let default = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
                let host = host.strip_suffix(default).unwrap_or(host);
                !host.is_empty() && authority.eq_ignore_ascii_case(host)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_origin_has_the_same_host_and_port() {
        let allows = |origin, host| Origins::Same.allows(Some(origin), host);
        for (origin, host) in [
            ("https://a.example", "a.example"),
            ("https://A.example", "a.EXAMPLE"),
            ("http://a.example:8080", "a.example:8080"),
            ("http://a.example", "a.example:80"),
            ("https://a.example", "a.example:443"),
        ] {
            assert!(allows(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "null"),
            ("null", ""),
            ("https://", ""),
            ("https://b.example", "a.example"),
            ("https://a.example.b.example", "a.example"),
            ("https://a.example:8443", "a.example"),
            ("https://a.example", "a.example:8443"),
            ("https://a.example", "a.example:80"),
            ("a.example", "a.example"),
        ] {
            assert!(!allows(origin, host), "{origin} {host}");
        }
    }
}
