//! Requests and responses are values: a program makes them, reads them and changes them.

use std::io::{Read, Write};

use crate::common::serve;
use quickcheck::quickcheck;
use straightline::{
    BodyError, IntoResponse, Method, Peer, Request, Response, ResponseBody, StatusCode, Version,
    header,
};

#[test]
fn a_made_request_is_read_as_one_of_a_client() {
    let request = Request::builder()
        .method(Method::PUT)
        .target("/a/b?c=d")
        .header(header::HOST, "example.org")
        .append("x-tag", "1")
        .append("X-Tag", "2")
        .header("x-other", 7)
        .peer(Peer::Unix)
        .body("some text")
        .build()
        .unwrap();
    assert_eq!((request.method(), request.target()), (&Method::PUT, "/a/b?c=d"));
    assert_eq!((request.path(), request.query()), ("/a/b", Some("c=d")));
    assert_eq!((request.host(), request.version()), (Some("example.org"), Version::HTTP_11));
    assert_eq!(request.peer(), &Peer::Unix);
    let headers = request.headers();
    assert_eq!(headers.all("x-tag").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!((headers.get("X-OTHER"), headers.content_length()), (Some("7"), Some(9)));
    // Head and body at the same time.
    let tag = headers.get("x-tag");
    assert_eq!(request.body().read_to_vec(9).unwrap(), b"some text");
    assert_eq!((tag, request.body().remaining()), (Some("1"), Some(0)));
    // What it does with a server is without effect, and does no harm.
    assert!(request.server().is_ready());
}

#[test]
fn what_no_client_could_send_cannot_be_made() {
    let target = |target: &str| Request::builder().target(target).build();
    for bad in ["", "no-slash", "/a b", "/a\r\nX: y", "/\u{e9}", "*"] {
        assert!(target(bad).is_err(), "{bad:?}");
    }
    assert!(Request::builder().version(Version::HTTP_2).build().is_err());
    let smuggled = Request::builder().header(header::TRANSFER_ENCODING, "chunked").body("x");
    assert!(smuggled.build().is_err());
    assert!(Request::builder().header(header::TRANSFER_ENCODING, "chunked").build().is_err());
    // The length is what the body has, whatever was said.
    let request = Request::builder().header(header::CONTENT_LENGTH, 99).body("abc").build();
    assert_eq!(request.unwrap().headers().content_length(), Some(3));
}

#[test]
fn a_body_may_come_from_a_reader() {
    let reader = std::io::repeat(b'x').take(100_000);
    let request = Request::builder().method(Method::POST).reader(reader).build().unwrap();
    assert_eq!(request.body().remaining(), None);
    assert_eq!(request.body().read_to_vec(99_999), Err(BodyError::TooLong(99_999)));
    let reader = std::io::repeat(b'x').take(100_000);
    let request = Request::builder().method(Method::POST).reader(reader).build().unwrap();
    assert_eq!(request.body().read_to_vec(100_000).unwrap().len(), 100_000);
    assert_eq!(request.body().remaining(), Some(0));
}

#[test]
fn a_request_can_be_changed_for_the_handlers_behind() {
    let mut request =
        Request::builder().target("/v1/x?y").header("a", "1").body("body").build().unwrap();
    request.set_target("/x?y").unwrap();
    assert_eq!((request.path(), request.query(), request.target()), ("/x", Some("y"), "/x?y"));
    assert!(request.set_target("x y").is_err());
    assert_eq!(request.target(), "/x?y", "as before");
    request.set_header("A", "2");
    request.append_header("a", "3");
    assert_eq!(request.headers().all("a").collect::<Vec<_>>(), [b"2", b"3"]);
    request.remove_header("a");
    assert!(!request.headers().contains("a"));
    request.set_method(Method::GET);
    assert_eq!(request.method(), Method::GET);
    assert!(request.try_set_header("a", "x\ny").is_err());
    assert_eq!(request.body().read_to_vec(10).unwrap(), b"body");
}

#[test]
fn a_response_can_be_read_and_changed() {
    let mut response = (StatusCode::CREATED, "text").into_response();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers().content_type(), Some("text/plain; charset=utf-8"));
    response.set_body(vec![1, 2]);
    assert_eq!(response.headers().content_type(), Some("application/octet-stream"));
    response.set_header(header::CONTENT_TYPE, "image/png");
    response.set_header("content-type", "image/gif");
    assert_eq!(response.headers().all("content-type").count(), 1);
    let response = response.content_type("text/html");
    assert_eq!(
        response.headers().iter().collect::<Vec<_>>(),
        [("content-type", &b"text/html"[..])]
    );
    let mut response = response.append("a", 1).append("a", 2).header("b", 3);
    assert_eq!((response.headers().len(), response.headers().all("a").count()), (4, 2));
    response.remove_header("A");
    assert_eq!(response.headers().len(), 2);
    for own in ["connection", "content-length", "date", "transfer-encoding"] {
        assert!(response.try_set_header(own, "x").is_err(), "{own}");
    }
    assert!(response.try_set_header("bad name", "x").is_err());
    assert!(response.try_set_header("x", "a\r\nb").is_err());
    assert_eq!(response.take_body().as_bytes(), Some(&[1, 2][..]));
    assert_eq!(response.body().length(), Some(0));
}

