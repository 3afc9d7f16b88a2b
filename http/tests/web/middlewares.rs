//! The middlewares around a handler, with what careless and hostile clients send.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use straightline::sched::{self, sim};
use straightline::testing::{Client, TestResponse};
use straightline::web::middleware::{
    self, Cors, RateLimit, SecurityHeaders, basic_auth, bearer_auth,
};
use straightline::web::{RequestExt, Router, TrustedProxies};
use straightline::{
    AllowedHosts, IntoResponse, Method, Networks, Peer, Problem, Request, Response, ServerBuilder,
    StatusCode,
};

fn client(settings: impl Fn(ServerBuilder) -> ServerBuilder + 'static) -> Client {
    Client::with_settings(
        |request: &mut Request| match request.path() {
            "/panic" => panic!("on purpose"),
            "/problem" => Problem::new(StatusCode::CONFLICT).into_response(),
            "/varies" => "v\n".into_response().header("vary", "Accept, ORIGIN"),
            "/own" => {
                let response = "o\n".into_response();
                response.header("access-control-allow-origin", "*")
            }
            _ => format!("{}\n", request.method()).into_response(),
        },
        settings,
    )
}

/// Values with which a client would like to write fields or lines of its own.
const HOSTILE: [&[u8]; 12] = [
    b"",
    b"a b",
    b"a\tb",
    b"\xff\xfe",
    b"a,b",
    b"a;b=c",
    b"a\"b",
    b"<script>alert(1)</script>",
    b"${jndi:ldap://x}",
    b"../../etc/passwd",
    b"%0d%0aset-cookie:%20a=b",
    &[b'x'; 65],
];

#[test]
fn a_request_id_is_kept_only_if_it_can_stand_anywhere() {
    let client = client(|server| server.wrap(middleware::request_id));
    let id = |response: &TestResponse| response.header("x-request-id").expect("an id");
    for good in ["a", "7b1c-4_x.Y", &"f".repeat(64)] {
        assert_eq!(id(&client.get("/").header("x-request-id", good).send()), good);
    }
    let is_made = |id: &str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    for hostile in HOSTILE {
        let made = id(&client.get("/").header("x-request-id", hostile).send());
        assert!(is_made(&made), "{hostile:?}: {made}");
    }
    let twice = client.get("/").header("x-request-id", "a").header("x-request-id", "b").send();
    assert!(is_made(&id(&twice)));
    let failed = client.get("/panic").send();
    assert!(is_made(&id(failed.assert_status(500))));
    let draw = || {
        let client = Client::with_settings(
            |_: &mut Request| "",
            |server| server.wrap(middleware::request_id),
        );
        client.get("/").send().header("x-request-id")
    };
    assert_eq!(sim::run(5, draw), sim::run(5, draw));
}

#[test]
fn a_request_for_a_host_that_is_not_allowed_reaches_no_handler() {
    let hosts = AllowedHosts::new(["app.example"]);
    let client = client(move |server| server.wrap(middleware::allowed_hosts(hosts.clone())));
    for host in ["app.example", "app.example:8443", "127.0.0.1:80", "[::1]"] {
        client.get("/").header("host", host).send().assert_status(200);
    }
    for host in ["evil.example", "app.example.evil.example", "a.app.example"] {
        client.get("/panic").header("host", host).send().assert_status(421);
    }
}

#[test]
fn a_trace_is_passed_on_or_begun() {
    let handler = |request: &mut Request| {
        let trace = request.trace_context().expect("behind the middleware");
        format!("{} {} {}", trace.header_value(), trace.state().unwrap_or("-"), trace.is_sampled())
    };
    let client = Client::with_settings(handler, |server| server.wrap(middleware::trace_context));
    let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let with =
        |state: &str| client.get("/").header("traceparent", sent).header("tracestate", state);
    let good = with("a=1").header("tracestate", "b=2").send();
    good.assert_contains("00-4bf92f3577b34da6a3ce929d0e0e4736-");
    good.assert_contains("-01 a=1,b=2 true");
    with("A=1").send().assert_contains("-01 - true");
    for hostile in HOSTILE {
        let begun = client.get("/").header("traceparent", hostile).send();
        begun.assert_contains("-00 - false");
        let state = client.get("/").header("traceparent", sent).header("tracestate", hostile);
        state.send().assert_contains("-01 - true");
    }
    let twice = client.get("/").header("traceparent", sent).header("traceparent", sent).send();
    assert!(!twice.text().contains("4bf92f3577b34da6a3ce929d0e0e4736"));
}

