//! Queries and the bodies of forms: `name=value&name=value`, `application/x-www-form-urlencoded`.

use http::StatusCode;
use percent_encoding::percent_decode;
use serde::de::DeserializeOwned;
use serde_html_form::Deserializer;

use super::super::whole_body::{check_content, problem_with_field, read_text};
use crate::message::{Problem, Request};

/// The query as a value; see [`RequestExt::query_as`](crate::web::RequestExt::query_as).
pub(in crate::web) fn read_query<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    parse("query", request.query().unwrap_or_default(), StatusCode::BAD_REQUEST)
}

/// The body as a value; see [`RequestExt::form`](crate::web::RequestExt::form).
pub(in crate::web) fn read_form<T: DeserializeOwned>(
    request: &Request,
    bytes_max: u64,
) -> Result<T, Problem> {
    check_content(request, MEDIA_TYPE, |essence| essence.eq_ignore_ascii_case(MEDIA_TYPE))?;
    let text = read_text(request, bytes_max)?;
    parse("form", &text, StatusCode::UNPROCESSABLE_ENTITY)
}

fn parse<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
    misfit: StatusCode,
) -> Result<T, Problem> {
    let malformed = |detail: String| Problem::new(StatusCode::BAD_REQUEST).with_detail(detail);
    let pairs = memchr::memchr_iter(b'&', text.as_bytes()).count() + 1;
    if pairs > PAIRS_MAX {
        return Err(malformed(format!("The {what} has more than {PAIRS_MAX} values.")));
    }
    // The library would replace what is not UTF-8 without a word. A character has no `&` and no `=`
    // within, so the whole text is UTF-8 if all its parts are.
    if percent_decode(text.as_bytes()).decode_utf8().is_err() {
        return Err(malformed(format!("The {what} is not UTF-8.")));
    }
    let deserializer = Deserializer::from_bytes(text.as_bytes());
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        problem_with_field(misfit, &path, &error.inner().to_string())
    })
}

const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// How many values a query or a form may have. Arbitrary: as in PHP; far more than people fill in.
const PAIRS_MAX: usize = 1000;

/// The default bound on the bytes of a form. Arbitrary: long texts fit, and files belong into a
/// multipart body.
pub(in crate::web) const FORM_BYTES_MAX: u64 = 1 << 20;
