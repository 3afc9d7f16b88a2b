//! The fields in which proxies name their clients, as text: `Forwarded` (RFC 7239 section 4) and
//! the addresses of `X-Forwarded-For`.
//!
//! A line is parsed from its beginning, because only so a comma in a quoted string is told from one
//! between two elements. A line with a mistake anywhere counts as a whole as malformed: with a
//! quote that does not end, a client could otherwise hide what the proxy has written behind it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::proto::is_token;

/// What one proxy has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ForwardedElement {
    /// The client of the proxy.
    pub(super) client: Option<Node>,
    pub(super) scheme: Option<String>,
    pub(super) host: Option<String>,
}

/// The name of a client (RFC 7239 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Address(IpAddr, Option<u16>),
    /// `unknown`, or an identifier that says nothing, such as `_hidden`.
    Hidden,
}

/// The elements of a line of `Forwarded`; `None` if the line is malformed.
pub(super) fn parse_forwarded(line: &[u8]) -> Option<Vec<ForwardedElement>> {
    let mut elements = Vec::new();
    let mut rest = line.trim_ascii();
    while !rest.is_empty() {
        let element;
        (element, rest) = parse_element(rest)?;
        elements.extend(element);
        let Some((b',', behind)) = rest.split_first() else { break };
        rest = behind.trim_ascii();
    }
    rest.is_empty().then_some(elements)
}

/// The element at the beginning, and what comes behind it. An element may be empty (RFC 9110
/// section 5.6.1.2).
fn parse_element(text: &[u8]) -> Option<(Option<ForwardedElement>, &[u8])> {
    let (mut element, mut is_empty) = (ForwardedElement::default(), true);
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None | Some(b',') => return Some(((!is_empty).then_some(element), rest)),
            Some(b';') => rest = &rest[1..],
            Some(_) => {
                let (name, value);
                (name, value, rest) = parse_pair(rest)?;
                put(&mut element, name, value)?;
                is_empty = false;
                rest = rest.trim_ascii_start();
                if !matches!(rest.first(), None | Some(b',' | b';')) {
                    return None;
                }
            }
        }
    }
}

/// Notes a parameter; `None` if it stands there twice or has a value that it cannot have.
fn put(element: &mut ForwardedElement, name: &[u8], value: String) -> Option<()> {
    if name.eq_ignore_ascii_case(b"for") {
        let former = element.client.replace(parse_node(&value)?);
        return former.is_none().then_some(());
    }
    let place = if name.eq_ignore_ascii_case(b"proto") {
        &mut element.scheme
    } else if name.eq_ignore_ascii_case(b"host") {
        &mut element.host
    } else {
        return Some(()); // `by`, or an extension
    };
    place.replace(value).is_none().then_some(())
}

/// `name=value` at the beginning, and what comes behind it.
fn parse_pair(text: &[u8]) -> Option<(&[u8], String, &[u8])> {
    let end = text.iter().position(|&byte| !is_token(byte))?;
    let (name, rest) = text.split_at(end);
    let rest = rest.strip_prefix(b"=").filter(|_| !name.is_empty())?;
    let (value, rest) = if let Some(quoted) = rest.strip_prefix(b"\"") {
        parse_quoted(quoted)?
    } else {
        let end = rest.iter().position(|&byte| !is_token(byte)).unwrap_or(rest.len());
        let (value, rest) = rest.split_at(end);
        (value.to_vec(), rest)
    };
    let value = String::from_utf8(value).ok().filter(|value| !value.is_empty())?;
    Some((name, value, rest))
}

/// The rest of a quoted string (RFC 9110 section 5.6.4), without its escapes.
fn parse_quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut bytes = text.iter();
    loop {
        match bytes.next()? {
            b'"' => return Some((value, bytes.as_slice())),
            b'\\' => value.push(*bytes.next()?),
            byte => value.push(*byte),
        }
    }
}