#[test]
fn basic_authentication_lets_only_known_users_pass() {
    let client = Client::with_settings(
        |request: &mut Request| request.extensions().get::<String>().cloned().unwrap_or_default(),
        |server| {
            server.wrap(basic_auth("a \"realm\"", |name, password| {
                sched::sleep(Duration::from_micros(10)); // it may wait
                match (name, password) {
                    ("ada", "engine") => Ok(Some(name.to_owned())),
                    ("down", _) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE)),
                    _ => Ok(None),
                }
            }))
        },
    );
    let ask = |value: &str| client.get("/").header("authorization", value).send();
    ask("Basic YWRhOmVuZ2luZQ==").assert_status(200).assert_text("ada");
    ask("bAsIc   YWRhOmVuZ2luZQ==").assert_status(200);
    let challenge = "Basic realm=\"a \\\"realm\\\"\", charset=\"UTF-8\"";
    // ada:engin, an empty token's colon, another scheme, not base64.
    for wrong in
        ["Basic YWRhOmVuZ2lu", "Basic Og==", "Bearer YWRhOmVuZ2luZQ==", "Basic YWRhOmVuZ2luZQ="]
    {
        ask(wrong).assert_status(401).assert_header("www-authenticate", challenge);
    }
    client.get("/").send().assert_status(401).assert_header("www-authenticate", challenge);
    for malformed in ["Basic", "Basic a b", "Basic \"x\"", "Basic =", "basic \u{e9}"] {
        ask(malformed).assert_status(400).assert_no_header("www-authenticate");
    }
    let token = "Basic YWRhOmVuZ2luZQ==";
    let twice = client.get("/").header("authorization", token).header("authorization", token);
    twice.send().assert_status(400);
    ask("Basic ZG93bjo=").assert_status(503);
}

#[test]
fn bearer_authentication_says_what_is_wrong() {
    let settings = |server: ServerBuilder| {
        server.wrap(bearer_auth(|token| Ok((token == "good+/==").then_some(()))))
    };
    let client = client(settings);
    let ask = |value: &str| client.get("/").header("authorization", value).send();
    ask("Bearer good+/==").assert_status(200);
    client.get("/").send().assert_status(401).assert_header("www-authenticate", "Bearer");
    client.get("/?access_token=good").send().assert_status(401);
    ask("Basic YTpi").assert_status(401).assert_header("www-authenticate", "Bearer");
    let invalid = "Bearer error=\"invalid_token\"";
    ask("Bearer bad").assert_status(401).assert_header("www-authenticate", invalid);
    let malformed = "Bearer error=\"invalid_request\"";
    for text in ["Bearer", "Bearer a b", "Bearer a,b", "bearer \"good\"", "Bearer =a"] {
        ask(text).assert_status(400).assert_header("www-authenticate", malformed);
    }
}

fn preflight(client: &Client, origin: &[u8], method: &str) -> TestResponse {
    let ask = client.options("/").header("origin", origin);
    ask.header("access-control-request-method", method).send()
}