#[test]
fn a_status_is_an_error_only_from_400_on() {
    for (status, is_text) in [(200, true), (202, true), (302, true), (204, false), (404, true)] {
        let response = StatusCode::from_u16(status).unwrap().into_response();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.body().length() > Some(0), is_text, "{status}");
    }
    let typed = |value: &str| Request::builder().header("content-type", value).build().unwrap();
    for value in ["text/plain", "Text/PLAIN", "text/plain; charset=utf-8", "text/plain ;x"] {
        assert!(typed(value).headers().is_media_type("text/plain"), "{value}");
    }
    for value in ["text/plainer", "text/*", ""] {
        assert!(!typed(value).headers().is_media_type("text/plain"), "{value}");
    }
}

#[test]
fn a_streamed_body_can_be_collected_and_wrapped() {
    let collect = |body: ResponseBody| {
        let mut bytes = Vec::new();
        let mut request = Request::builder().body("asked").build().unwrap();
        body.write_to(&mut request, &mut bytes).map(|trailers| (bytes, trailers))
    };
    let echo = || {
        Response::stream(|request, body| {
            request.body().copy_to(body)?;
            body.trailer("x-sum", 5)
        })
    };
    let (bytes, trailers) = collect(echo().into_body()).unwrap();
    assert_eq!((&bytes[..], trailers["x-sum"].as_bytes()), (&b"asked"[..], &b"5"[..]));
    let inner = echo().into_body();
    let outer = ResponseBody::stream(move |request, body| {
        write!(body, "<")?;
        inner.write_to(request, body)?;
        write!(body, ">")
    });
    assert_eq!(collect(outer).unwrap().0, b"<asked>");
    // An announced length holds for every writer.
    for announced in [4, 6] {
        assert!(collect(echo().content_length(announced).into_body()).is_err());
    }
    assert!(collect(Response::upgrade("x", |_| Ok(())).into_body()).is_err());
    let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let text = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    assert_eq!(collect(Response::file(file).unwrap().into_body()).unwrap().0, text);
}

#[test]
fn a_request_that_its_handler_replaces_is_the_last_of_its_connection() {
    let server = serve(|request: &mut Request| {
        let peer = request.peer().clone();
        if request.path() == "/replaced" {
            *request = Request::builder().target("/made").peer(Peer::Unix).build().unwrap();
        }
        format!("{} of {peer}\n", request.path())
    });
    let mut client = server.client();
    let peer = client.get("/kept").text().to_owned();
    // What was received behind the request is lost with it, and the client is told so.
    client.send("GET /replaced HTTP/1.1\r\nHost: a\r\n\r\nGET /kept HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.receive();
    assert_eq!(answer.text(), peer.replace("kept", "made"));
    assert_eq!(answer.field("connection"), Some("close"));
    assert!(client.is_at_end());
}

quickcheck! {
    /// A model: fields are a list of pairs.
    fn fields_are_set_added_and_removed_as_in_a_list(steps: Vec<(u8, u8, u16)>) -> bool {
        let mut request = Request::builder().build().unwrap();
        let mut response = Response::new(StatusCode::OK);
        let mut model = vec![("host".to_owned(), "localhost".to_owned())];
        for (step, name, value) in steps {
            let (name, value) = (format!("x-{}", name % 4), value.to_string());
            if step % 3 > 0 {
                if step % 3 == 1 {
                    model.retain(|(other, _)| *other != name);
                }
                model.push((name.clone(), value.clone()));
            } else {
                model.retain(|(other, _)| *other != name);
            }
            match step % 3 {
                0 => (request.remove_header(&name), response.remove_header(&name)),
                1 => (
                    request.set_header(&name[..], &value[..]),
                    response.set_header(&name[..], &value[..]),
                ),
                _ => (
                    request.append_header(&name[..], &value[..]),
                    response.append_header(&name[..], &value[..]),
                ),
            };
        }
        let of = |headers: straightline::Headers<'_>| {
            headers
                .iter()
                .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned()))
                .collect::<Vec<_>>()
        };
        of(request.headers()) == model && of(response.headers()) == model[1..]
    }
}
