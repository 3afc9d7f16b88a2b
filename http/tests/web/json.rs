//! JSON in requests and responses.

use std::collections::HashMap;
use std::io::Write;

use serde::{Deserialize, Serialize, Serializer};
use straightline::testing::{Client, TestResponse};
use straightline::web::{Json, RequestExt};
use straightline::{IntoResponse, Problem, Request};

use crate::common::{Running, serve};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Todo {
    title: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize, Serialize)]
struct Tag {
    weight: u8,
}

fn echo(request: &mut Request) -> Result<impl IntoResponse + use<>, Problem> {
    Ok(Json(request.json::<Todo>()?))
}

fn send(content_type: &str, body: impl Into<Vec<u8>>) -> TestResponse {
    Client::new(echo).post("/").header("content-type", content_type).body(body).send()
}

fn json(body: impl Into<Vec<u8>>) -> TestResponse {
    send("application/json", body)
}

#[track_caller]
fn assert_problem(response: &TestResponse, status: u16, detail: &str) {
    response.assert_status(status).assert_header("content-type", "application/problem+json");
    let problem: serde_json::Value = response.json();
    assert_eq!(problem["status"], status);
    let found = problem["detail"].as_str().unwrap_or_default();
    assert!(found.contains(detail), "`{found}` has no `{detail}`");
}

#[test]
fn what_is_sent_comes_back() {
    let text = r#"{"title":"é \"quoted\" \u0000","tags":[{"weight":7}]}"#;
    json(text)
        .assert_status(200)
        .assert_header("content-type", "application/json")
        .assert_text(text);
}

#[test]
fn another_media_type_is_a_415_that_says_which_is_right() {
    let body = r#"{"title":"a"}"#;
    for right in
        ["application/json", "Application/Json ; charset=\"UTF-8\"", "application/vnd.a+json"]
    {
        send(right, body).assert_status(200);
    }
    for wrong in ["text/plain", "text/json", "application/x-www-form-urlencoded", "json", ""] {
        let response = send(wrong, body);
        assert_problem(&response, 415, "application/json");
        response.assert_header("accept", "application/json");
    }
    assert_problem(&send("application/json;charset=utf-16", body), 415, "UTF-8");
    assert_problem(&Client::new(echo).post("/").body(body).send(), 415, "no type");
    // A gateway in front may have looked at the other one.
    let client = Client::new(echo);
    for second in ["application/json", "text/plain"] {
        let post = client.post("/").header("content-type", "application/json");
        let twice = post.header("content-type", second).body(body).send();
        assert_problem(&twice, 415, "several types");
    }
    let compressed = |coding: &str, body: Vec<u8>| {
        let client = Client::new(echo);
        let post = client.post("/").header("content-type", "application/json");
        post.header("content-encoding", coding).body(body).send()
    };
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body.as_bytes()).unwrap();
    compressed("gzip", encoder.finish().unwrap()).assert_status(200);
    assert_problem(&compressed("gzip", body.into()), 400, "decode");
    let unknown = compressed("lzma", body.into());
    assert_problem(&unknown, 415, "Content-Encoding");
    assert!(unknown.header("accept-encoding").unwrap().contains("gzip"));
}

#[test]
fn what_is_not_json_is_a_400_with_the_place() {
    let cases: [(&[u8], &str); 16] = [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "EOF while parsing"),
        (b"{\"title\":\"a\"", "EOF while parsing"),
        (b"{\"title\":\"a\"} x", "trailing characters at line 1 column 15"),
        (b"{\"title\":\"a\"}{}", "trailing characters"),
        (b"{\"title\":\"a\",}", "trailing comma"),
        (b"{title:\"a\"}", "key must be a string"),
        (b"{\"title\":'a'}", "expected value"),
        (b"{\"title\":\"a\nb\"}", "control character"),
        (b"{\"title\":\"\\ud800\"}", "unexpected end of hex escape"),
        (b"{\"title\":\"\xff\"}", "not UTF-8: the byte at 10"),
        (b"\xef\xbb\xbf{\"title\":\"a\"}", "expected value"),
        (b"NaN", "expected"),
        (b"{\"title\":5", "EOF while parsing"),
        (b"[[", "EOF while parsing"),
    ];
    for (body, detail) in cases {
        assert_problem(&json(body), 400, detail);
    }
    let problem: serde_json::Value = json("{\n  \"title\": x\n}").json();
    assert_eq!((&problem["line"], &problem["column"]), (&2.into(), &12.into()));
}