#[test]
fn cors_allows_the_listed_origins_and_no_others() {
    let client = client(|server| {
        let cors = Cors::new().allow_origins(["https://a.example", "http://b.example:8080"]);
        let cors = cors.allow_methods([Method::GET, Method::DELETE]).allow_headers(["X-A", "x-b"]);
        let cors = cors.expose_headers(["x-total"]).allow_credentials().allow_private_network();
        server.wrap(cors.max_age(Duration::from_secs(600)).middleware())
    });
    let answer = preflight(&client, b"https://a.example", "DELETE");
    answer
        .assert_status(204)
        .assert_header("access-control-allow-origin", "https://a.example")
        .assert_header("access-control-allow-methods", "GET, DELETE")
        .assert_header("access-control-allow-headers", "x-a, x-b")
        .assert_header("access-control-allow-credentials", "true")
        .assert_header("access-control-max-age", "600")
        .assert_no_header("access-control-allow-private-network")
        .assert_header(
            "vary",
            "access-control-request-method, access-control-request-headers, \
             access-control-request-private-network, origin",
        );
    let private = client
        .options("/")
        .header("origin", "http://b.example:8080")
        .header("access-control-request-method", "GET")
        .header("access-control-request-private-network", "true");
    private.send().assert_header("access-control-allow-private-network", "true");

    let call = client.get("/").header("origin", "https://a.example").send();
    call.assert_text("GET\n")
        .assert_header("access-control-expose-headers", "x-total")
        .assert_header("vary", "origin");
    // Errors are readable too, and the handler's own fields do not count.
    for path in ["/panic", "/problem", "/own"] {
        let answer = client.get(path).header("origin", "https://a.example").send();
        answer.assert_header("access-control-allow-origin", "https://a.example");
        let other = client.get(path).header("origin", "https://c.example").send();
        other.assert_no_header("access-control-allow-origin").assert_header("vary", "origin");
    }
    client.get("/varies").send().assert_header("vary", "Accept, ORIGIN");

    let mut others: Vec<&[u8]> = vec![
        b"null",
        b"https://a.example.evil",
        b"https://evil.a.example",
        b"http://a.example",
        b"https://a.example:443",
        b"https://a.example/",
        b"HTTPS://a.example",
        b"https://a.example, https://a.example",
        b"*",
    ];
    others.extend(HOSTILE);
    for origin in others {
        let answer = preflight(&client, origin, "GET");
        answer.assert_status(204).assert_no_header("access-control-allow-origin");
        answer.assert_no_header("access-control-allow-credentials");
        answer.assert_no_header("access-control-allow-methods");
        let call = client.get("/").header("origin", origin).send();
        call.assert_text("GET\n").assert_no_header("access-control-allow-origin");
        call.assert_no_header("access-control-allow-credentials");
    }
    // An OPTIONS that is no preflight is the handler's.
    client.options("/").send().assert_text("OPTIONS\n").assert_header("vary", "origin");
}

#[test]
fn cors_for_all_origins_is_without_credentials() {
    let open = client(|server| server.wrap(Cors::new().allow_any_origin().middleware()));
    let call = open.get("/").header("origin", "https://x.example").send();
    call.assert_header("access-control-allow-origin", "*").assert_no_header("vary");
    call.assert_no_header("access-control-allow-credentials");
    open.get("/").send().assert_no_header("access-control-allow-origin");
    let some = client(|server| {
        let cors = Cors::new().allow_origins_if(|origin| origin.ends_with(".a.example"));
        server.wrap(cors.allow_credentials().middleware())
    });
    let call = some.get("/").header("origin", "https://x.a.example").send();
    call.assert_header("access-control-allow-origin", "https://x.a.example");
    let open_to_all = || drop(Cors::new().allow_any_origin().allow_credentials().middleware());
    assert!(std::panic::catch_unwind(open_to_all).is_err());
    for wrong in ["a.example", "https://a.example/", "https://A.example", "*", "https://*.a", ""] {
        let allow = || drop(Cors::new().allow_origins([wrong]));
        assert!(std::panic::catch_unwind(allow).is_err(), "{wrong}");
    }
}

#[test]
fn cors_answers_preflights_in_front_of_a_router() {
    let router = Router::new().put("/things", |_: &mut Request| "put\n");
    let cors = Cors::new().allow_origins(["https://a.example"]).allow_methods([Method::PUT]);
    let client = Client::new(router.wrap(cors.middleware()));
    let ask = client.options("/things").header("origin", "https://a.example");
    let answer = ask.header("access-control-request-method", "PUT").send();
    answer.assert_status(204).assert_header("access-control-allow-methods", "PUT");
    let call = client.put("/things").header("origin", "https://a.example").send();
    call.assert_text("put\n").assert_header("access-control-allow-origin", "https://a.example");
}

#[test]
fn security_headers_leave_what_the_handler_has_set() {
    let handler = |_: &mut Request| {
        Response::new(StatusCode::OK).header("Referrer-Policy", "no-referrer").with_body("x")
    };
    let client = Client::with_settings(handler, |server| {
        let headers = SecurityHeaders::new().without("X-Frame-Options");
        server.wrap(headers.with("permissions-policy", "camera=()").middleware())
    });
    client
        .get("/")
        .send()
        .assert_header("referrer-policy", "no-referrer")
        .assert_header("x-content-type-options", "nosniff")
        .assert_header("permissions-policy", "camera=()")
        .assert_no_header("x-frame-options");
    let wrong = || drop(SecurityHeaders::new().with("x-a", "a\r\nset-cookie: b=c"));
    assert!(std::panic::catch_unwind(wrong).is_err());
    let the_servers = || drop(SecurityHeaders::new().with("content-length", "1"));
    assert!(std::panic::catch_unwind(the_servers).is_err());
}

