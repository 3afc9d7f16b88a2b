//! Redirects, proxies, and requests that cannot be made.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};

use straightline::client::ureq::{Error, Proxy};
use straightline::client::{Client, ClientLimits, ConnectError, RefusedAddress};
use straightline::net::TcpStream;
use straightline::net::sim::network;
use straightline::sched::{self, deadline, sleep};
use straightline::{Networks, Request, Response};

use crate::upstream::{ADDRESS, MS, OK, Upstream, check, url};

/// Redirects `/from` to `location` with that status, and answers everything else.
fn redirecting(status: u16, location: &'static str) -> Upstream {
    Upstream::start(move |mut conversation| {
        while let Some(head) = conversation.hear() {
            if head.split(' ').nth(1) == Some("/from") {
                conversation.say(&format!(
                    "HTTP/1.1 {status} R\r\nLocation: {location}\r\nContent-Length: 4\r\n\r\ngone"
                ));
            } else {
                conversation.say(OK);
            }
        }
    })
}

#[test]
fn a_redirect_is_followed_on_the_same_connection() {
    check(|| {
        let upstream = redirecting(302, "/to?x");
        let mut response = Client::new().get(url("/from")).call().unwrap();
        assert_eq!(response.body_mut().read_to_string().unwrap(), "hello");
        assert_eq!(upstream.requests(), ["GET /from HTTP/1.1", "GET /to?x HTTP/1.1"]);
        assert_eq!(upstream.connections(), 1);
    });
}

#[test]
fn a_redirect_gives_its_connection_back_before_the_next_request() {
    for close in ["", "Connection: close\r\n"] {
        check(move || {
            let upstream = Upstream::start(move |mut conversation| {
                while let Some(head) = conversation.hear() {
                    if !head.starts_with("GET /from ") {
                        conversation.say(OK);
                        continue;
                    }
                    let fields = format!("Location: /to\r\n{close}Content-Length: 4");
                    conversation.say(&format!("HTTP/1.1 302 R\r\n{fields}\r\n\r\ngone"));
                }
            });
            let limits = ClientLimits::default().with_connections_per_host(1);
            let client = Client::builder().limits(limits).build();
            let mut response = client.get(url("/from")).call().unwrap();
            assert_eq!(response.body_mut().read_to_string().unwrap(), "hello");
            assert_eq!(upstream.connections(), 1 + usize::from(!close.is_empty()));
        });
    }
}

#[test]
fn a_post_becomes_a_get_behind_a_303() {
    check(|| {
        let upstream = redirecting(303, "/to");
        Client::new().post(url("/from")).send_empty().unwrap();
        assert_eq!(upstream.requests(), ["POST /from HTTP/1.1", "GET /to HTTP/1.1"]);
    });
}

#[test]
fn a_circle_of_redirects_ends_and_a_client_can_follow_none() {
    check(|| {
        let upstream = redirecting(301, "/from");
        let error = Client::new().get(url("/from")).call().unwrap_err();
        assert!(matches!(error, Error::TooManyRedirects), "{error}");
        assert_eq!(upstream.requests().len(), 11);
        let client = Client::builder().configure(|config| config.max_redirects(0)).build();
        assert_eq!(client.get(url("/from")).call().unwrap().status(), 301);
    });
}

#[test]
fn the_credentials_are_not_sent_to_where_a_redirect_leads() {
    check(|| {
        let upstream = redirecting(307, "http://10.0.0.8/");
        let other = Upstream::at("10.0.0.8:80", |mut conversation| {
            conversation.hear();
            conversation.say(OK);
            conversation.wait_for_end();
        });
        let request = Client::new().get(url("/from")).header("authorization", "Bearer secret");
        request.call().unwrap();
        assert!(upstream.head(0).contains("Bearer secret"));
        assert!(!other.head(0).contains("secret"), "{}", other.head(0));
    });
}

#[test]
fn an_endless_body_of_a_redirect_ends_with_the_deadline() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            conversation
                .say("HTTP/1.1 302 R\r\nLocation: /x\r\nTransfer-Encoding: chunked\r\n\r\n");
            while conversation.stream.write_all(b"1\r\nx\r\n").is_ok() {
                sleep(MS);
            }
        });
        assert!(deadline(50 * MS, || drop(Client::new().get(url("/")).call())).is_err());
        sleep(5 * MS);
        drop(upstream);
    });
}

