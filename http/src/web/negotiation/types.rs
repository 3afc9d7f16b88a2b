//! `Accept` (RFC 9110 section 12.5.1).

use http::header;

use super::weighted_list::{Parts, QUALITY_MAX, WeightedList, best};
use crate::proto::Headers;

/// The media types that the client accepts (RFC 9110 section 12.5.1).
///
/// A response that depends on it needs `Vary: accept`.
///
/// The most specific range that matches a type counts: `text/html;level=1` before `text/html`,
/// that before `text/*`, and that before `*/*`. Without the field every type is accepted.
///
/// Not a yield point. Of the field, the first 64 elements count; an element that is malformed does
/// not.
///
/// ```
/// use straightline::{IntoResponse, Request, Response, StatusCode, header};
/// use straightline::web::RequestExt;
///
/// fn weather(request: &mut Request) -> Response {
///     let types = request.accepted_types();
///     let response = match types.preferred(&["text/plain", "application/json"]) {
///         Some("text/plain") => "sun\n".into_response(),
///         Some(json) => "{\"sun\":true}\n".into_response().content_type(json),
///         None => StatusCode::NOT_ACCEPTABLE.into_response(),
///     };
///     response.header(header::VARY, "accept")
/// }
///
/// let mut request = Request::builder().header("accept", "application/*, */*;q=0.1").build()?;
/// assert_eq!(weather(&mut request).headers().content_type(), Some("application/json"));
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
#[derive(Clone, Debug)]
pub struct AcceptedTypes<'h> {
    list: WeightedList<'h>,
}

impl<'h> AcceptedTypes<'h> {
    /// What the fields of a request say.
    pub fn of(headers: Headers<'h>) -> Self {
        Self { list: WeightedList::of(headers, header::ACCEPT.as_str()) }
    }

    /// How much the client wants the type, in thousandths; 0 if it does not accept it. The type may
    /// have parameters, as in `text/html; charset=utf-8`. Case does not matter.
    pub fn quality(&self, media_type: &str) -> u16 {
        if self.list.is_empty() {
            return QUALITY_MAX;
        }
        let mut best = (None, 0);
        for entry in self.list.iter() {
            let specificity = specificity(entry.range, media_type);
            if specificity > best.0 {
                best = (specificity, entry.quality);
            }
        }
        best.1
    }

    /// The type among `choices` that the client prefers; of several, the first. `None` if it
    /// accepts none of them: send a 406 then, or a default.
    pub fn preferred<'c>(&self, choices: &[&'c str]) -> Option<&'c str> {
        best(choices, |media_type| self.quality(media_type))
    }
}

/// How closely the range describes the type: the more, the larger. `None` if it does not match.
fn specificity(range: &str, media_type: &str) -> Option<usize> {
    let mut asked = Parts::parameters(range);
    let mut offered = Parts::parameters(media_type);
    let (asked_type, asked_subtype) = match asked.next()? {
        "*" => ("*", "*"), // no range of the standard, but there are clients that send it
        name => name.split_once('/')?,
    };
    let (offered_type, offered_subtype) = offered.next()?.split_once('/')?;
    let names = match (asked_type, asked_subtype) {
        ("*", "*") => 0,
        (name, "*") if name.eq_ignore_ascii_case(offered_type) => 1,
        (name, subtype)
            if name.eq_ignore_ascii_case(offered_type)
                && subtype.eq_ignore_ascii_case(offered_subtype) =>
        {
            2
        }
        _ => return None,
    };
    let mut count = 0;
    for parameter in asked.filter(|parameter| !parameter.is_empty()) {
        let mut offered = Parts::parameters(media_type).skip(1);
        if !offered.any(|other| is_same_parameter(parameter, other)) {
            return None;
        }
        count += 1;
    }
    Some(names + count)
}

/// Whether two parameters are the same, with or without quotes around the value.
fn is_same_parameter(one: &str, other: &str) -> bool {
    let parts = |parameter: &str| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim_ascii();
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        Some((name.trim_ascii().to_ascii_lowercase(), bare.unwrap_or(value).to_ascii_lowercase()))
    };
    parts(one).is_some_and(|one| Some(one) == parts(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    #[test]
    fn the_most_specific_range_counts() {
        // The example of RFC 9110 section 12.5.1.
        let field = "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, \
                     text/plain;format=fixed;q=0.4, */*;q=0.5";
        let cases = [
            ("text/plain;format=flowed", 1000),
            ("text/plain", 700),
            ("TEXT/Plain; charset=utf-8", 700),
            ("text/html", 300),
            ("image/jpeg", 500),
            ("text/plain; Format=\"fixed\"", 400),
            ("text/html;level=3", 300),
        ];
        for (media_type, expected) in cases {
            assert_eq!(quality(field, media_type), expected, "{media_type}");
        }
    }

    #[test]
    fn a_range_that_makes_no_sense_matches_nothing() {
        let cases = [
            ("text, */json, /", "application/json", 0),
            ("text/html;q=0", "text/html", 0),
            ("text/html;q=0, */*", "text/html", 0),
            ("text/html, image/gif, *; q=.2, */*; q=.2", "application/json", 200),
            ("", "text/html", 1000),
            ("*/*", "nonsense", 0),
        ];
        for (field, media_type, expected) in cases {
            assert_eq!(quality(field, media_type), expected, "{field}: {media_type}");
        }
    }

    fn quality(field: &str, media_type: &str) -> u16 {
        let request = Request::builder().header("accept", field).build().expect("a request");
        AcceptedTypes::of(request.headers()).quality(media_type)
    }
}
