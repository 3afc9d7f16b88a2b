//! What passes through a proxy whose upstream is good: fields, bodies, trailers, expectations.

use std::io::{Read, Write};
use std::sync::Arc;

use straightline::proxy::{HostPolicy, Proxy, ProxyLimits};
use straightline::sched::sync::Flag;
use straightline::{
    IntoResponse, Limits, Method, Request, Response, ResponseBody, StatusCode, header,
};

use crate::common::{Running, serve, serve_with};
use crate::scripted::{proxy_to, quiet, scripted};

/// A proxy in front of a server.
pub(crate) fn in_front_of(upstream: &Running) -> Running {
    serve(proxy_to(&upstream.address.to_string()))
}

/// Answers with the head that it got.
fn told(request: &mut Request) -> String {
    let mut text = format!("{} {}\n", request.method(), request.target());
    for (name, value) in request.headers() {
        text.extend([name, ": ", &String::from_utf8_lossy(value), "\n"]);
    }
    text
}

#[test]
fn the_upstream_gets_the_request_and_learns_who_asks() {
    let upstream = serve(told);
    let proxy = in_front_of(&upstream);
    let mut client = proxy.client();
    let answer = client.ask(
        "GET http://a.example/x?y=%20z HTTP/1.1\r\nHost: a.example\r\nX-End: 1\r\nX-End: 2\r\n\
         Connection: keep-alive, x-hop\r\nX-Hop: 3\r\nX-Forwarded-For: 9.9.9.9\r\n\
         X-Real-IP: 9.9.9.9\r\nTrue_Client_IP: 9.9.9.9\r\nX-Forwarded-Prefix: /admin\r\n\
         Proxy-Authorization: secret\r\nUpgrade: h2c\r\nTE: trailers\r\n\r\n",
    );
    assert_eq!(
        answer.text(),
        "GET /x?y=%20z\nHost: a.example\nX-End: 1\nX-End: 2\n\
         Forwarded: for=127.0.0.1;host=\"a.example\";proto=http\nX-Forwarded-For: 127.0.0.1\n\
         X-Forwarded-Host: a.example\nX-Forwarded-Proto: http\nX-Real-IP: 127.0.0.1\n\
         Via: 1.1 straightline\n\
         Connection: TE\nTE: trailers\n"
    );
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn the_host_is_that_of_the_policy() {
    let upstream = serve(|request: &mut Request| request.host().unwrap_or_default().to_owned());
    let address = upstream.address.to_string();
    for (policy, expected) in [
        (HostPolicy::Keep, "a"),
        (HostPolicy::Upstream, &*address),
        (HostPolicy::Fixed("b.example".to_owned()), "b.example"),
    ] {
        let proxy = serve(quiet(Proxy::builder().upstream(&address).host(policy)));
        assert_eq!(proxy.client().get("/").text(), expected);
    }
    // A client of HTTP/1.0 may have none.
    let proxy = in_front_of(&upstream);
    let mut client = proxy.client();
    assert_eq!(client.ask("GET / HTTP/1.0\r\n\r\n").text(), address);
}

#[test]
fn the_client_gets_the_response_with_all_its_fields() {
    let upstream = scripted(|peer, _| {
        while peer.read_head() {
            peer.write(
                "HTTP/1.1 203 Whatever\r\nDate: then\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
                 Content-Length: 2\r\nX-Hop: 1\r\nConnection: x-hop\r\nKeep-Alive: timeout=5\r\n\
                 Proxy-Status: x\r\nX-Latin: \u{e9}\r\n\r\nhi",
            );
        }
    });
    let proxy = serve(proxy_to(&upstream.address));
    let mut client = proxy.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!(
            answer.head,
            "HTTP/1.1 203 Non Authoritative Information\r\ndate: then\r\nset-cookie: a=1\r\n\
             set-cookie: b=2\r\nproxy-status: x\r\nx-latin: \u{e9}\r\nContent-Length: 2\r\n\r\n"
        );
        assert_eq!(answer.text(), "hi");
    }
}

