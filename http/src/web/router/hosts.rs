//! Which host a request is for, among those for which a router has routes of their own.

use std::borrow::Cow;
use std::collections::HashMap;

/// Names of hosts, each with a value: `api.example.org`, or `*.example.org` for all below it.
#[derive(Clone, Debug)]
pub(super) struct Hosts<T> {
    exact: HashMap<String, T>,
    /// Without the star, with the dot. The longest first, because it says most.
    suffixes: Vec<(String, T)>,
}

/// The name of a host in a pattern, in small letters, and whether it began with a star.
pub(super) fn parse_host(pattern: &str) -> Result<(String, bool), String> {
    let (name, is_wildcard) = match pattern.strip_prefix('*') {
        Some(rest) if rest.starts_with('.') => (&rest[1..], true),
        _ => (pattern, false),
    };
    let is_ipv6 = name.starts_with('[') && name.ends_with(']');
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if is_ipv6 || (!name.is_empty() && name.chars().all(is_name) && !name.ends_with('.')) {
        return Ok((name.to_ascii_lowercase(), is_wildcard));
    }
    Err("is not the name of a host: letters, digits, `-` and `.`, without a port, perhaps behind \
         `*.`; a name of other letters in its ASCII form (`xn--`)"
        .to_owned())
}

impl<T> Hosts<T> {
    pub(super) fn new() -> Self {
        Self { exact: HashMap::new(), suffixes: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.suffixes.is_empty()
    }

    /// Adds a host of [`parse_host`]; false if it was there.
    #[must_use]
    pub(super) fn insert(&mut self, (name, is_wildcard): (String, bool), value: T) -> bool {
        if !is_wildcard {
            let is_new = !self.exact.contains_key(&name);
            self.exact.entry(name).or_insert(value);
            return is_new;
        }
        let suffix = format!(".{name}");
        if self.suffixes.iter().any(|(other, _)| *other == suffix) {
            return false;
        }
        let at = self.suffixes.partition_point(|(other, _)| other.len() >= suffix.len());
        self.suffixes.insert(at, (suffix, value));
        true
    }

    /// The value for the host of a request, which may have a port, a dot at its end, and letters of
    /// any case.
    pub(super) fn find(&self, host: &str) -> Option<&T> {
        let name = without_port(host);
        let name = name.strip_suffix('.').unwrap_or(name);
        let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        };
        if let Some(value) = self.exact.get(&*name) {
            return Some(value);
        }
        let is_below =
            |suffix: &str| name.strip_suffix(suffix).is_some_and(|label| !label.is_empty());
        self.suffixes.iter().find(|(suffix, _)| is_below(suffix)).map(|(_, value)| value)
    }
}

/// Userinfo is no part of `Host` (RFC 9110 section 4.2.4), and the parser refuses it in targets.
fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        // A colon inside of an IPv6 address begins no port.
        Some(at) if !host[at..].contains(']') => &host[..at],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_without_their_port_in_any_case() {
        let mut hosts = Hosts::new();
        for (value, pattern) in
            ["api.Example.org", "*.example.org", "*.eu.example.org", "[::1]"].iter().enumerate()
        {
            assert!(hosts.insert(parse_host(pattern).unwrap(), value));
        }
        assert!(!hosts.insert(parse_host("API.example.org").unwrap(), 9));
        assert!(!hosts.insert(parse_host("*.EXAMPLE.org").unwrap(), 9));
        for (host, found) in [
            ("api.example.org", Some(0)),
            ("API.example.ORG.:8080", Some(0)),
            ("www.example.org:80", Some(1)),
            ("a.b.example.org", Some(1)),
            ("a.eu.example.org", Some(2)),
            ("example.org", None),
            (".example.org", None),
            ("evilexample.org", None),
            ("[::1]:80", Some(3)),
            ("[::1]", Some(3)),
            ("", None),
            (":80", None),
        ] {
            assert_eq!(hosts.find(host).copied(), found, "{host}");
        }
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        for pattern in ["", "*", "*.", "a b", "a:80", "https://a", "é.org", "a.", "a.*.b"] {
            assert!(parse_host(pattern).is_err(), "{pattern}");
        }
    }
}
