//! The hosts that a server answers to: the defence against DNS rebinding.
//!
//! A page may only read what comes from its own origin, which is a name and a port. An attacker who
//! owns the name can have it resolve to an address of the victim's network a moment later
//! (rebinding), and the page then reads what a server there answers. The browser sends the name in
//! `Host`, which the page cannot change. So a server that takes only its own names is safe.
//!
//! A page cannot be rebound to a literal address or to `localhost`: neither is looked up in the DNS
//! of the attacker.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The hosts that a server answers to, against DNS rebinding: a page of an attacker whose name
/// resolves to this server's address sends that name as its `Host`.
///
/// IP addresses, `localhost` and the names below it are always among them: a page cannot be bound
/// to such a host by the DNS. So are requests without a host, which no browser sends. Ports are not
/// compared.
///
/// The [admin listener](crate::admin) takes only these. For other handlers, there are
/// `websocket::Endpoint::allowed_hosts` and [`web::middleware::allowed_hosts`].
///
/// [`web::middleware::allowed_hosts`]: crate::web::middleware::allowed_hosts
///
/// ```
/// use straightline::AllowedHosts;
///
/// let hosts = AllowedHosts::new(["admin.example", ".app.svc.cluster.local"]);
/// for host in ["10.1.2.3:9090", "[::1]", "localhost:9090", "ADMIN.example."] {
///     assert!(hosts.allows(Some(host)), "{host}");
/// }
/// assert!(hosts.allows(Some("pod-0.app.svc.cluster.local")));
/// assert!(hosts.allows(None));
/// assert!(!hosts.allows(Some("rebound.evil.example:9090")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    /// In lower case. A name that begins with a dot stands for all names below it.
    names: Arc<[String]>,
}

impl AllowedHosts {
    /// These names, and addresses and `localhost`. A name that begins with a dot, such as
    /// `.example.com`, stands for itself and for all names below it. Case does not matter. An empty
    /// list is the [default](Default). Not a yield point.
    ///
    /// # Panics
    ///
    /// If one of them is no name of a host, such as a URL or a name with a port.
    #[track_caller]
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        for name in &names {
            assert!(
                !name.trim_matches('.').is_empty() && name.bytes().all(is_of_name),
                "straightline: {name:?} is no name of a host: write it as in \"app.example\", \
                 without a scheme and a port, or as in \".app.example\" for all names below it too",
            );
        }
        let lower = |name: &String| name.trim_end_matches('.').to_ascii_lowercase();
        Self { names: names.iter().map(lower).collect() }
    }

    /// Whether a request for that host, with its port if it names one, is allowed: see
    /// [`Request::host`](crate::Request::host). Not a yield point.
    pub fn allows(&self, host: Option<&str>) -> bool {
        let Some(host) = host else { return true };
        if let Some(address) = host.strip_prefix('[') {
            let address = address.split_once(']').map(|(address, _port)| address);
            return address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
        }
        let name = host.split_once(':').map_or(host, |(name, _port)| name);
        if name.parse::<Ipv4Addr>().is_ok() {
            return true;
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        is_or_is_below(name, "localhost")
            || self.names.iter().any(|known| match known.strip_prefix('.') {
                Some(domain) => is_or_is_below(name, domain),
                None => name.eq_ignore_ascii_case(known),
            })
    }
}

/// Whether the name is the domain, or one below it.
fn is_or_is_below(name: &str, domain: &str) -> bool {
    let Some(before) = name.len().checked_sub(domain.len()) else { return false };
    name.is_char_boundary(before)
        && name[before..].eq_ignore_ascii_case(domain)
        && (before == 0 || name[..before].ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_allowed_as_it_is_written_and_no_name_that_looks_like_one() {
        let hosts = AllowedHosts::default();
        for host in
            ["127.0.0.1", "10.0.0.7:9090", "[::1]:9090", "[fd00::1]", "LOCALHOST:1", "a.localhost"]
        {
            assert!(hosts.allows(Some(host)), "{host}");
        }
        for host in [
            "",
            ":9090",
            "a",
            "127.0.0.1.evil.example",
            "127.0.0.1evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "[::1",
            "[::1.evil.example]",
            "[evil.example]",
            "\u{e9}localhost",
            "1.evil.example:80",
        ] {
            assert!(!hosts.allows(Some(host)), "{host}");
        }
    }

    #[test]
    fn a_name_with_a_dot_in_front_stands_for_those_below_it() {
        let hosts = AllowedHosts::new([".App.example.", "b"]);
        for host in ["app.example", "x.app.EXAMPLE:80", "x.y.app.example.", "B"] {
            assert!(hosts.allows(Some(host)), "{host}");
        }
        for host in ["xapp.example", "example", "x.b", "app.example.x"] {
            assert!(!hosts.allows(Some(host)), "{host}");
        }
    }

    #[test]
    #[should_panic(expected = "straightline: \"http://a\" is no name of a host")]
    fn a_url_is_no_name() {
        AllowedHosts::new(["http://a"]);
    }
}
