//! Conditional requests: each field alone, and their order.

use std::time::{Duration, SystemTime};

use straightline::web::{EntityTag, RequestExt, Validators};
use straightline::{Method, Request};

/// Thu, 01 Jan 1970 00:16:40 GMT.
const CHANGED: Duration = Duration::from_secs(1000);

const BEFORE: &str = "Thu, 01 Jan 1970 00:16:39 GMT";
const AT: &str = "Thu, 01 Jan 1970 00:16:40 GMT";
const AFTER: &str = "Thu, 01 Jan 1970 00:16:41 GMT";

fn present() -> Validators {
    let changed = SystemTime::UNIX_EPOCH + CHANGED + Duration::from_millis(500);
    Validators::new().with_etag(EntityTag::strong("x")).with_last_modified(changed)
}

/// The status instead of the method's, or 0.
fn status(validators: &Validators, method: Method, fields: &[(&str, &str)]) -> u16 {
    let mut builder = Request::builder().method(method);
    for (name, value) in fields {
        builder = builder.append(*name, *value);
    }
    let request = builder.build().expect("a request");
    request.check_conditions(validators).map_or(0, |response| response.status().as_u16())
}

/// Fields, and the statuses of GET and of PUT.
type Case = (&'static [(&'static str, &'static str)], u16, u16);

const CASES: &[Case] = &[
    (&[], 0, 0),
    (&[("if-match", "\"x\"")], 0, 0),
    (&[("if-match", "\"a\", \"x\"")], 0, 0),
    (&[("if-match", "\"a\""), ("if-match", "\"x\"")], 0, 0),
    (&[("if-match", "*")], 0, 0),
    (&[("if-match", "\"a\"")], 412, 412),
    (&[("if-match", "W/\"x\"")], 412, 412),
    (&[("if-match", "x")], 412, 412),
    (&[("if-match", "")], 412, 412),
    (&[("if-none-match", "\"x\"")], 304, 412),
    (&[("if-none-match", "W/\"x\"")], 304, 412),
    (&[("if-none-match", "\"a\",W/\"x\"")], 304, 412),
    (&[("if-none-match", "*")], 304, 412),
    (&[("if-none-match", "\"a\"")], 0, 0),
    (&[("if-none-match", "x")], 0, 0),
    (&[("if-modified-since", AT)], 304, 0),
    (&[("if-modified-since", AFTER)], 304, 0),
    (&[("if-modified-since", BEFORE)], 0, 0),
    (&[("if-modified-since", "Thursday, 01-Jan-70 00:16:40 GMT")], 304, 0),
    (&[("if-modified-since", "Thu Jan  1 00:16:40 1970")], 304, 0),
    (&[("if-modified-since", "yesterday")], 0, 0),
    (&[("if-modified-since", AT), ("if-modified-since", AT)], 0, 0),
    (&[("if-unmodified-since", AT)], 0, 0),
    (&[("if-unmodified-since", AFTER)], 0, 0),
    (&[("if-unmodified-since", BEFORE)], 412, 412),
    (&[("if-unmodified-since", "yesterday")], 0, 0),
    // The order of RFC 9110 section 13.2.2.
    (&[("if-match", "\"x\""), ("if-unmodified-since", BEFORE)], 0, 0),
    (&[("if-match", "\"a\""), ("if-none-match", "\"x\"")], 412, 412),
    (&[("if-match", "\"x\""), ("if-none-match", "\"x\"")], 304, 412),
    (&[("if-none-match", "\"a\""), ("if-modified-since", AT)], 0, 0),
    (&[("if-none-match", "\"x\""), ("if-modified-since", BEFORE)], 304, 412),
    (&[("if-unmodified-since", BEFORE), ("if-none-match", "\"x\"")], 412, 412),
    (&[("if-unmodified-since", AT), ("if-modified-since", AT)], 304, 0),
];

#[test]
fn the_conditions_are_evaluated_in_their_order() {
    for (fields, get, put) in CASES {
        assert_eq!(status(&present(), Method::GET, fields), *get, "GET {fields:?}");
        assert_eq!(status(&present(), Method::HEAD, fields), *get, "HEAD {fields:?}");
        assert_eq!(status(&present(), Method::PUT, fields), *put, "PUT {fields:?}");
        assert_eq!(status(&present(), Method::DELETE, fields), *put, "DELETE {fields:?}");
        assert_eq!(status(&present(), Method::OPTIONS, fields), 0, "OPTIONS {fields:?}");
    }
}

#[test]
fn what_is_not_there_matches_nothing() {
    let absent = Validators::absent();
    for (fields, expected) in [
        (("if-match", "*"), 412),
        (("if-match", "\"x\""), 412),
        (("if-none-match", "*"), 0),
        (("if-none-match", "\"x\""), 0),
        (("if-modified-since", AFTER), 0),
        (("if-unmodified-since", BEFORE), 0),
    ] {
        assert_eq!(status(&absent, Method::PUT, &[fields]), expected, "{fields:?}");
    }
    // A resource without validators is there.
    let plain = Validators::new();
    assert_eq!(status(&plain, Method::PUT, &[("if-match", "*")]), 0);
    assert_eq!(status(&plain, Method::PUT, &[("if-match", "\"x\"")]), 412);
    assert_eq!(status(&plain, Method::PUT, &[("if-none-match", "*")]), 412);
    assert_eq!(status(&plain, Method::GET, &[("if-modified-since", AFTER)]), 0);
}

#[test]
fn a_304_has_the_validators() {
    let request = Request::builder().header("if-none-match", "*").build().expect("a request");
    let response = request.check_conditions(&present()).expect("it is known");
    assert_eq!(response.headers().get("etag"), Some("\"x\""));
    assert_eq!(response.headers().get("last-modified"), Some(AT));
    assert_eq!(response.body().length(), Some(0));
}

#[test]
fn no_time_of_a_file_is_too_strange() {
    let last_modified = |time| {
        let marked = Validators::new()
            .with_last_modified(time)
            .mark(straightline::Response::new(straightline::StatusCode::OK));
        marked.headers().get("last-modified").map(str::to_owned)
    };
    let epoch = SystemTime::UNIX_EPOCH;
    assert_eq!(last_modified(epoch - Duration::from_secs(1)), None);
    assert_eq!(last_modified(epoch).as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    let far = last_modified(epoch + Duration::from_secs(1 << 40)).expect("now");
    let far = httpdate::parse_http_date(&far).expect("a date");
    assert!(far <= SystemTime::now(), "a time in the future counts as now");
}
