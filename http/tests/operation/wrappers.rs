//! A function around the handler sees what a client sees, and an event tells how each request
//! ended.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc;
use std::time::Duration;

use straightline::{
    BodyError, ErrorContext, Event, HandlerError, IntoResponse, Limits, Next, OnDisconnect,
    Outcome, Request, Response, ServerBuilder, StatusCode, Timeout, Timeouts, header, sched,
};

use crate::common::{Running, serve, serve_with};

/// Answers in each way in which a request can end.
fn answer(request: &mut Request) -> Result<Response, HandlerError> {
    request.set_route("/{what}");
    match request.path() {
        "/ok" => Ok("fine\n".into_response().header("x-handlers", 1)),
        "/panic" => panic!("as you wish"),
        "/late" => {
            sched::sleep(Duration::MAX);
            Ok("never".into_response())
        }
        "/error" => {
            "x".parse::<u32>()?;
            Ok("never".into_response())
        }
        "/body" => {
            let bytes = request.body().read_to_vec(10)?;
            Ok(format!("{} bytes", bytes.len()).into_response())
        }
        "/cut" => Ok(Response::stream(|_, body| {
            body.write_all(b"piece")?;
            body.flush()?;
            Err(io::Error::other("no more"))
        })),
        "/fails" => {
            Ok(Response::stream(|_, _| Err(io::Error::other("at once"))).header("etag", "1"))
        }
        "/slow" => Ok(Response::stream(|_, _| {
            sched::sleep(Duration::MAX);
            Ok(())
        })),
        "/swallows" => {
            let _ = request.body().read_to_vec(1_000);
            Ok("fine\n".into_response())
        }
        "/upgrade" => Ok(Response::upgrade("x", |mut client| client.write_all(b"hello"))),
        _ => Ok(StatusCode::NOT_FOUND.into_response()),
    }
}

fn stamp(request: &mut Request, next: Next<'_>) -> Response {
    let path = request.path().to_owned();
    let response = next.run(request);
    let status = response.status().as_u16();
    response.header("x-seen", format!("{path} {status}"))
}

/// What an observer hears of each request.
type Heard = (String, Option<u16>, Outcome, Option<&'static str>, u64);

fn heard(
    configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (Running, mpsc::Receiver<Heard>) {
    let (sender, receiver) = mpsc::channel();
    let observe = move |event: &Event<'_>| {
        if let Event::RequestFinished(request) = event {
            let target = request.target.unwrap_or("-").to_owned();
            let status = request.status.map(|status| status.as_u16());
            let heard = (target, status, request.outcome, request.route, request.response_bytes);
            let _ = sender.send(heard);
        }
    };
    let timeouts = Timeouts::default().with_handler(Duration::from_millis(20));
    let configure = |builder: ServerBuilder| {
        configure(builder.timeouts(timeouts).wrap(stamp).observer(observe))
    };
    (serve_with(configure, answer), receiver)
}

#[test]
fn a_wrapper_sees_panics_errors_and_late_handlers_as_responses() {
    let (server, _heard) = heard(|builder| builder);
    let mut client = server.client();
    for (path, status) in
        [("/ok", 200), ("/panic", 500), ("/late", 504), ("/error", 500), ("/none", 404)]
    {
        let answer = client.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(
            answer.field("x-seen"),
            Some(&format!("{path} {status}")[..]),
            "{}",
            answer.head
        );
    }
}

#[test]
fn what_wrappers_add_is_also_on_a_response_that_replaces_the_handlers() {
    let (server, _heard) = heard(|builder| builder);
    let get = |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let chunk = |path| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    };
    for (request, status, seen) in [
        (get("/fails"), 500, "/fails 200"),
        (get("/slow"), 504, "/slow 200"),
        (get("/upgrade"), 426, "/upgrade 101"),
        (chunk("/swallows"), 400, "/swallows 200"),
        (chunk("/ok"), 400, "/ok 200"),
    ] {
        let answer = server.client().ask(request);
        assert_eq!((answer.status, answer.field("x-seen")), (status, Some(seen)));
        assert_eq!(answer.field("etag"), None, "of the handler's response");
    }
    // Of one request only.
    let mut client = server.client();
    assert_eq!(client.get("/fails").field("x-seen"), Some("/fails 200"));
    let mut client = server.client();
    assert!(client.get("/ok").field("x-seen").is_some());
    assert_eq!(client.ask("nonsense\r\n\r\n").field("x-seen"), None);
}

