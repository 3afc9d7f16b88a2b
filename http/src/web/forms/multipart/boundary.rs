//! The boundary between the parts, from the request's content type (RFC 2046 section 5.1.1).

use crate::message::{Problem, Request};
use http::StatusCode;

use super::parameters::Parameters;

/// The boundary of a request with a multipart form.
///
/// # Errors
///
/// 415 if the body is of another type; 400 if the boundary is missing or not valid.
pub(super) fn boundary(request: &Request) -> Result<Vec<u8>, Problem> {
    let mut types = request.headers().all("content-type");
    match (types.next(), types.next()) {
        (Some(content_type), None) if is_form(content_type) => of_type(content_type)
            .map_err(|detail| Problem::new(StatusCode::BAD_REQUEST).with_detail(detail)),
        (Some(_), None) => Err(unsupported("The body has to be multipart/form-data.")),
        (None, _) => Err(unsupported("The request has no content type.")),
        (Some(_), Some(_)) => Err(unsupported("The request has several content types.")),
    }
}

fn unsupported(detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE).with_detail(detail)
}

fn is_form(content_type: &[u8]) -> bool {
    Parameters::split(content_type).0.eq_ignore_ascii_case(b"multipart/form-data")
}

fn of_type(content_type: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (_, parameters) = Parameters::split(content_type);
    let mut boundary = None;
    for parameter in parameters {
        let (name, value) = parameter.map_err(|_| "The content type is malformed.")?;
        if name.eq_ignore_ascii_case("boundary")
            && boundary.replace(value.unescaped().into_owned()).is_some()
        {
            return Err("The content type has several boundaries.");
        }
    }
    let boundary = boundary.ok_or("The content type has no boundary.")?;
    if is_valid(&boundary) { Ok(boundary) } else { Err("The boundary is not valid.") }
}

/// 1 to 70 of these bytes, and no space at the end.
fn is_valid(boundary: &[u8]) -> bool {
    let is_allowed = |&byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len())
        && boundary.iter().all(is_allowed)
        && boundary.last() != Some(&b' ')
}

/// RFC 2046 section 5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_read_from_the_content_type() {
        let long = format!("multipart/form-data; boundary={}", "x".repeat(70));
        let cases = [
            ("multipart/form-data; boundary=abc", "abc"),
            ("Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b:c\"", "a b:c"),
            ("multipart/form-data; boundary=----=_Part_7", "----=_Part_7"),
            ("multipart/form-data; boundary=a; ", "a"),
            (&long, &long[30..]),
        ];
        for (content_type, expected) in cases {
            assert_eq!(of_type(content_type.as_bytes()), Ok(expected.as_bytes().to_vec()));
        }
    }

    #[test]
    fn other_types_are_refused() {
        for content_type in ["", "multipart/mixed; boundary=a", "multipart/form-datax"] {
            assert!(!is_form(content_type.as_bytes()), "{content_type}");
        }
    }

    #[test]
    fn other_boundaries_are_refused() {
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        for content_type in [
            "multipart/form-data",
            "multipart/form-data; boundary",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"\"",
            "multipart/form-data; boundary=\"a \"",
            "multipart/form-data; boundary=\"a\\\"b\"",
            "multipart/form-data; boundary=a\u{e9}",
            "multipart/form-data; boundary=a; boundary=b",
            "multipart/form-data; boundary=a b",
            &long,
        ] {
            assert!(of_type(content_type.as_bytes()).is_err(), "{content_type}");
        }
    }
}
