//! The level of the log, as the admin listener shows and changes it.

use std::time::Duration;

use http::{Method, StatusCode};
use slog::Level;

use crate::message::{IntoResponse, Request, Response};
use crate::telemetry::{LogLevel, is_compiled};

/// Answers GET with the level, and changes it for PUT with a query such as
/// `level=debug&seconds=600`.
pub(super) fn answer(level: Option<&LogLevel>, request: &Request) -> Response {
    let Some(level) = level else {
        let text = "the program has given no level: see Admin::log_level\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    if *request.method() != Method::PUT {
        return describe(level).into_response();
    }
    let Some((to, seconds)) = parse(request.query().unwrap_or_default()) else {
        return (StatusCode::BAD_REQUEST, USAGE).into_response();
    };
    if !is_compiled(to) {
        let name = name(to);
        let text = format!(
            "{name} is not compiled into this program: see the features of slog, such as \
             release_max_level_{name}\n"
        );
        return (StatusCode::CONFLICT, text).into_response();
    }
    match seconds {
        Some(seconds) => level.set_for(to, Duration::from_secs(seconds.into())),
        None => level.set(to),
    }
    describe(level).into_response()
}

/// The level and for how many seconds, if it is valid.
fn parse(query: &str) -> Option<(Level, Option<u32>)> {
    let (mut level, mut seconds) = (None, None);
    for part in query.split('&') {
        match part.split_once('=')? {
            ("level", name) if level.is_none() => level = Some(named(name)?),
            ("seconds", number) if seconds.is_none() => seconds = Some(number.parse().ok()?),
            _ => return None,
        }
    }
    Some((level?, seconds))
}

fn named(text: &str) -> Option<Level> {
    LEVELS.into_iter().find(|&level| name(level) == text)
}

/// The name of a level, as slog's features spell it.
fn name(level: Level) -> &'static str {
    match level {
        Level::Critical => "critical",
        Level::Error => "error",
        Level::Warning => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

fn describe(level: &LogLevel) -> String {
    match level.reverts() {
        None => format!("{}\n", name(level.get())),
        Some((left, then)) => {
            format!("{} for {} s, then {}\n", name(level.get()), left.as_secs(), name(then))
        }
    }
}

const LEVELS: [Level; 6] =
    [Level::Critical, Level::Error, Level::Warning, Level::Info, Level::Debug, Level::Trace];

const USAGE: &str = "\
say ?level=L, and &seconds=N for a while only; L is critical, error, warn, info, debug or trace
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_a_whole_or_not_at_all() {
        assert_eq!(parse("level=debug"), Some((Level::Debug, None)));
        assert_eq!(parse("seconds=60&level=warn"), Some((Level::Warning, Some(60))));
        for bad in [
            "",
            "level",
            "level=",
            "level=DEBUG",
            "level=deb",
            "level=off",
            "level=debug&level=info",
            "level=debug&seconds=",
            "level=debug&seconds=-1",
            "level=debug&seconds=4294967296",
            "level=debug&minutes=1",
            "seconds=60",
            "level=debug&",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
