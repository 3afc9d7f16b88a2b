//! The compressed files beside a file, as its variants (RFC 9110 section 12.5.3).

use std::cmp::Reverse;

use http::header;

use crate::proto::Headers;
use crate::web::negotiation::AcceptedEncodings;

/// A content coding, and how the names of files in it end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coding {
    pub(super) name: &'static str,
    pub(super) suffix: &'static str,
}

/// The codings that the client accepts at least as gladly as none, the best first.
pub(super) fn accepted(headers: Headers<'_>) -> impl Iterator<Item = Coding> {
    let mut codings = CODINGS.map(|coding| (0, coding));
    if headers.contains(header::ACCEPT_ENCODING) {
        let accepted = AcceptedEncodings::of(headers);
        let least = accepted.quality("identity").max(1);
        for (quality, coding) in &mut codings {
            *quality = accepted.quality(coding.name);
            if *quality < least {
                *quality = 0;
            }
        }
        codings.sort_by_key(|(quality, _)| Reverse(*quality));
    }
    codings.into_iter().filter(|(quality, _)| *quality > 0).map(|(_, coding)| coding)
}

/// The smaller results first, which a client gets that accepts several equally.
pub(super) const CODINGS: [Coding; 3] = [
    Coding { name: "br", suffix: ".br" },
    Coding { name: "zstd", suffix: ".zst" },
    Coding { name: "gzip", suffix: ".gz" },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    #[test]
    fn the_codings_are_in_the_order_of_the_client() {
        for (field, expected) in [
            ("", ""),
            ("gzip", "gzip"),
            ("gzip, deflate, br, zstd", "br zstd gzip"),
            ("gzip, br;q=0.5", "gzip br"),
            ("br;q=0, *", "zstd gzip"),
            ("*;q=0", ""),
            ("identity, gzip;q=0.5", ""),
            ("identity;q=0.4, gzip;q=0.5, br;q=0.3", "gzip"),
            ("identity;q=0, gzip;q=0.5", "gzip"),
            ("compress", ""),
        ] {
            let request = Request::builder().header("accept-encoding", field).build().unwrap();
            let names: Vec<_> = accepted(request.headers()).map(|coding| coding.name).collect();
            assert_eq!(names.join(" "), expected, "{field}");
        }
        assert_eq!(accepted(Request::builder().build().unwrap().headers()).count(), 0);
    }
}