#[test]
fn a_value_that_does_not_fit_is_a_422_with_the_path_of_the_field() {
    let cases = [
        ("{}", Some("title"), "missing field `title`"),
        ("[1]", None, "invalid type: sequence"),
        ("[\"a\",[]]", None, "invalid type: sequence"),
        ("null", None, "invalid type: null"),
        (r#"{"title":5}"#, Some("title"), "title: invalid type: integer `5`"),
        (r#"{"title":"a","title":"b"}"#, None, "duplicate field `title`"),
        (r#"{"title":"a","colour":1}"#, Some("colour"), "colour: unknown field `colour`"),
        (r#"{"title":"a","tags":[{"weight":1},{"weight":300}]}"#, Some("tags[1].weight"), "300"),
        (r#"{"title":"a","tags":[{}]}"#, Some("tags[0].weight"), "missing field `weight`"),
    ];
    for (body, field, detail) in cases {
        let response = json(body);
        assert_problem(&response, 422, detail);
        let problem: serde_json::Value = response.json();
        assert_eq!(problem["field"].as_str(), field, "{body}");
    }
}

#[test]
fn the_names_of_the_types_stay_inside() {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "no value fits")]
    struct SecretName {
        inside: SecretPair,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "no value fits")]
    struct SecretPair(u8, u8);
    #[derive(Deserialize)]
    struct SecretUnit;
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "no value fits")]
    enum SecretKind {
        Known(u8),
    }
    fn read(request: &mut Request) -> Result<(), Problem> {
        match request.query() {
            Some("pair") => request.json::<SecretPair>().map(drop),
            Some("unit") => request.json::<SecretUnit>().map(drop),
            Some("kind") => request.json::<SecretKind>().map(drop),
            _ => request.json::<SecretName>().map(drop),
        }
    }
    let client = Client::new(read);
    for (target, body, detail) in [
        ("/", "7", "expected an object"),
        ("/", r#"{"inside":"text"}"#, "inside: invalid type: string \"text\", expected an array"),
        ("/", r#"{"inside":[1]}"#, "expected an array"),
        ("/?pair", "true", "expected an array"),
        ("/?unit", "7", "expected null"),
        ("/?kind", r#"{"Known":"x"}"#, "expected u8"),
        ("/?kind", r#"{"Other":7}"#, "unknown variant"),
    ] {
        let response = client.post(target).header("content-type", "application/json").body(body);
        let response = response.send();
        assert_problem(&response, 422, detail);
        assert!(!response.text().contains("Secret"), "{response}");
    }
}

#[test]
fn a_mistake_is_not_sent_back_whole() {
    let long = "é".repeat(100_000);
    for body in [format!(r#"{{"title":"a","{long}":1}}"#), format!("\"{long}\"")] {
        let response = json(body);
        assert_problem(&response, 422, "...");
        assert!(response.bytes().len() < 8192, "{}", response.bytes().len());
    }
    assert!(send(&"x".repeat(4000), "").bytes().len() < 1000);
}

#[test]
fn a_body_that_is_too_long_is_a_413() {
    let long = format!(r#"{{"title":"{}"}}"#, "x".repeat(1 << 20));
    assert_problem(&json(&*long), 413, "more than 1048576 bytes");
    let client = |bytes_max| {
        Client::new(move |request: &mut Request| {
            request.set_body_limit(bytes_max);
            request.json::<Todo>().map(|todo| format!("{}\n", todo.title.len()))
        })
    };
    let post = |bytes_max, body: &str| {
        let client = client(bytes_max);
        let request = client.post("/").header("content-type", "application/json");
        let chunked = client.post("/").header("content-type", "application/json").chunked();
        [request.body(body).send(), chunked.body(body).send()]
    };
    for response in post(2 << 20, &long) {
        response.assert_status(200).assert_text("1048576\n");
    }
    for response in post(12, r#"{"title":""}"#) {
        response.assert_status(200);
    }
    for response in post(12, r#"{"title":"a"}"#) {
        assert_problem(&response, 413, "more than 12 bytes");
    }
}

/// On a fiber, whose stack is small, and without the optimisations of a release build.
#[test]
fn deep_json_does_not_end_the_stack() {
    let server = serve(|request: &mut Request| -> Result<_, Problem> {
        Ok(Json(request.json::<serde_json::Value>()?))
    });
    let typed = serve(|request: &mut Request| -> Result<_, Problem> {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Nested {
            Leaf(u32),
            Node(Box<Nested>),
        }
        fn depth(nested: &Nested) -> u32 {
            match nested {
                Nested::Leaf(depth) => *depth,
                Nested::Node(nested) => depth(nested) + 1,
            }
        }
        Ok(depth(&request.json::<Nested>()?).to_string())
    });
    let post = |server: &Running, body: &str| {
        let client = Client::connect(server.address);
        client.post("/").header("content-type", "application/json").body(body).send()
    };
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize, leaf: &str| {
        format!("{}{leaf}{}", "{\"node\":".repeat(depth), "}".repeat(depth))
    };
    post(&server, &nested(127)).assert_status(200);
    for depth in [128, 100_000] {
        for body in [nested(depth), "[".repeat(depth), objects(depth, "1")] {
            assert_problem(&post(&server, &body), 400, "recursion limit exceeded");
        }
    }
    let leaf = "{\"leaf\":5}";
    post(&typed, &objects(60, leaf)).assert_status(200).assert_text("65");
    post(&typed, &objects(62, "{\"leaf\":-5}")).assert_status(422);
    post(&typed, &objects(100_000, leaf)).assert_status(400);
}

#[test]
fn a_value_that_cannot_be_json_is_a_500_that_says_nothing() {
    struct Secret;
    impl Serialize for Secret {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("swordfish"))
        }
    }
    let client = Client::new(|_: &mut Request| (straightline::StatusCode::CREATED, Json(Secret)));
    client.get("/").send().assert_status(500).assert_text("Internal Server Error\n");
    let keys = Client::new(|_: &mut Request| Json(HashMap::from([(vec![1], 2)])));
    keys.get("/").send().assert_status(500).assert_text("Internal Server Error\n");
}