#[test]
fn a_response_without_a_body_has_none() {
    let upstream = serve(|request: &mut Request| match request.path() {
        "/none" => StatusCode::NO_CONTENT.into_response(),
        "/same" => Response::new(StatusCode::NOT_MODIFIED).header(header::ETAG, "\"1\""),
        "/empty" => "".into_response(),
        _ => "twelve bytes".into_response(),
    });
    let proxy = in_front_of(&upstream);
    let mut client = proxy.client();
    for _ in 0..2 {
        let head = client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").receive_with(false);
        assert_eq!((head.status, head.field("content-length")), (200, Some("12")));
        let none = client.get("/none");
        assert_eq!((none.status, none.field("content-length")), (204, None));
        let same = client.get("/same");
        assert_eq!((same.status, same.field("etag")), (304, Some("\"1\"")));
        assert_eq!(client.get("/empty").field("content-length"), Some("0"));
        assert_eq!(client.get("/").text(), "twelve bytes");
    }
    assert_eq!(upstream.handle.counters().accepted, 1, "one connection for all of them");
}

#[test]
fn a_response_to_head_without_a_length_and_a_304_with_one_keep_the_connection() {
    let upstream = scripted(|peer, _| {
        while peer.read_head() {
            peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            assert!(peer.read_head());
            peer.write("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n");
        }
    });
    let proxy = proxy_to(&upstream.address);
    let running = serve(proxy.clone());
    let mut client = running.client();
    for _ in 0..2 {
        let head = client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").receive_with(false);
        assert_eq!((head.status, head.field("content-length")), (200, None));
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let same = client.receive_with(false);
        assert_eq!((same.status, same.field("content-length")), (304, Some("99")));
    }
    assert_eq!(proxy.metrics().upstreams[0].connected, 1);
}

/// Sends the body back while it arrives, with its trailers.
pub(crate) fn echo(_: &mut Request) -> Response {
    Response::stream(|request, body| {
        request.body().copy_to(body)?;
        for (name, value) in request.trailers() {
            body.trailer(name, value)?;
        }
        Ok(())
    })
}

#[test]
fn bodies_pass_both_ways_at_the_same_time_and_so_do_trailers() {
    let upstream = serve(echo);
    let proxy = in_front_of(&upstream);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in ["one", "two", "three"] {
        client.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
        if piece == "one" {
            assert_eq!(client.receive_with(false).status, 200);
        }
        // The piece is back before the next one is sent.
        assert_eq!(client.chunk(), piece.as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.chunk(), b"");
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send("3\r\nabc\r\n0\r\nSum: 3\r\n\r\n");
        let answer = client.receive();
        assert_eq!((answer.text(), &*answer.trailers), ("abc", "sum: 3\n"));
    }
}

#[test]
fn large_bodies_pass_whole() {
    let upstream =
        serve_with(|server| server.limits(Limits::default().with_body_bytes(1 << 30)), echo);
    let proxy = proxy_to(&upstream.address.to_string());
    let proxy =
        serve_with(|server| server.limits(Limits::default().with_body_bytes(1 << 30)), proxy);
    let body: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
    let client = proxy.client();
    let mut writer = client.stream.try_clone().expect("a second handle");
    let sent = body.clone();
    let sending = std::thread::spawn(move || {
        let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", sent.len());
        writer.write_all(head.as_bytes()).expect("the proxy reads");
        writer.write_all(&sent).expect("the proxy reads");
    });
    let mut client = client;
    assert!(client.receive().body == body);
    sending.join().expect("no panic");
}

