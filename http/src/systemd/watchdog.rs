//! How often the service manager wants to hear that the service is alive.

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::process;
use std::time::Duration;

/// The time after which the service manager restarts this process if it does not hear from it
/// (`WatchdogSec=`, which becomes `WATCHDOG_USEC`); `None` if it does not expect messages from this
/// process. [`NotifyState::Watchdog`](super::NotifyState::Watchdog) should be sent twice in that
/// time, as [`ServerBuilder::systemd`](crate::ServerBuilder::systemd) does.
///
/// Not a yield point.
///
/// # Errors
///
/// `InvalidData` if a variable is not a number. The message names it.
///
/// ```
/// use straightline::systemd::watchdog_timeout;
///
/// if let Some(timeout) = watchdog_timeout()? {
///     println!("a message every {:?}", timeout / 2);
/// }
/// # std::io::Result::Ok(())
/// ```
pub fn watchdog_timeout() -> io::Result<Option<Duration>> {
    parse(|name| env::var_os(name), process::id())
}

fn parse(
    variable: impl Fn(&str) -> Option<OsString>,
    process: u32,
) -> io::Result<Option<Duration>> {
    let Some(time) = variable("WATCHDOG_USEC") else { return Ok(None) };
    // Without `WATCHDOG_PID` the time is meant for each process that reads it.
    if let Some(owner) = variable("WATCHDOG_PID")
        && number("WATCHDOG_PID", &owner)? != u64::from(process)
    {
        return Ok(None);
    }
    let time = Duration::from_micros(number("WATCHDOG_USEC", &time)?);
    Ok((!time.is_zero()).then_some(time))
}

fn number(name: &str, value: &OsString) -> io::Result<u64> {
    let parsed = value.to_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| {
        let message = format!("{name} is no number: {}", value.display());
        io::Error::new(ErrorKind::InvalidData, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::option_option)] // none at all, or none because it is broken
    fn parsed(variables: &[(&str, &str)]) -> Option<Option<Duration>> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        parse(variable, 7).ok()
    }

    #[test]
    fn the_time_is_for_one_process_or_for_all() {
        let (time, five) = (("WATCHDOG_USEC", "5000000"), Some(Some(Duration::from_secs(5))));
        assert_eq!(parsed(&[]), Some(None));
        assert_eq!(parsed(&[("WATCHDOG_PID", "7")]), Some(None));
        assert_eq!(parsed(&[time]), five);
        assert_eq!(parsed(&[time, ("WATCHDOG_PID", "7")]), five);
        assert_eq!(parsed(&[time, ("WATCHDOG_PID", "8")]), Some(None));
        assert_eq!(parsed(&[("WATCHDOG_USEC", "0")]), Some(None));
        assert_eq!(parsed(&[("WATCHDOG_USEC", "5s")]), None);
        assert_eq!(parsed(&[time, ("WATCHDOG_PID", "me")]), None);
    }
}