#[test]
fn an_event_tells_how_each_request_ended() {
    let (server, heard) = heard(|builder| {
        builder.limits(Limits::default().with_body_bytes(100).with_field_line_bytes(64))
    });
    let route = Some("/{what}");
    let next = || heard.recv().expect("an event");
    for (path, status, outcome, bytes) in [
        ("/ok", 200, Outcome::Answered, 5),
        ("/panic", 500, Outcome::Panicked, 22),
        ("/late", 504, Outcome::TimedOut(Timeout::Handler), 26),
        ("/error", 500, Outcome::Failed, 22),
        ("/none", 404, Outcome::Answered, 10),
    ] {
        assert_eq!(server.client().get(path).status, status);
        assert_eq!(next(), (path.to_owned(), Some(status), outcome, route, bytes));
    }
    server.client().send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n").wait_for_end();
    assert_eq!(next(), ("/cut".to_owned(), Some(200), Outcome::Failed, route, 5));
    // Handed over to another protocol.
    let upgrade = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let mut client = server.client();
    assert_eq!(client.send(upgrade).receive_with(false).status, 101);
    assert_eq!(next().2, Outcome::Upgraded);
    // Refused before there is a request, and in the middle of its body.
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "x".repeat(100));
    assert_eq!(server.client().ask(long).status, 431);
    let (target, status, outcome, no_route, _) = next();
    assert_eq!((&target[..], status, no_route), ("-", Some(431), None));
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    let chunk = "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    assert_eq!(server.client().ask(chunk).status, 400);
    let (target, status, outcome, ..) = next();
    assert_eq!((&target[..], status), ("/body", Some(400)));
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    // What the handler does not want is its own answer.
    let long = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n";
    assert_eq!(server.client().ask(format!("{long}{}", "x".repeat(50))).status, 413);
    assert_eq!(next().2, Outcome::Answered);
}

#[test]
fn a_wrapper_goes_on_when_the_client_is_gone() {
    let (sender, seen) = mpsc::channel();
    let (server, heard) = heard(move |builder| {
        builder.timeouts(Timeouts::default()).on_disconnect(OnDisconnect::Cancel).wrap(
            move |request: &mut Request, next: Next<'_>| {
                let response = next.run(request);
                sched::yield_now(); // it may wait
                let _ = sender.send(response.status().as_u16());
                response
            },
        )
    });
    let mut client = server.client();
    client.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    while server.handle.counters().in_flight == 0 {
        std::thread::yield_now();
    }
    drop(client);
    assert_eq!(seen.recv(), Ok(499));
    let (target, status, outcome, ..) = heard.recv().expect("an event");
    assert_eq!((&target[..], status, outcome), ("/late", None, Outcome::Disconnected));
}

#[test]
fn a_wrapper_that_is_late_itself_gets_its_own_time() {
    let (server, _heard) = heard(|builder| {
        builder.wrap(|request: &mut Request, next: Next<'_>| {
            let response = next.run(request);
            // It has as much time as the handler, which has used all of its own.
            if request.path() == "/late" {
                sched::sleep(Duration::from_millis(1));
            } else {
                sched::sleep(Duration::MAX);
            }
            response.header("x-inner", "yes")
        })
    });
    let answer = server.client().get("/late");
    assert_eq!((answer.status, answer.field("x-inner")), (504, Some("yes")));
    let answer = server.client().get("/ok");
    assert_eq!((answer.status, answer.field("x-inner")), (504, None));
    assert_eq!(answer.field("x-handlers"), None);
}