#[test]
fn a_client_that_expects_a_100_gets_it_from_the_upstream() {
    let upstream = serve(|request: &mut Request| match request.path() {
        "/no" => (StatusCode::FORBIDDEN, "no\n").into_response(),
        _ => ResponseBody::from(request.body().read_to_vec(100).expect("a body")).into_response(),
    });
    let proxy = in_front_of(&upstream);
    let mut client = proxy.client();
    let head = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
    };
    for _ in 0..2 {
        assert_eq!(client.send(head("/")).receive_with(false).status, 100);
        assert_eq!(client.ask("hello").text(), "hello");
    }
    let refused = client.ask(head("/no"));
    assert_eq!((refused.status, refused.text()), (403, "no\n"));
    assert!(client.is_at_end(), "the client may have sent its body, or not");
}

#[test]
fn an_early_answer_to_a_client_that_expects_a_100_arrives_whole() {
    let upstream = scripted(|peer, _| {
        assert!(peer.read_head());
        let head = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 100000\r\n\r\n";
        peer.write(&(head.to_owned() + &"x".repeat(10_000)));
        std::thread::sleep(std::time::Duration::from_millis(20)); // the rest comes later
        peer.write(&"x".repeat(90_000));
    });
    let proxy = serve(proxy_to(&upstream.address));
    let mut client = proxy.client();
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 500000\r\n\r\n";
    let refused = client.ask(head);
    assert_eq!((refused.status, refused.text().len()), (401, 100_000));
}

#[test]
fn trailers_say_no_more_than_heads_may() {
    let upstream = serve(|request: &mut Request| {
        request.body().read_to_vec(100).expect("a body");
        let names: Vec<_> =
            request.trailers().into_iter().map(|(name, _)| name.to_lowercase()).collect();
        names.join(" ")
    });
    let proxy = in_front_of(&upstream);
    let answer = proxy.client().ask(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: x-hop\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nVia: 1.1 x\r\n\
         X-Forwarded-Proto: https\r\nX-Real-IP: 6.6.6.6\r\nX-Hop: 1\r\nX-Sum: 7\r\n\r\n",
    );
    assert_eq!(answer.text(), "x-sum");
}

#[test]
fn an_interim_response_is_passed_on_to_a_client_that_knows_such() {
    let upstream = scripted(|peer, _| {
        while peer.read_head() {
            peer.write("HTTP/1.1 100 Continue\r\n\r\n");
            peer.write("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: y\r\nY: 1\r\n\r\n");
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        }
    });
    let proxy = serve(proxy_to(&upstream.address));
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let hints = client.receive_with(false);
        assert_eq!(hints.head, "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n");
        assert_eq!(client.receive().text(), "hi");
    }
    assert_eq!(proxy.client().ask("GET / HTTP/1.0\r\n\r\n").text(), "hi");
}

#[test]
fn an_early_response_arrives_and_the_upload_ends() {
    let upstream = scripted(|peer, _| {
        assert!(peer.read_head());
        peer.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nno!\n");
        peer.read_to_end();
    });
    let proxy = proxy_to(&upstream.address);
    let running = serve(proxy.clone());
    let mut client = running.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\nbegin");
    let answer = client.receive();
    assert_eq!((answer.status, answer.text()), (413, "no!\n"));
    // The upstream's connection is closed, not kept: it is in the middle of a request.
    upstream.received.recv().expect("its end");
    assert_eq!(proxy.metrics().upstreams[0].idle, 0);
}