#[test]
fn a_request_says_who_asks() {
    check(|| {
        let upstream = Upstream::answering(OK);
        let client = Client::new();
        client.get(url("/")).call().unwrap();
        let head = upstream.head(0);
        let agent = concat!("user-agent: straightline/", env!("CARGO_PKG_VERSION"), "\r\n");
        assert!(head.contains("host: 10.0.0.9\r\n") || head.contains("host: 10.0.0.9:80\r\n"));
        assert!(head.contains(agent), "{head}");
        client.get(url("/")).header("user-agent", "stock/1").call().unwrap();
        assert!(upstream.head(1).contains("user-agent: stock/1\r\n"));
    });
}

#[test]
fn a_status_is_no_error() {
    check(|| {
        let _upstream = Upstream::answering("HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nbad");
        let mut response = Client::new().get(url("/")).call().unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.body_mut().read_to_string().unwrap(), "bad");
    });
}

/// A proxy that opens tunnels.
fn proxy(answer: &'static str) -> Upstream {
    Upstream::at("10.0.0.7:3128", move |mut conversation| {
        let Some(head) = conversation.hear() else { return };
        let target = head.split(' ').nth(1).expect("a target").replace("stock.example", "10.0.0.9");
        conversation.say(answer);
        if !answer.contains(" 200 ") {
            return;
        }
        let target: SocketAddr = target.parse().expect("an address");
        let server = TcpStream::connect(target).expect("the server listens");
        sched::scope(|s| {
            let there = s.spawn(|| std::io::copy(&mut &conversation.stream, &mut &server));
            let _ = std::io::copy(&mut &server, &mut &conversation.stream);
            there.cancel();
        });
    })
}