/// A client as the two fields write it: an address, with a port or without; `None` if it is
/// neither that nor hidden.
pub(super) fn parse_node(text: &str) -> Option<Node> {
    let text = text.trim_ascii();
    if text.eq_ignore_ascii_case("unknown") || is_obfuscated(text) {
        return Some(Node::Hidden);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Node::Address(address.to_canonical(), None));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(Node::Address(address.ip().to_canonical(), Some(address.port())));
    }
    // A port may be hidden too, and an address in brackets may stand without a port.
    let in_brackets = text.strip_prefix('[').and_then(|text| text.split_once(']'));
    let (address, port) = if let Some((address, port)) = in_brackets {
        (address.parse::<Ipv6Addr>().ok()?.into(), port)
    } else {
        let (node, port) = text.split_once(':')?;
        if is_obfuscated(node) || node.eq_ignore_ascii_case("unknown") {
            return is_port(port).then_some(Node::Hidden);
        }
        (node.parse::<IpAddr>().ok()?, &text[node.len()..])
    };
    let is_good = port.is_empty() || port.strip_prefix(':').is_some_and(is_obfuscated);
    is_good.then(|| Node::Address(address.to_canonical(), None))
}

/// An identifier of the proxy's own (RFC 7239 section 6.3).
fn is_obfuscated(text: &str) -> bool {
    let of_identifier = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() > 1 && text.starts_with('_') && text.bytes().all(of_identifier)
}

fn is_port(text: &str) -> bool {
    is_obfuscated(text)
        || (text.parse::<u16>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn shown(line: &str) -> Option<String> {
        let elements = parse_forwarded(line.as_bytes())?;
        let show = |element: &ForwardedElement| {
            let client = match element.client {
                None => "-".to_owned(),
                Some(Node::Hidden) => "hidden".to_owned(),
                Some(Node::Address(address, None)) => address.to_string(),
                Some(Node::Address(address, Some(port))) => format!("{address} {port}"),
            };
            let text = |value: &Option<String>| value.clone().unwrap_or("-".to_owned());
            format!("{client} {} {}", text(&element.scheme), text(&element.host))
        };
        Some(elements.iter().map(show).collect::<Vec<_>>().join(" | "))
    }

    #[test]
    fn the_examples_of_the_rfc_and_others() {
        let cases = [
            ("for=\"_gazonk\"", "hidden - -"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17 4711 - -"),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60 http -"),
            ("for=192.0.2.43, for=198.51.100.17", "192.0.2.43 - - | 198.51.100.17 - -"),
            ("for=unknown ; host=\"a.example:80\"", "hidden - a.example:80"),
            ("for=\"192.0.2.1:_port\"", "192.0.2.1 - -"),
            ("for=\"_x:80\",, ;for=\"[::ffff:1.2.3.4]\"", "hidden - - | 1.2.3.4 - -"),
            ("proto=https;secret=\"a, for=1.1.1.1\\\"\"", "- https -"),
            ("", ""),
        ];
        for (line, expected) in cases {
            assert_eq!(shown(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn a_line_with_a_mistake_is_malformed_as_a_whole() {
        let malformed = [
            "for",
            "for=",
            "=1.1.1.1",
            "for =1.1.1.1",
            "for= 1.1.1.1",
            "for=\"1.1.1.1",
            "for=\", for=1.1.1.1",
            "for=1.1.1.1 x",
            "for=1.1.1.1;for=2.2.2.2",
            "for=1.1.1.1:80",
            "for=[::1]",
            "for=\"[::1\"",
            "for=\"::1]\"",
            "for=localhost",
            "for=_",
            "for=\"_a b\"",
            "for=\"1.1.1.1:99999\"",
            "for=\"[::1]:x\"",
            "for=1.1.1.01",
            "for=\"\"",
            "for=\"a\\",
            "proto=http;proto=https",
            "for=1.1.1.1\u{e9}",
            "for=\"fe80::1%eth0\"",
        ];
        for line in malformed {
            assert_eq!(shown(line), None, "{line}");
        }
    }

    quickcheck! {
        fn an_address_is_read_as_it_is_written(bits: u128, port: u16, is_v4: bool) -> bool {
            #[allow(clippy::cast_possible_truncation)] // some bits
            let address: IpAddr = if is_v4 {
                std::net::Ipv4Addr::from(bits as u32).into()
            } else {
                Ipv6Addr::from(bits).into()
            };
            let with_port = SocketAddr::new(address, port).to_string();
            let canonical = address.to_canonical();
            parse_node(&address.to_string()) == Some(Node::Address(canonical, None))
                && parse_node(&with_port) == Some(Node::Address(canonical, Some(port)))
        }

        fn what_a_client_writes_in_front_changes_nothing_behind(text: String) -> bool {
            let line = format!("{text}, for=192.0.2.7;proto=https");
            parse_forwarded(line.as_bytes()).is_none_or(|elements| {
                elements.last().and_then(|element| element.client) == parse_node("192.0.2.7")
            })
        }
    }
}