#[test]
fn a_request_that_two_parties_could_read_differently_reaches_no_upstream() {
    let proxy = proxy_to("127.0.0.1:9"); // never connected to
    let running = serve(proxy.clone());
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding : chunked",
        "Content-Length: 0005",
        "X: a\r\n b",
    ] {
        let mut client = running.client();
        let answer = client.ask(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n"));
        assert!((400..=501).contains(&answer.status), "{fields}: {}", answer.status);
    }
    for method in ["CONNECT a:80", "TRACE /"] {
        let mut client = running.client();
        let answer = client.ask(format!("{method} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.status, 405);
        assert!(answer.field("allow").is_some_and(|allow| allow.contains("GET")));
    }
    let mut client = running.client();
    let answer = client.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
    assert_eq!(answer.status, 204);
    assert_eq!(proxy.metrics().upstreams[0].requests, 0);
}

#[test]
fn what_a_client_names_in_connection_cannot_change_the_framing() {
    let upstream = scripted(|peer, _| {
        assert!(peer.read_until("\r\n\r\nhello"));
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        peer.finish();
    });
    let proxy = serve(proxy_to(&upstream.address));
    let mut client = proxy.client();
    client.ask(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length, host, x-forwarded-for, via\r\n\
         Content-Length: 5\r\n\r\nhello",
    );
    drop((client, proxy));
    let received = upstream.received.recv().expect("a request");
    for line in ["Host: a", "Content-Length: 5", "X-Forwarded-For: 127.0.0.1", "Via: 1.1 "] {
        assert_eq!(received.matches(&format!("\n{line}")).count(), 1, "{line} in {received}");
    }
}

#[test]
fn a_request_that_its_client_cuts_never_looks_whole_to_the_upstream() {
    for (fields, piece) in [
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nSum"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\nnonsense\r\n"),
        ("Content-Length: 100000", "hello"),
    ] {
        let asked = Arc::new(Flag::new());
        let upstream = scripted({
            let asked = Arc::clone(&asked);
            move |peer, _| {
                assert!(peer.read_head());
                asked.set();
                peer.read_to_end();
            }
        });
        let proxy = proxy_to(&upstream.address);
        let running = serve(proxy.clone());
        let mut client = running.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{piece}"));
        asked.wait().expect("a thread may wait");
        drop(client);
        let received = upstream.received.recv().expect("its end");
        let (_, body) = received.split_once("\r\n\r\n").expect("a head");
        assert!(body.len() < 100 && !body.contains("0\r\n"), "{body:?}");
        drop(running);
        let numbers = &proxy.metrics().upstreams[0];
        assert_eq!((numbers.in_flight, numbers.idle, numbers.failures), (0, 0, 0), "{piece}");
    }
}

#[test]
fn a_client_that_leaves_closes_the_upstreams_connection() {
    // Before the head, and in the middle of a body.
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"] {
        let asked = Arc::new(Flag::new());
        let upstream = scripted({
            let asked = Arc::clone(&asked);
            move |peer, _| {
                assert!(peer.read_head());
                peer.write(answer);
                asked.set();
                // Not the timeout of the read, which is an error.
                assert_eq!(peer.stream.read(&mut [0; 10]).ok(), Some(0), "an orderly end");
            }
        });
        let proxy = proxy_to(&upstream.address);
        let running = serve(proxy.clone());
        let mut client = running.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        asked.wait().expect("a thread may wait");
        if !answer.is_empty() {
            assert_eq!(client.receive_with(false).status, 200);
        }
        drop(client);
        upstream.received.recv_timeout(std::time::Duration::from_secs(20)).expect("its end");
        drop(running);
        let numbers = &proxy.metrics().upstreams[0];
        assert_eq!((numbers.in_flight, numbers.idle, numbers.failures), (0, 0, 0));
    }
}

#[test]
fn one_connection_serves_many_requests_and_is_closed_at_the_end() {
    let upstream = serve(|request: &mut Request| request.path().to_owned());
    let proxy = proxy_to(&upstream.address.to_string());
    let running = serve(proxy.clone());
    for round in 0..10 {
        let mut client = running.client();
        for number in 0..10 {
            let path = format!("/{round}/{number}");
            assert_eq!(client.get(&path).text(), path);
        }
        // Those of a pipeline arrive one after the other.
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
        (0..3).for_each(|_| assert_eq!(client.receive().text(), "/a"));
    }
    let numbers = proxy.metrics().upstreams.remove(0);
    assert_eq!((numbers.requests, numbers.connected, numbers.idle), (130, 1, 1));
    assert_eq!((numbers.failures, numbers.retries, numbers.in_flight), (0, 0, 0));
    drop(running);
    assert_eq!(proxy.metrics().upstreams[0].idle, 0);
    // The upstream's server counts as many ends as connections.
    drop(upstream);
}

