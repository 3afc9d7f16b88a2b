//! Header names and values from a program, checked; and the error for those that are not valid.

use std::fmt;

use http::{HeaderName, HeaderValue, header};

/// A header field that cannot be set: its name or its value is not valid, the server writes the
/// field itself, or there is no room for it.
///
/// ```
/// use straightline::{Response, StatusCode};
///
/// let mut response = Response::new(StatusCode::OK);
/// let error = response.try_set_header("x-note", "two\nlines").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "not a value for the header field `x-note`: failed to parse header value"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHeader(String);

impl InvalidHeader {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidHeader {}

/// A name and a value for a header field.
pub(crate) fn checked<N, V>(name: N, value: V) -> Result<(HeaderName, HeaderValue), InvalidHeader>
where
    N: TryInto<HeaderName>,
    N::Error: fmt::Display,
    V: TryInto<HeaderValue>,
    V::Error: fmt::Display,
{
    let name = name
        .try_into()
        .map_err(|error| InvalidHeader(format!("not the name of a header field: {error}")))?;
    match value.try_into() {
        Ok(value) => Ok((name, value)),
        Err(error) => {
            Err(InvalidHeader(format!("not a value for the header field `{name}`: {error}")))
        }
    }
}

/// A field of a response that the server does not write itself.
pub(crate) fn allowed(
    field: (HeaderName, HeaderValue),
) -> Result<(HeaderName, HeaderValue), InvalidHeader> {
    let own = [header::CONNECTION, header::CONTENT_LENGTH, header::DATE, header::TRANSFER_ENCODING];
    if own.contains(&field.0) {
        return Err(InvalidHeader(format!("the server writes `{}` itself", field.0)));
    }
    Ok(field)
}

/// The value of a checked call that has no error to return.
///
/// # Panics
///
/// If the field is not valid.
#[track_caller]
pub(crate) fn expect_valid<T>(result: Result<T, InvalidHeader>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("straightline: {error}"),
    }
}
