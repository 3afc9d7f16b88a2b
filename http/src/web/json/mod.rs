//! JSON in and out.
//!
//! `object` says which value a struct is read from.

mod object;

use http::StatusCode;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use self::object::ObjectForStruct;
use super::whole_body::{check_content, problem_with_field, read_text, shortened};
use crate::message::{HandlerError, IntoResponse, Problem, Request, Response};

/// A response in JSON: 200 and `application/json`. [`RequestExt::json`](super::RequestExt::json)
/// reads it from a request.
///
/// If the value cannot be JSON (such as a map whose keys are not text), or its `Serialize` fails,
/// the client gets a 500, and [`Event::ResponseFailed`](crate::Event::ResponseFailed) reports the
/// error.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use straightline::web::{Json, RequestExt};
/// use straightline::{IntoResponse, Problem, Request, StatusCode, header};
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct NewTodo {
///     title: String,
/// }
///
/// #[derive(Serialize)]
/// struct Todo {
///     id: i64,
///     title: String,
/// }
///
/// fn create(request: &mut Request) -> Result<impl IntoResponse, Problem> {
///     let NewTodo { title } = request.json()?;
///     let todo = Todo { id: 1, title };
///     Ok((StatusCode::CREATED, [(header::LOCATION, format!("/todos/{}", todo.id))], Json(todo)))
/// }
///
/// let mut request = Request::builder()
///     .header("content-type", "application/json")
///     .body(r#"{"title":"buy milk"}"#)
///     .build()?;
/// let response = create(&mut request).into_response();
/// assert_eq!(response.status(), StatusCode::CREATED);
/// assert_eq!(response.headers().content_type(), Some("application/json"));
/// assert_eq!(response.body().as_bytes(), Some(&br#"{"id":1,"title":"buy milk"}"#[..]));
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut text = Vec::with_capacity(SMALL_BODY_BYTES);
        match serde_json::to_writer(&mut text, &self.0) {
            Ok(()) => text.into_response().content_type("application/json"),
            Err(error) => HandlerError::from(error).into_response(),
        }
    }
}

/// The body of a request as a value; see [`RequestExt::json`](super::RequestExt::json).
pub(super) fn read_json<T: DeserializeOwned>(
    request: &Request,
    bytes_max: u64,
) -> Result<T, Problem> {
    check_content(request, "application/json", is_json)?;
    let text = read_text(request, bytes_max)?;
    let error = match parse(&text) {
        Ok(value) => return Ok(value),
        Err(error) if error.classify() != Category::Data => error,
        // A mistake in the text comes before one in a field, wherever it stands.
        Err(error) => match serde_json::from_str::<IgnoredAny>(&text) {
            Ok(_) => return Err(describe_field::<T>(&text, &error)),
            Err(error) => error,
        },
    };
    if text.trim_ascii().is_empty() {
        return Err(Problem::new(StatusCode::BAD_REQUEST)
            .with_detail("The body is empty, and has to be JSON."));
    }
    Err(Problem::new(StatusCode::BAD_REQUEST)
        .with_detail(format!("The body is not JSON: {}", shortened(&error.to_string())))
        .with_member("line", error.line())
        .with_member("column", error.column()))
}

fn parse<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(ObjectForStruct(&mut deserializer))?;
    deserializer.end()?;
    Ok(value)
}

/// `application/json`, or a type that is JSON by its suffix (RFC 6839 section 3.1).
fn is_json(essence: &str) -> bool {
    let essence = essence.to_ascii_lowercase();
    let suffixed = essence.strip_prefix("application/").and_then(|name| name.strip_suffix("+json"));
    essence == "application/json" || suffixed.is_some_and(|name| !name.is_empty())
}

/// The problem with a value that does not fit the type. To find the path of the field, the text is
/// read again: that costs nothing where there is no mistake.
fn describe_field<T: DeserializeOwned>(text: &str, error: &serde_json::Error) -> Problem {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(ObjectForStruct(&mut deserializer)) {
        Err(found) => {
            let path = found.path().to_string();
            problem_with_field(status, &path, &found.inner().to_string())
        }
        // Not the same as before; the type has to decide that.
        Ok(_) => problem_with_field(status, "", &error.to_string()),
    }
}

/// The default bound on the bytes of a JSON body. Arbitrary: far more than what people type, and
/// less than the server's own limit.
pub(super) const JSON_BYTES_MAX: u64 = 1 << 20;

/// How much room a response gets before its length is known. Arbitrary: most objects fit.
const SMALL_BODY_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_with_the_suffix_are_json() {
        for essence in ["application/json", "Application/JSON", "application/merge-patch+json"] {
            assert!(is_json(essence), "{essence}");
        }
        for essence in ["text/json", "application/+json", "application/jsonp", "text/x+json", ""] {
            assert!(!is_json(essence), "{essence}");
        }
    }
}
