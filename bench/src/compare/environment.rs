//! What the figures depend on: the machine, the system, the compiler, the versions of the peers,
//! and the command.

use std::env;
use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// The conditions of a run.
pub(crate) struct Environment {
    pub(super) date: String,
    pub(super) command: String,
    pub(super) processor: String,
    pub(super) system: String,
    pub(super) compiler: String,
    /// The names and versions of the servers and of the crates below them.
    pub(super) versions: Vec<(String, String)>,
    load_average_before: String,
    load_average_after: String,
}

impl Environment {
    /// Reads the conditions. To be called before the program pins itself.
    pub(crate) fn read() -> Self {
        let mut versions = vec![("straightline".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
        versions.extend(CRATES.iter().filter_map(|name| Some(((*name).into(), locked(name)?))));
        let go = env::var("GO").unwrap_or_else(|_| "go".to_owned());
        for (name, program, flag) in
            [("Go", &*go, "version"), ("nginx", "nginx", "-v"), ("HAProxy", "haproxy", "-v")]
        {
            let version = output(program, flag).and_then(|text| version_in(&text));
            versions.extend(version.map(|version| (name.to_owned(), version)));
        }
        Self {
            date: date_of(SystemTime::now()),
            command: command(),
            processor: processor(),
            system: system(),
            compiler: compiler(),
            versions,
            load_average_before: load_average(),
            load_average_after: String::new(),
        }
    }

    /// Reads what is known at the end alone.
    pub(super) fn finish(&mut self) {
        self.load_average_after = load_average();
    }

    /// The load averages of a minute. The benchmark itself is at most two of it.
    pub(super) fn load_averages(&self) -> String {
        format!("{} before and {} after", self.load_average_before, self.load_average_after)
    }

    pub(super) fn json(&self) -> Value {
        let versions: serde_json::Map<String, Value> =
            self.versions.iter().map(|(name, version)| (name.clone(), json!(version))).collect();
        json!({
            "date": self.date,
            "command": self.command,
            "processor": self.processor,
            "system": self.system,
            "compiler": self.compiler,
            "versions": versions,
            "load_average_before": self.load_average_before,
            "load_average_after": self.load_average_after,
        })
    }
}

/// The command, as a user of the repository writes it.
fn command() -> String {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let command = "cargo run --release -p straightline-bench --features compare --";
    format!("{command} {}", arguments.join(" "))
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = value("model name").unwrap_or_else(|| env::consts::ARCH.to_owned());
    let cores = text.lines().filter(|line| line.starts_with("processor")).count();
    let is_virtual = value("flags").is_some_and(|flags| flags.contains("hypervisor"));
    let kind = if is_virtual { ", a virtual machine" } else { "" };
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    format!("{model}, {cores} cores, {} GiB{kind}", kib.unwrap_or(0) >> 20)
}

fn system() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{}, Linux {}", name.unwrap_or("an unknown system").trim_matches('"'), kernel.trim())
}

fn compiler() -> String {
    let version = output("rustc", "--version").unwrap_or_else(|| "an unknown rustc".to_owned());
    let profile = if cfg!(debug_assertions) {
        "a DEBUG BUILD, whose figures mean nothing"
    } else {
        "profile `release`: fat LTO, one codegen unit"
    };
    let flags = env::var("RUSTFLAGS").map_or(String::new(), |flags| format!(", {flags}"));
    format!("{}; {profile}{flags}", version.trim())
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// What a program prints, on either of its streams.
fn output(program: &str, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The first word with a number and a dot, without what stands around it.
fn version_in(text: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let numbers = text.split(|c| !is_part(c)).map(|word| word.trim_matches('.'));
    numbers.into_iter().find(|word| word.contains('.')).map(str::to_owned)
}

/// The version of a crate in the lock file.
fn locked(name: &str) -> Option<String> {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let rest = LOCK_FILE.split_once(&entry)?.1;
    Some(rest.split('"').next()?.to_owned())
}

/// The date in UTC. The days of the calendar by Howard Hinnant's `civil_from_days`.
fn date_of(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day = day_of_era - (365 * year + year / 4 - year / 100);
    // Months from March on.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

const LOCK_FILE: &str = include_str!("../../../Cargo.lock");

/// The crates whose versions matter.
const CRATES: [&str; 10] = [
    "hyper",
    "tokio",
    "axum",
    "tower-http",
    "actix-web",
    "actix-files",
    "actix-ws",
    "ntex",
    "may_minihttp",
    "rustls",
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_date_is_that_of_the_calendar() {
        for (days, date) in [(0, "1970-01-01"), (11_016, "2000-02-29"), (20_788, "2026-12-01")] {
            let time = UNIX_EPOCH + Duration::from_secs(days * 86_400 + 86_399);
            assert_eq!(date_of(time), date);
        }
    }

    #[test]
    fn versions_are_found() {
        let found = |text: &str| version_in(text);
        assert_eq!(found("go version go1.27.3 linux/amd64\n").as_deref(), Some("1.27.3"));
        assert_eq!(found("nginx version: nginx/1.22.1\n").as_deref(), Some("1.22.1"));
        assert_eq!(found("HAProxy version 2.6.12-1+deb12u4 2026/01/01").as_deref(), Some("2.6.12"));
        assert!(locked("hyper").is_some_and(|version| version.starts_with("1.")));
    }
}
