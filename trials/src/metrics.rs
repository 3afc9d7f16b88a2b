//! The server's own counters, from the Prometheus text of `/metrics`.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::answer::Answer;
use crate::client::Client;

/// One response of `/metrics`.
#[derive(Default)]
pub(crate) struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    /// Requests the metrics over a new connection.
    pub(crate) fn scrape(address: SocketAddr) -> io::Result<Self> {
        Self::from_answer(&Client::connect(address)?.get("/metrics")?)
    }

    /// Reads a response of `/metrics`.
    pub(crate) fn from_answer(answer: &Answer) -> io::Result<Self> {
        if answer.status != 200 {
            return Err(io::Error::other(format!("status {}", answer.status)));
        }
        Self::parse(&String::from_utf8_lossy(&answer.body))
    }

    fn parse(text: &str) -> io::Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let sample = |line: &str| {
            sample(line).ok_or_else(|| {
                io::Error::new(ErrorKind::InvalidData, format!("not a sample: {line:?}"))
            })
        };
        Ok(Self { samples: lines.map(sample).collect::<io::Result<_>>()? })
    }

    /// The sum of the samples that have this name and at least these labels
    /// (`name{label="value"}`); `None` if there is no such sample.
    pub(crate) fn value(&self, key: &str) -> Option<f64> {
        let wanted = series(key)?;
        let matches = |sample: &&Sample| {
            sample.name == wanted.0 && wanted.1.iter().all(|label| sample.labels.contains(label))
        };
        self.samples.iter().filter(matches).map(|sample| sample.value).reduce(|a, b| a + b)
    }
}

/// Parses a line of the text.
fn sample(line: &str) -> Option<Sample> {
    // Label values may contain spaces, so the value begins behind the labels.
    let end = line.rfind('}').map_or_else(|| line.find(' '), |brace| Some(brace + 1))?;
    let (name, labels) = series(&line[..end])?;
    // A timestamp may follow.
    let value = line[end..].split_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, value })
}

/// Parses a name and its labels.
fn series(key: &str) -> Option<(String, Vec<(String, String)>)> {
    let Some((name, labels)) = key.split_once('{') else {
        return Some((key.to_owned(), Vec::new()));
    };
    // No value here has a comma or a quotation mark in it.
    let label = |label: &str| {
        let (name, value) = label.split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        Some((name.trim().to_owned(), value.to_owned()))
    };
    let labels = labels.strip_suffix('}')?.split(',').filter(|label| !label.is_empty());
    Some((name.to_owned(), labels.map(label).collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP x_total Things.\n# TYPE x_total counter\n\
                        x_total{kind=\"a\",shard=\"0\"} 3\nx_total{kind=\"b\"} 4e1\ny 1.5 123\n";

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let metrics = Metrics::parse(TEXT).unwrap();
        let found = |key: &str| metrics.value(key).map(|value| format!("{value}"));
        assert_eq!(found("x_total").as_deref(), Some("43"));
        assert_eq!(found("x_total{kind=\"a\"}").as_deref(), Some("3"));
        assert_eq!(found("x_total{kind=\"c\"}"), None);
        assert_eq!(found("y").as_deref(), Some("1.5"));
        assert_eq!(found("z"), None);
    }

    #[test]
    fn what_is_no_sample_is_an_error() {
        for text in ["x", "x{", "x{kind=a} 1", "x one", "<html>"] {
            assert!(Metrics::parse(text).is_err(), "{text}");
        }
    }
}
