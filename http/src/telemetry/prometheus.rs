//! Numbers in the text form that Prometheus reads, version 0.0.4.

use std::fmt::{Display, Write};

use super::histogram::Latencies;

/// A text that is being written.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
}

impl Exposition {
    /// A number that only grows.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, help, "counter");
        self.sample(name, "", value);
    }

    /// A number that goes up and down.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, help, "gauge");
        self.sample(name, "", value);
    }

    /// A number that only grows, for each value of a label.
    pub(crate) fn counters<L: Display, V: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) {
        self.family(name, help, "counter");
        self.samples(name, label, values);
    }

    /// A number that only grows, for each set of labels.
    pub(crate) fn labelled_counters<const N: usize, V: Display>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'static str); N], V)>,
    ) {
        self.family(name, help, "counter");
        for (labels, value) in values {
            let labels = labels.map(|(label, text)| {
                let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
                format!("{label}=\"{text}\"")
            });
            self.sample(name, &format!("{{{}}}", labels.join(",")), value);
        }
    }

    /// A number that goes up and down, for each value of a label.
    pub(crate) fn gauges<L: Display, V: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) {
        self.family(name, help, "gauge");
        self.samples(name, label, values);
    }

    /// Times in seconds.
    pub(crate) fn histogram(&mut self, name: &str, help: &str, latencies: &Latencies) {
        self.family(name, help, "histogram");
        let bucket = format!("{name}_bucket");
        for (bound, count) in latencies.cumulative() {
            self.sample(&bucket, &format!("{{le=\"{}\"}}", bound.as_secs_f64()), count);
        }
        self.sample(&bucket, "{le=\"+Inf\"}", latencies.count());
        self.sample(&format!("{name}_sum"), "", latencies.sum().as_secs_f64());
        self.sample(&format!("{name}_count"), "", latencies.count());
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn family(&mut self, name: &str, help: &str, kind: &str) {
        debug_assert!(is_name(name), "{name}");
        debug_assert!(!help.contains(['\\', '\n']), "{help}");
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn samples<L: Display, V: Display>(
        &mut self,
        name: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) {
        for (which, value) in values {
            let which = which.to_string();
            debug_assert!(!which.contains(['\\', '"', '\n']), "{which}");
            self.sample(name, &format!("{{{label}=\"{which}\"}}"), value);
        }
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.text, "{name}{labels} {value}");
    }
}

/// Whether `name` is a valid metric name of the format.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_plain) && name.starts_with(|first: char| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::histogram::Histogram;
    use super::*;

    #[test]
    fn a_text_is_as_the_format_has_it() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_millis(1), 2);
        histogram.record(Duration::from_secs(100), 1);
        let mut latencies = Latencies::default();
        histogram.add_to(&mut latencies);
        let mut text = Exposition::default();
        text.counter("requests_total", "Requests.", 7);
        text.gauges("fibers", "Fibers alive.", "shard", [(0, 3), (1, 4)]);
        text.histogram("seconds", "How long.", &latencies);
        let text = text.finish();
        let mut lines = text.lines();
        for expected in [
            "# HELP requests_total Requests.",
            "# TYPE requests_total counter",
            "requests_total 7",
            "# HELP fibers Fibers alive.",
            "# TYPE fibers gauge",
            "fibers{shard=\"0\"} 3",
            "fibers{shard=\"1\"} 4",
            "# HELP seconds How long.",
            "# TYPE seconds histogram",
            "seconds_bucket{le=\"0.000131072\"} 0",
            "seconds_bucket{le=\"0.000262144\"} 0",
            "seconds_bucket{le=\"0.000524288\"} 0",
            "seconds_bucket{le=\"0.001048576\"} 2",
        ] {
            assert_eq!(lines.next(), Some(expected));
        }
        let rest: Vec<_> = lines.rev().take(4).collect();
        assert_eq!(
            rest,
            [
                "seconds_count 3",
                "seconds_sum 100.002",
                "seconds_bucket{le=\"+Inf\"} 3",
                "seconds_bucket{le=\"68.719476736\"} 2",
            ]
        );
        assert!(text.ends_with('\n'));
    }
}
