//! The fields in which proxies name their clients: what a client sends in front changes nothing of
//! what a trusted proxy appends.

use std::net::IpAddr;

use crate::web::{RequestExt, TrustedProxies};
use crate::{HeaderValue, Networks, Peer, Request};

/// Tries the value of a field that a client has sent.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_forwarded(data: &[u8]) {
    let Ok(sent) = HeaderValue::from_bytes(data) else { return };
    let proxy: IpAddr = [10, 0, 0, 1].into();
    let client: IpAddr = [192, 0, 2, 7].into();
    let Ok(networks) = Networks::new(["10.0.0.0/8"]) else { return };
    let kinds = [
        ("forwarded", "for=192.0.2.7", TrustedProxies::by_forwarded(networks.clone())),
        ("x-forwarded-for", "192.0.2.7", TrustedProxies::by_x_forwarded_for(networks)),
    ];
    for (name, appended, proxies) in kinds {
        let request = |from: IpAddr, lines: &[HeaderValue]| {
            let builder = Request::builder().peer(Peer::Tcp((from, 80).into()));
            let add = |builder: crate::RequestBuilder, line: &HeaderValue| {
                builder.append(name, line.clone())
            };
            lines.iter().fold(builder, add).build().ok()
        };
        // Alone, the field is taken or refused; from elsewhere it does not count.
        let alone =
            request(proxy, std::slice::from_ref(&sent)).map(|request| request.client_ip(&proxies));
        drop(alone);
        let elsewhere = request(client, std::slice::from_ref(&sent));
        let elsewhere = elsewhere.and_then(|request| request.client_ip(&proxies).ok());
        assert!(elsewhere.is_none_or(|address| address == Some(client)));
        // The proxy appends to the line, or adds a line.
        let line = [sent.as_bytes(), b", ", appended.as_bytes()].concat();
        let line = HeaderValue::from_bytes(&line).into_iter().collect::<Vec<_>>();
        let lines = [sent.clone(), HeaderValue::from_static(appended)];
        for lines in [&line[..], &lines] {
            let Some(request) = request(proxy, lines) else { continue };
            match request.client_ip(&proxies) {
                Ok(address) => assert_eq!(address, Some(client), "{lines:?}"),
                Err(problem) => assert_eq!(problem.status(), 400),
            }
        }
        let added = request(proxy, &lines).and_then(|request| request.client_ip(&proxies).ok());
        assert!(added.is_none_or(|address| address == Some(client)), "a line of its own counts");
    }
}
