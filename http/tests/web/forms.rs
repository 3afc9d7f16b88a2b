//! Queries and the bodies of forms.

use serde::Deserialize;
use straightline::testing::{Client, TestResponse};
use straightline::web::{RequestExt, empty_as_none};
use straightline::{Problem, Request};

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Search {
    q: String,
    limit: Option<u32>,
    #[serde(default)]
    tag: Vec<String>,
    #[serde(default, deserialize_with = "empty_as_none")]
    name: Option<String>,
}

fn query(query: &str) -> Result<Search, Problem> {
    let target = format!("/?{query}");
    Request::builder().target(&target).build().expect("a request").query_as()
}

fn form(body: impl Into<Vec<u8>>) -> TestResponse {
    send("application/x-www-form-urlencoded", body)
}

fn send(content_type: &str, body: impl Into<Vec<u8>>) -> TestResponse {
    let client = Client::new(|request: &mut Request| {
        request.form::<Search>().map(|search| format!("{search:?}"))
    });
    client.post("/").header("content-type", content_type).body(body).send()
}

#[track_caller]
fn assert_problem(response: &TestResponse, status: u16, detail: &str) {
    response.assert_status(status).assert_header("content-type", "application/problem+json");
    response.assert_contains(detail);
}

#[test]
fn a_query_and_a_form_become_the_same_value() {
    let text = "q=a%20b%2Bc+d&limit=&tag=x&tag=%C3%A9&name=&";
    let expected = Search {
        q: "a b+c d".to_owned(),
        tag: vec!["x".to_owned(), "é".to_owned()],
        ..Search::default()
    };
    assert_eq!(query(text).expect("a query"), expected);
    form(text).assert_status(200).assert_text(&format!("{expected:?}"));
    assert_eq!(query("q=%zz%").expect("a query").q, "%zz%");
    assert_eq!(query("q").expect("a query").q, "");
}

#[test]
fn a_query_that_does_not_fit_is_a_400_that_names_the_field() {
    let cases = [
        ("", "missing field `q`"),
        ("q=a&limit=-1", "limit: invalid digit"),
        ("q=a&limit=4294967296", "limit: number too large"),
        ("q=a&limit=1&limit=2", "limit: "),
        ("q=a&q=b", "q: "),
        ("q=a&colour=1", "unknown field `colour`"),
        ("q=%ff", "The query is not UTF-8."),
        ("q=%C3&limit=1", "The query is not UTF-8."),
    ];
    for (text, detail) in cases {
        let problem = query(text).expect_err("it does not fit");
        assert_eq!(problem.status().as_u16(), 400);
        let found = problem.detail().unwrap_or_default();
        assert!(found.contains(detail), "{text}: `{found}`");
    }
    let none = Request::builder().build().expect("a request");
    assert_eq!(none.query_as::<Search>().expect_err("no query").status().as_u16(), 400);
    none.query_as::<Vec<(String, String)>>().expect("an empty query");
}

#[test]
fn a_form_that_does_not_fit_is_a_422_and_a_malformed_one_a_400() {
    assert_problem(&form(""), 422, "missing field `q`");
    assert_problem(&form("q=a&limit=x"), 422, "\"field\":\"limit\"");
    assert_problem(&form(*b"q=\xff"), 400, "not UTF-8");
    assert_problem(&form("q=%ff"), 400, "not UTF-8");
    assert_problem(&form(format!("q={}", "&".repeat(1000))), 400, "more than 1000 values");
    assert_problem(&form(format!("q={}", "x".repeat(1 << 20))), 413, "more than 1048576 bytes");
    form(format!("q={}", "&".repeat(999))).assert_status(200);
}

#[test]
fn another_media_type_is_a_415() {
    let right =
        ["Application/X-WWW-form-urlencoded", "application/x-www-form-urlencoded;charset=utf-8"];
    for right in right {
        send(right, "q=a").assert_status(200);
    }
    for wrong in [
        "multipart/form-data; boundary=a",
        "text/plain",
        "application/x-www-form-urlencoded;charset=latin1",
        "",
    ] {
        let response = send(wrong, "q=a");
        assert_problem(&response, 415, "The body has to be");
        response.assert_header("accept", "application/x-www-form-urlencoded");
    }
}

#[test]
fn what_a_program_writes_as_a_form_is_read_as_the_same() {
    fn property(pairs: Vec<(String, String)>) -> bool {
        let text = serde_html_form::to_string(&pairs).expect("pairs are a form");
        // A head may not be as long as such a text.
        let request = Request::builder()
            .header("content-type", "application/x-www-form-urlencoded")
            .body(text)
            .build()
            .expect("a request");
        request.form::<Vec<(String, String)>>().ok() == Some(pairs)
    }
    quickcheck::quickcheck(property as fn(Vec<(String, String)>) -> bool);
}