fn through(proxy: &str) -> Client {
    Client::builder().proxy(Some(Proxy::new(proxy).expect("a URL"))).build()
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_that_is_used_again() {
    check(|| {
        let proxy = proxy("HTTP/1.1 200 Connected\r\nVia: x\r\n\r\n");
        let upstream = Upstream::start(|mut conversation| {
            for _ in 0..2 {
                conversation.hear();
                conversation.say(OK);
            }
        });
        let client = through("http://me:secret@10.0.0.7:3128");
        for path in ["/a", "/b"] {
            let mut response = client.get(format!("http://stock.example{path}")).call().unwrap();
            assert_eq!(response.body_mut().read_to_string().unwrap(), "hello");
        }
        assert_eq!(proxy.requests(), ["CONNECT stock.example:80 HTTP/1.1"]);
        assert!(proxy.head(0).contains("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"));
        assert_eq!(upstream.requests(), ["GET /a HTTP/1.1", "GET /b HTTP/1.1"]);
        assert!(!upstream.head(0).contains("uthorization"));
    });
}

#[test]
fn a_proxy_that_declines_is_an_error_that_says_so() {
    for (answer, expected) in [
        ("HTTP/1.1 407 No\r\n\r\n", "the proxy answered with the status 407"),
        ("SSH-2.0-x\r\n\r\n", "the proxy sent no HTTP"),
        ("HTTP/1.1 502 No", "the proxy closed the connection"),
    ] {
        check(move || {
            let _proxy = proxy(answer);
            let client = through("http://10.0.0.7:3128");
            let error = client.get("http://stock.example/").call().unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        });
    }
}

#[test]
fn a_proxy_that_does_not_listen_and_one_that_is_no_http_are_errors() {
    check(|| {
        let error = through("http://10.0.0.7:3128").get("http://a/").call().unwrap_err();
        assert!(error.to_string().contains("cannot connect to 10.0.0.7:3128"), "{error}");
    });
    assert!(Proxy::new("socks5://10.0.0.7").is_ok());
    check(|| {
        let error = through("socks5://10.0.0.7").get("http://a/").call().unwrap_err();
        assert!(error.to_string().contains("SOCKS5 is not supported"), "{error}");
    });
}

#[test]
fn a_proxy_can_be_left_out_for_a_host() {
    check(|| {
        let _upstream = Upstream::answering(OK);
        let proxy = Proxy::builder(straightline::client::ureq::ProxyProtocol::Http);
        let proxy = proxy.host("10.0.0.7").no_proxy("10.0.0.9").build().unwrap();
        let client = Client::builder().proxy(Some(proxy)).build();
        assert_eq!(client.get(url("/")).call().unwrap().status(), 200);
    });
}

/// A client that calls no private addresses, but those of the 10.0.0.0/30.
fn careful() -> Client {
    let refused = Networks::new(["127.0.0.0/8", "10.0.0.8/29", "::1"]).expect("networks");
    Client::builder().refuse(refused).build()
}

fn is_refused(client: &Client, url: &str) -> bool {
    let error = client.get(url).call().expect_err("a refused address");
    assert!(!ConnectError::is_cause_of(&error), "{error}");
    RefusedAddress::is_cause_of(&error)
}

#[test]
fn a_refused_address_is_not_called_whatever_name_it_has() {
    check(|| {
        let inner = Upstream::answering(OK); // 10.0.0.9
        let outer = Upstream::at("10.0.0.1:80", |mut conversation| {
            while conversation.hear().is_some() {
                conversation.say(OK);
            }
        });
        let addresses = |list: &[&str]| -> Vec<IpAddr> {
            list.iter().map(|address| address.parse().expect("an address")).collect()
        };
        network().name("inner.example", addresses(&["10.0.0.9"]));
        network().name("mixed.example", addresses(&["10.0.0.9", "10.0.0.1"]));
        let client = careful();
        for url in ["http://10.0.0.9/", "http://inner.example/", "http://[::ffff:10.0.0.9]/"] {
            assert!(is_refused(&client, url), "{url}");
        }
        // Only the other address of this name is called.
        for url in ["http://10.0.0.1/", "http://mixed.example/"] {
            assert_eq!(client.get(url).call().unwrap().status(), 200, "{url}");
        }
        assert_eq!((inner.connections(), outer.requests().len()), (0, 2));
        // The same client without the list.
        assert_eq!(Client::new().get("http://inner.example/").call().unwrap().status(), 200);
    });
}

#[test]
fn a_redirect_to_a_refused_address_is_not_followed() {
    check(|| {
        let inner = Upstream::answering(OK);
        let _outer = Upstream::at("10.0.0.1:80", |mut conversation| {
            while conversation.hear().is_some() {
                let fields = "Location: http://inner.example/secret\r\nContent-Length: 0";
                conversation.say(&format!("HTTP/1.1 302 R\r\n{fields}\r\n\r\n"));
            }
        });
        network().name("inner.example", ["10.0.0.9".parse().expect("an address")]);
        assert!(is_refused(&careful(), "http://10.0.0.1/"));
        assert_eq!(inner.connections(), 0);
    });
}

#[test]
fn a_proxy_may_be_at_a_refused_address_and_is_not_asked_for_one() {
    check(|| {
        let proxy = Upstream::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        let refused = Networks::new(["10.0.0.0/8"]).expect("a network");
        let client = Client::builder().refuse(refused);
        let client = client.proxy(Some(Proxy::new(&url("")).unwrap())).build();
        assert!(is_refused(&client, "http://10.0.0.1/"));
        assert_eq!(proxy.connections(), 0);
        let error = client.get("http://outer.example/").call().unwrap_err();
        assert!(!RefusedAddress::is_cause_of(&error), "{error}");
        assert_eq!(proxy.requests(), ["CONNECT outer.example:80 HTTP/1.1"]);
    });
}

#[test]
fn a_request_that_cannot_be_made_is_an_error_that_says_why() {
    check(|| {
        let client = Client::new();
        for (url, expected) in [
            ("/path", "bad uri"),
            ("ftp://a/", "bad uri"),
            ("http://", "empty"),
            ("http://a b/", "invalid"),
        ] {
            let error = client.get(url).call().unwrap_err().to_string();
            assert!(error.contains(expected), "{url}: {error}");
        }
        #[cfg(not(feature = "_tls"))]
        {
            let error = client.get(format!("https://{ADDRESS}/")).call().unwrap_err();
            assert!(error.to_string().contains("`https` needs the feature `tls`"), "{error}");
        }
    });
    let _ = ADDRESS;
    let error = Client::new().get("http://127.0.0.1:1/").call().unwrap_err();
    assert!(error.to_string().contains("needs a fiber"), "{error}");
}

#[test]
fn a_response_that_is_taken_to_another_shard_is_an_error_there() {
    let server = crate::common::serve(|_: &mut Request| {
        Response::stream(|request, body| {
            body.write_all(b"part")?;
            body.flush()?;
            request.draining().wait()?;
            Ok(())
        })
    });
    let url = format!("http://{}/", server.address);
    sched::run(move || {
        let mut body = Client::new().get(&url).call().unwrap().into_body();
        let mut part = [0; 4];
        body.as_reader().read_exact(&mut part).unwrap();
        assert_eq!(&part, b"part");
        let elsewhere = move || sched::run(move || body.read_to_string().unwrap_err().to_string());
        let error = sched::offload(elsewhere).unwrap();
        assert!(error.contains("a value that belongs to shard"), "{error}");
    });
}