/// Calls a rate-limited handler as that peer; returns the status.
fn limited(limit: RateLimit) -> impl Fn(&str, Option<&str>) -> u16 {
    let limit = Rc::new(limit.middleware());
    let proxies = TrustedProxies::by_forwarded(Networks::new(["10.0.0.0/8"]).expect("a network"));
    let find = Rc::new(middleware::client_address(proxies));
    move |peer, forwarded| {
        let peer = match peer {
            "unix" => Peer::Unix,
            address => Peer::Tcp(address.parse().expect(address)),
        };
        let builder = Request::builder().peer(peer);
        let builder = match forwarded {
            Some(value) => builder.header("forwarded", value),
            None => builder,
        };
        let end = |request: &mut Request| {
            let next = straightline::Next::new(&|_| "ok\n".into_response());
            limit(request, next).into_response()
        };
        let mut request = builder.build().expect("a request");
        find(&mut request, straightline::Next::new(&end)).into_response().status().as_u16()
    }
}

#[test]
fn a_rate_limit_counts_by_client() {
    sim::run(3, || {
        let ask = limited(RateLimit::new(2, Duration::from_secs(10)));
        let statuses = |peer: &str, forwarded: Option<&str>| [(); 3].map(|()| ask(peer, forwarded));
        assert_eq!(statuses("192.0.2.1:1", None), [200, 200, 429]);
        assert_eq!(ask("192.0.2.1:2", None), 429); // another port
        assert_eq!(ask("[::ffff:192.0.2.1]:2", None), 429);
        assert_eq!(ask("192.0.2.1:2", Some("for=6.6.6.6")), 429); // it is no proxy
        assert_eq!(statuses("192.0.2.2:1", None), [200, 200, 429]);
        assert_eq!(statuses("[2001:db8::1]:1", None), [200, 200, 429]);
        assert_eq!(ask("[2001:db8::ffff:1:2]:1", None), 429); // the same network
        assert_eq!(ask("[2001:db8:0:1::1]:1", None), 200);
        assert_eq!(statuses("10.0.0.1:1", Some("for=7.7.7.7")), [200, 200, 429]);
        assert_eq!(ask("10.0.0.2:1", Some("for=1.1.1.1, for=7.7.7.7")), 429); // another proxy
        assert_eq!(ask("10.0.0.1:1", Some("for=8.8.8.8")), 200);
        assert_eq!(statuses("10.0.0.1:1", Some("for=_a")), [200, 200, 429]);
        assert_eq!(ask("unix", None), 429); // without an address, as the one before
        assert_eq!(ask("10.0.0.1:1", Some("for=\"")), 400);
        sched::sleep(Duration::from_secs(5));
        assert_eq!(statuses("192.0.2.1:1", None), [200, 429, 429]);
        sched::sleep(Duration::from_secs(3600));
        assert_eq!(statuses("192.0.2.1:1", None), [200, 200, 429]);
    });
}

#[test]
fn a_rate_limit_counts_by_a_key_of_the_program() {
    let calls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&calls);
    let handler = move |_: &mut Request| counted.set(counted.get() + 1);
    let key = |request: &Request| request.headers().get("x-api-key").map(str::to_owned);
    let limit = RateLimit::new(1, Duration::from_secs(3600)).by(key).middleware();
    let client = Client::new(move |request: &mut Request| {
        let run = |_: &mut Request| {
            handler(&mut Request::builder().build().expect("a request"));
            "ok\n".into_response()
        };
        limit(request, straightline::Next::new(&run)).into_response()
    });
    let ask = |key: &str| client.get("/").header("x-api-key", key).send();
    ask("a").assert_status(200);
    let refused = ask("a");
    refused.assert_status(429).assert_header("content-type", "application/problem+json");
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
    ask("b").assert_status(200);
    client.get("/").send().assert_status(200);
    client.get("/").send().assert_status(200);
    assert_eq!(calls.get(), 4);
}