#[test]
fn problem_details_are_one_line() {
    let (server, _heard) = heard(|builder| {
        builder
            .limits(Limits::default().with_field_line_bytes(64))
            .error_responses(|error: &ErrorContext<'_>| error.to_problem())
    });
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "x".repeat(100));
    let missing = "GET /none HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
    for (request, status, body) in [
        (missing, 404, r#"{"title":"Not Found","status":404}"#),
        (
            long,
            431,
            concat!(
                r#"{"title":"Request Header Fields Too Large","detail":"header line too long","#,
                r#""status":431}"#
            ),
        ),
    ] {
        let answer = server.client().ask(request);
        assert_eq!((answer.status, answer.text().trim_end()), (status, body));
        assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    }
}

#[test]
fn one_function_makes_the_bodies_of_all_error_responses() {
    let (server, _heard) = heard(|builder| {
        builder.limits(Limits::default().with_field_line_bytes(64)).error_responses(
            |error: &ErrorContext<'_>| {
                let target = error.request().map_or("-", |request| request.target());
                assert_ne!(target, "/none?panic", "a panic of that function");
                let is_own = error.outcome() == Outcome::Answered;
                assert_eq!(is_own, target.starts_with("/none"), "{error:?}");
                let body = format!("{{\"error\":\"{}\",\"of\":\"{target}\"}}", error.message());
                Response::new(StatusCode::OK).content_type("application/json").with_body(body)
            },
        )
    });
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "x".repeat(100));
    let get = |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    for (request, status, body) in [
        (get("/panic"), 500, "{\"error\":\"Internal Server Error\",\"of\":\"/panic\"}"),
        (get("/error"), 500, "{\"error\":\"Internal Server Error\",\"of\":\"/error\"}"),
        (get("/late"), 504, "{\"error\":\"the handler took too long\",\"of\":\"/late\"}"),
        (get("/none"), 404, "{\"error\":\"Not Found\",\"of\":\"/none\"}"),
        (long, 431, "{\"error\":\"header line too long\",\"of\":\"-\"}"),
    ] {
        let answer = server.client().ask(request);
        assert_eq!((answer.status, answer.text()), (status, body));
        assert_eq!(answer.field("content-type"), Some("application/json"));
    }
    // The text is good enough if that function fails.
    let answer = server.client().get("/none?panic");
    assert_eq!((answer.status, answer.text()), (404, "Not Found\n"));
    // What a handler says itself is not touched.
    assert_eq!(server.client().get("/ok").text(), "fine\n");
}

#[test]
fn the_numbers_of_a_route_are_those_of_its_requests() {
    let (server, heard) = heard(|builder| builder);
    for path in ["/ok", "/ok", "/panic", "/none"] {
        server.client().get(path);
        heard.recv().expect("an event");
    }
    let metrics = server.handle.metrics();
    let numbers: BTreeMap<_, _> = metrics.routes.iter().collect();
    assert_eq!(numbers[&"/{what}"].responses, [0, 2, 0, 1, 1]);
    let text = metrics.to_prometheus();
    let line = "straightline_route_requests_total{route=\"/{what}\",status=\"2xx\"} 2\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn errors_of_bodies_keep_their_status_behind_a_question_mark() {
    let of = |error: HandlerError| error.into_response().status();
    assert_eq!(of(BodyError::TooLong(7).into()), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(of(io::Error::from(BodyError::NotText).into()), StatusCode::BAD_REQUEST);
    assert_eq!(of(io::Error::other("secret").into()), StatusCode::INTERNAL_SERVER_ERROR);
    let response = io::Error::other("secret").into_response();
    assert_eq!(response.body().as_bytes(), Some(&b"Internal Server Error\n"[..]));
    assert!(!response.headers().contains(header::RETRY_AFTER));
}

#[test]
fn a_handler_that_calls_another_as_a_wrapper_does_leaves_no_fields_behind() {
    // `Next` keeps the fields of a handler for its wrappers. This server has none.
    let server = serve(|request: &mut Request| {
        let tag = |_: &mut Request| "hi".into_response().header("etag", "\"hi\"");
        match request.path() {
            "/tagged" => Next::new(&tag).run(request),
            "/panics" => panic!("for the test"),
            _ => Response::new(StatusCode::NOT_FOUND),
        }
    });
    let get = |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let chunk = "POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    for later in [&get("/none"), &get("/panics"), chunk] {
        // Both requests are served without a pause between them.
        let mut client = server.client();
        let tagged = client.ask(format!("{}{later}", get("/tagged")));
        assert_eq!(tagged.field("etag"), Some("\"hi\""));
        assert_eq!(client.receive().field("etag"), None, "behind {later:?}");
    }
}
