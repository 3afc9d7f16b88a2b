//! Tables of fields, and whom they name.

use super::*;
use crate::config::Peer;

fn request(peer: &str, fields: &[(&str, &str)]) -> Request {
    let builder = Request::builder().header("host", "inside").peer(match peer {
        "unix" => Peer::Unix,
        address => Peer::Tcp(address.parse().expect(address)),
    });
    let add = |builder: crate::RequestBuilder, (name, value): &(&str, &str)| {
        builder.append(*name, *value)
    };
    fields.iter().fold(builder, add).build().expect("a request")
}

fn shown(client: Result<ClientAddress, Problem>) -> String {
    let client = match client {
        Ok(client) => client,
        Err(problem) => return problem.status().as_u16().to_string(),
    };
    let ip = client.ip().map_or("hidden".to_owned(), |ip| ip.to_string());
    let host = client.host().unwrap_or("none");
    format!("{ip} {}://{host} {}", client.scheme(), client.proxies())
}

fn networks() -> Networks {
    Networks::new(["10.0.0.0/8", "fd00::/8", "unix:"]).expect("networks")
}

#[test]
fn forwarded_is_walked_from_its_end_through_trusted_proxies() {
    let cases: [(&str, &[&str], &str); 14] = [
        ("192.0.2.1:9", &["for=1.1.1.1;proto=https;host=x"], "192.0.2.1 http://inside 0"),
        ("10.0.0.1:9", &[], "10.0.0.1 http://inside 0"),
        ("10.0.0.1:9", &["for=1.1.1.1"], "1.1.1.1 http://inside 1"),
        ("unix", &["for=1.1.1.1"], "1.1.1.1 http://inside 1"),
        ("10.0.0.1:9", &["for=6.6.6.6, for=1.1.1.1"], "1.1.1.1 http://inside 1"),
        ("10.0.0.1:9", &["for=6.6.6.6", "for=1.1.1.1"], "1.1.1.1 http://inside 1"),
        ("10.0.0.1:9", &["for=6.6.6.6, for=1.1.1.1, for=10.0.0.2"], "1.1.1.1 http://inside 2"),
        (
            "10.0.0.1:9",
            &["for=1.1.1.1;proto=https;host=a.example, for=\"[fd00::1]\";proto=http"],
            "1.1.1.1 https://a.example 2",
        ),
        ("10.0.0.1:9", &["host=evil, for=1.1.1.1"], "1.1.1.1 http://inside 1"),
        ("10.0.0.1:9", &["for=10.0.0.3, for=10.0.0.2"], "10.0.0.3 http://inside 2"),
        ("10.0.0.1:9", &["for=1.1.1.1, for=_hidden"], "hidden http://inside 1"),
        ("10.0.0.1:9", &["for=1.1.1.1, proto=https"], "hidden https://inside 1"),
        ("10.0.0.1:9", &["garbage", "for=1.1.1.1"], "1.1.1.1 http://inside 1"),
        ("[fd00::9]:9", &["for=\"[2001:db8::1]:7\""], "2001:db8::1 http://inside 1"),
    ];
    let proxies = TrustedProxies::by_forwarded(networks());
    for (peer, lines, expected) in cases {
        let mut fields = vec![("x-forwarded-for", "9.9.9.9"), ("x-forwarded-proto", "https")];
        fields.extend(lines.iter().map(|line| ("forwarded", *line)));
        assert_eq!(shown(proxies.client(&request(peer, &fields))), expected, "{peer} {lines:?}");
    }
    let malformed = [
        "for=\", for=1.1.1.1",
        "for=x",
        "for=1.1.1.1;proto=gopher",
        "for=1.1.1.1;host=\"a b\"",
        "for=1.1.1.1;host=\"a\\\"b\"",
        "for=1.1.1.1;host=\"a/b\"",
    ];
    for line in malformed {
        let request = request("10.0.0.1:9", &[("forwarded", line)]);
        assert_eq!(shown(proxies.client(&request)), "400", "{line}");
    }
}

#[test]
fn x_forwarded_for_is_walked_from_its_end_through_trusted_proxies() {
    let cases: [(&str, &[&str], &str); 10] = [
        ("192.0.2.1:9", &["1.1.1.1"], "192.0.2.1 http://inside 0"),
        ("10.0.0.1:9", &["1.1.1.1"], "1.1.1.1 http://inside 1"),
        ("10.0.0.1:9", &["6.6.6.6, 1.1.1.1"], "1.1.1.1 http://inside 1"),
        ("10.0.0.1:9", &["<script>, 1.1.1.1"], "1.1.1.1 http://inside 1"),
        ("10.0.0.1:9", &["6.6.6.6", "1.1.1.1 ,10.0.0.2,, "], "1.1.1.1 http://inside 2"),
        ("10.0.0.1:9", &["1.1.1.1:8080"], "1.1.1.1 http://inside 1"),
        ("10.0.0.1:9", &["2001:db8::1"], "2001:db8::1 http://inside 1"),
        ("10.0.0.1:9", &["1.1.1.1, unknown"], "hidden http://inside 1"),
        ("10.0.0.1:9", &["1.1.1.1, evil"], "400"),
        ("10.0.0.1:9", &["1.1.1.1, 1.1.1.1\"x"], "400"),
    ];
    let proxies = TrustedProxies::by_x_forwarded_for(networks());
    for (peer, lines, expected) in cases {
        let mut fields = vec![
            ("forwarded", "for=9.9.9.9;proto=https;host=evil"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
        ];
        fields.extend(lines.iter().map(|line| ("x-forwarded-for", *line)));
        assert_eq!(shown(proxies.client(&request(peer, &fields))), expected, "{peer} {lines:?}");
    }
}

#[test]
fn scheme_and_host_are_those_that_the_outermost_trusted_proxy_has_written() {
    let proxies = TrustedProxies::by_x_forwarded_for(networks());
    let proxies = proxies.with_x_forwarded_proto().with_x_forwarded_host();
    let cases = [
        ("1.1.1.1", "https", "a.example", "1.1.1.1 https://a.example 1"),
        ("1.1.1.1", "http, https", "evil, a.example", "1.1.1.1 https://a.example 1"),
        ("1.1.1.1, 10.0.0.2", "https, http", "a.example, b", "1.1.1.1 https://a.example 2"),
        ("1.1.1.1, 10.0.0.2", "https", "a.example", "1.1.1.1 https://a.example 2"),
        ("1.1.1.1", "", "", "1.1.1.1 http://inside 1"),
        ("1.1.1.1", "ftp", "", "400"),
        ("1.1.1.1", "https", "a@b", "400"),
    ];
    for (addresses, scheme, host, expected) in cases {
        let fields = [
            ("x-forwarded-for", addresses),
            ("x-forwarded-proto", scheme),
            ("x-forwarded-host", host),
        ];
        let request = request("10.0.0.1:9", &fields);
        assert_eq!(shown(proxies.client(&request)), expected, "{fields:?}");
    }
}
