//! `Accept-Encoding` (RFC 9110 section 12.5.3).

use http::header;

use super::weighted_list::{QUALITY_MAX, WeightedList, best};
use crate::proto::Headers;

/// The content codings that the client accepts (RFC 9110 section 12.5.3).
///
/// A response that depends on it needs `Vary: accept-encoding`.
///
/// A client without the field, or with an empty one, gets no coding: it may be one that knows none,
/// although RFC 9110 would allow any. `identity`, which is no coding, is accepted unless the client
/// refuses it, but only if nothing else is: a client that lists codings wants them. If the client
/// refuses everything, send `identity` nevertheless, or a 406.
///
/// Not a yield point. Of the field, the first 64 elements count; an element that is malformed does
/// not.
///
/// ```
/// use straightline::Request;
/// use straightline::web::RequestExt;
///
/// let request = Request::builder().header("accept-encoding", "gzip, br;q=0.5, zstd;q=0").build()?;
/// let encodings = request.accepted_encodings();
/// assert_eq!(encodings.preferred(&["zstd", "br", "gzip", "identity"]), Some("gzip"));
/// assert_eq!(encodings.preferred(&["zstd", "identity"]), Some("identity"));
/// assert_eq!((encodings.quality("br"), encodings.quality("zstd")), (500, 0));
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
#[derive(Clone, Debug)]
pub struct AcceptedEncodings<'h> {
    list: WeightedList<'h>,
}

impl<'h> AcceptedEncodings<'h> {
    /// What the fields of a request say.
    pub fn of(headers: Headers<'h>) -> Self {
        Self { list: WeightedList::of(headers, header::ACCEPT_ENCODING.as_str()) }
    }

    /// How much the client wants the coding, in thousandths; 0 if it does not accept it. Case does
    /// not matter, and `x-gzip` is `gzip`.
    pub fn quality(&self, coding: &str) -> u16 {
        let is_identity = coding.eq_ignore_ascii_case(IDENTITY);
        if self.list.is_empty() {
            return if is_identity { QUALITY_MAX } else { 0 };
        }
        let find = |matches: &dyn Fn(&str) -> bool| {
            self.list.iter().find(|entry| matches(entry.range)).map(|entry| entry.quality)
        };
        if let Some(quality) = find(&|range| is_same(range, coding)) {
            return quality;
        }
        match find(&|range| range == "*") {
            Some(0) => 0,
            _ if is_identity => UNLISTED_IDENTITY,
            quality => quality.unwrap_or(0),
        }
    }

    /// The coding among `choices` that the client prefers; of several, the first. `None` if it
    /// accepts none of them. To send a body as it is, is the choice `identity`.
    pub fn preferred<'c>(&self, choices: &[&'c str]) -> Option<&'c str> {
        best(choices, |coding| self.quality(coding))
    }
}

/// Whether two names are of the same coding (RFC 9110 section 8.4.1).
fn is_same(one: &str, other: &str) -> bool {
    plain(one).eq_ignore_ascii_case(plain(other))
}

fn plain(name: &str) -> &str {
    let is_old = ["x-gzip", "x-compress"].iter().any(|old| name.eq_ignore_ascii_case(old));
    if is_old { &name["x-".len()..] } else { name }
}

/// The name of no coding.
const IDENTITY: &str = "identity";

/// The weight of a body without a coding, if the field does not name it: the least.
const UNLISTED_IDENTITY: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    fn preferred(field: Option<&str>, choices: &[&'static str]) -> Option<&'static str> {
        let mut request = Request::builder().build().expect("a request");
        if let Some(field) = field {
            request.set_header("accept-encoding", field);
        }
        AcceptedEncodings::of(request.headers()).preferred(choices)
    }

    #[test]
    fn the_client_gets_what_it_prefers() {
        let all = ["br", "gzip", "identity"];
        let cases = [
            (None, Some("identity")),
            (Some(""), Some("identity")),
            (Some("gzip, br"), Some("br")),
            (Some("gzip, br;q=0.9"), Some("gzip")),
            (Some("GZIP"), Some("gzip")),
            (Some("x-GZip"), Some("gzip")),
            (Some("zstd"), Some("identity")),
            (Some("*"), Some("br")),
            (Some("br;q=0, *"), Some("gzip")),
            (Some("gzip;q=0.001"), Some("gzip")),
            (Some("gzip;q=0.1, identity;q=0.2"), Some("identity")),
            (Some("identity, gzip;q=0.5"), Some("identity")),
            (Some("identity;q=0"), None),
            (Some("*;q=0"), None),
            (Some("*;q=0, gzip"), Some("gzip")),
            (Some("*;q=0, identity"), Some("identity")),
            (Some("identity;q=0, *;q=0.1"), Some("br")),
            (Some("gzip;q=0, br;q=0"), Some("identity")),
            (Some("gzip;q=wrong, br;q=0.1"), Some("br")),
        ];
        for (field, expected) in cases {
            assert_eq!(preferred(field, &all), expected, "{field:?}");
        }
    }

    /// The rules of RFC 9110 section 12.5.3 once more, over a list that is not parsed.
    #[test]
    fn a_plain_model_chooses_the_same() {
        const NAMES: [&str; 4] = ["br", "gzip", "identity", "*"];
        fn model(list: &[(&str, u16)]) -> Option<&'static str> {
            let listed =
                |name: &str| list.iter().find(|(other, _)| *other == name).map(|entry| entry.1);
            let quality = |name: &str| match (listed(name), listed("*")) {
                (Some(quality), _) => quality,
                (None, Some(0)) => 0,
                (None, _) if name == "identity" && list.is_empty() => 1000,
                (None, _) if name == "identity" => 1,
                (None, any) => any.unwrap_or(0),
            };
            let best =
                NAMES[..3].iter().map(|name| quality(name)).max().filter(|best| *best > 0)?;
            NAMES[..3].iter().find(|name| quality(name) == best).copied()
        }
        #[allow(clippy::needless_pass_by_value)] // as the library calls it
        fn property(list: Vec<(u8, u16)>) -> bool {
            let list: Vec<_> = list
                .iter()
                .map(|(name, quality)| (NAMES[usize::from(*name) % 4], quality % 1001))
                .take(64)
                .collect();
            let text = |(name, quality): &(&str, u16)| {
                format!("{name};q={}.{:03}", quality / 1000, quality % 1000)
            };
            let field = list.iter().map(text).collect::<Vec<_>>().join(", ");
            preferred(Some(&field), &NAMES[..3]) == model(&list)
        }
        quickcheck::quickcheck(property as fn(Vec<(u8, u16)>) -> bool);
    }
}