#[test]
fn a_limit_on_connections_is_kept_to_the_number() {
    let upstream = scripted(|peer, _| {
        assert!(peer.read_head());
        peer.read_to_end();
    });
    for (limit, expected) in [(1, [0, 503]), (2, [0, 0])] {
        let limits = ProxyLimits::default().with_connections(limit).with_queue(0);
        let proxy = quiet(Proxy::builder().upstream(&upstream.address).limits(limits));
        let running = serve(proxy.clone());
        let mut clients = Vec::new();
        for (number, status) in expected.into_iter().enumerate() {
            let mut client = running.client();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            if status == 0 {
                while proxy.metrics().upstreams[0].in_flight <= number {
                    std::thread::yield_now();
                }
            } else {
                let answer = client.receive();
                assert_eq!(answer.status, status);
                assert_eq!(answer.field("retry-after"), Some("1"));
                assert!(answer.text().contains("too many requests"), "{}", answer.text());
            }
            clients.push(client);
        }
        drop(clients);
    }
}

#[test]
fn a_handler_may_pass_some_requests_on_and_change_them() {
    let upstream = serve(told);
    let inner = proxy_to(&upstream.address.to_string());
    let proxy = serve(move |request: &mut Request| {
        let Some(rest) = request.path().strip_prefix("/api").map(str::to_owned) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        request.set_target(&rest).expect("a good target");
        request.set_method(Method::PUT);
        request.set_header("x-own", "1");
        inner.pass(request).header("x-answer", "2")
    });
    let mut client = proxy.client();
    assert_eq!(client.get("/other").status, 404);
    let answer = client.get("/api/x");
    assert!(answer.text().starts_with("PUT /x\n"), "{}", answer.text());
    assert!(answer.text().contains("x-own: 1\n"), "{}", answer.text());
    assert_eq!(answer.field("x-answer"), Some("2"));
}

#[test]
fn a_made_request_passes_too() {
    let upstream = serve(|request: &mut Request| request.path().to_owned());
    let proxy = proxy_to(&upstream.address.to_string());
    let body = straightline::sched::run(move || {
        let mut request = Request::builder().target("/made").build().expect("a request");
        let response = proxy.pass(&mut request);
        let mut body = Vec::new();
        response.into_body().write_to(&mut request, &mut body).expect("a body");
        body
    });
    assert_eq!(body, b"/made");
}

#[test]
fn a_head_does_not_wait_for_a_body_that_is_late() {
    let (seen, has_seen) = std::sync::mpsc::channel::<()>();
    let has_seen = std::sync::Mutex::new(has_seen);
    let upstream = scripted(move |peer, _| {
        peer.read_head();
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        // The body comes when the client has the head.
        let _ = has_seen.lock().expect("one connection").recv();
        peer.write("hi");
        peer.finish();
    });
    let proxy = serve(proxy_to(&upstream.address));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.receive_with(false);
    assert_eq!((head.status, head.field("content-length")), (200, Some("2")));
    drop(seen);
    assert_eq!(client.exactly(2), b"hi");
}

#[test]
fn a_content_type_of_the_upstreams_hop_is_not_replaced_by_another() {
    let upstream = scripted(|peer, _| {
        peer.read_head();
        peer.write(
            "HTTP/1.1 200 OK\r\nConnection: content-type, close\r\nContent-Type: text/plain\r\n\
             Content-Length: 2\r\n\r\nhi",
        );
        peer.finish();
    });
    let answer = serve(proxy_to(&upstream.address)).client().get("/");
    assert_eq!((answer.text(), answer.field("content-type")), ("hi", None));
}
