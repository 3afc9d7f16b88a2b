//! The parts of a path that have names in its route's pattern.

use std::any::type_name;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::StatusCode;
use percent_encoding::percent_decode_str;

use crate::message::{Problem, Request};

/// What the router has found in a path; an extension of the request.
pub(super) struct PathParams {
    /// From the route's pattern.
    names: Arc<[String]>,
    /// The path in its normal form.
    path: Box<str>,
    /// Where the values are in the path, one for each name.
    places: Vec<(usize, usize)>,
}

/// The parameters of a request's path, in the order of the pattern: names and percent-decoded
/// values. From [`RequestExt::params`](crate::web::RequestExt::params), which has an example.
#[derive(Clone)]
pub struct Params<'r> {
    found: Option<&'r PathParams>,
    next: usize,
}

impl PathParams {
    /// `values` are parts of `path`, as many as there are names.
    pub(super) fn new<'p>(
        names: &Arc<[String]>,
        path: &'p str,
        values: impl Iterator<Item = &'p str>,
    ) -> Self {
        let place = |value: &str| {
            let start = value.as_ptr().addr() - path.as_ptr().addr();
            (start, start + value.len())
        };
        Self { names: Arc::clone(names), path: path.into(), places: values.map(place).collect() }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let at = self.names.iter().position(|other| other == name)?;
        self.value(at)
    }

    /// How many slashes stand before the last value.
    pub(super) fn depth_of_last(&self) -> usize {
        let start = self.places.last().map_or(0, |(start, _)| *start);
        self.path.bytes().take(start).filter(|byte| *byte == b'/').count().max(1)
    }

    /// Still percent-encoded.
    fn value(&self, at: usize) -> Option<&str> {
        let &(start, end) = self.places.get(at)?;
        self.path.get(start..end)
    }
}

impl<'r> Iterator for Params<'r> {
    type Item = (&'r str, Result<Cow<'r, str>, Problem>);

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.found?;
        let (name, value) = (found.names.get(self.next)?, found.value(self.next)?);
        self.next += 1;
        Some((name, decode(name, value)))
    }
}

impl fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.clone().map(|(name, value)| (name, value.ok()));
        f.debug_map().entries(pairs).finish()
    }
}

/// The parameters of a request.
pub(in crate::web) fn params(request: &Request) -> Params<'_> {
    Params { found: request.extensions().get(), next: 0 }
}

/// The value of a parameter.
///
/// # Panics
///
/// If the route has no parameter of that name.
#[track_caller]
pub(in crate::web) fn param<T: FromStr>(request: &Request, name: &str) -> Result<T, Problem> {
    let found = request.extensions().get::<PathParams>();
    let Some(value) = found.and_then(|found| found.get(name)) else {
        let names = found.map_or(&[][..], |found| &found.names);
        panic!("straightline: the route has no parameter `{name}`; it has {names:?}");
    };
    let value = decode(name, value)?;
    let kind = kind_of::<T>();
    // Rust's numbers may have a plus sign. Two paths for one resource are one too many.
    let parsed = if kind == NUMBER && value.starts_with('+') { None } else { value.parse().ok() };
    parsed.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND)
            .with_detail(format!("The part `{name}` of the path is not {kind}."))
            .with_member("parameter", name)
    })
}

const NUMBER: &str = "a number in range";

/// What a client may read about a type.
fn kind_of<T>() -> &'static str {
    match type_name::<T>() {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64" | "i128"
        | "isize" => NUMBER,
        _ => "valid",
    }
}

/// Decodes a value. What could be taken for more than one segment, or for another segment, is
/// refused: handlers make names of files and keys from it.
fn decode<'v>(name: &str, value: &'v str) -> Result<Cow<'v, str>, Problem> {
    let refuse = |why: &str| {
        Problem::new(StatusCode::BAD_REQUEST)
            .with_detail(format!("The part `{name}` of the path {why}."))
            .with_member("parameter", name.to_owned())
    };
    if value.starts_with('/') {
        return Err(refuse("begins with an empty segment"));
    }
    if value.contains('%') {
        let escapes = value.split('%').skip(1).map(|rest| rest.get(..2));
        for escape in escapes {
            match escape {
                Some("2F") => return Err(refuse("has an escaped slash")),
                Some("00") => return Err(refuse("has an escaped NUL")),
                Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {}
                _ => return Err(refuse("has a `%` that is not an escape")),
            }
        }
    }
    if value.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(refuse("has a dot segment"));
    }
    let not_text = |_| refuse("is not UTF-8");
    percent_decode_str(value).decode_utf8().map_err(not_text)
}
