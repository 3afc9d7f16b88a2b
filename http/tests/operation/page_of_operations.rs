//! docs/operations.md names every metric and every event, and no metric that does not exist; nor do
//! the alert rules, the dashboard and the other files for a deployment.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use straightline::Request;

use crate::common::serve;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The metrics that a server writes, with the parts that this test is built with.
fn exposition() -> String {
    let server = serve(|_: &mut Request| "served");
    server.client().get("/");
    #[cfg(feature = "websocket")]
    let _ = straightline::websocket::WebSocketCounters::of(&server.handle);
    #[allow(unused_mut)]
    let mut metrics = server.handle.metrics();
    #[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
    {
        let mut tls = straightline::TlsMetrics::default();
        tls.not_after = Some(std::time::SystemTime::now());
        metrics.tls = Some(tls);
    }
    #[allow(unused_mut)]
    let mut text = metrics.to_prometheus();
    #[cfg(feature = "proxy")]
    {
        let proxy = straightline::proxy::Proxy::builder().upstream("127.0.0.1:1").build();
        text.push_str(&proxy.expect("an address").metrics().to_prometheus());
    }
    text
}

/// The names of the metrics, from the line with the type that each has.
fn written() -> BTreeSet<String> {
    let text = exposition();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split(' ').next().expect("a name").to_owned()).collect()
}

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let names = text.match_indices("straightline_").map(|(at, _)| {
        let name = &text[at..];
        name[..name.find(|c| !is_of_name(c)).unwrap_or(name.len())].to_owned()
    });
    names.collect()
}

/// The parts that a build without their features does not write.
fn is_built(name: &str) -> bool {
    let is_of = |part: &str| name.starts_with(&format!("straightline_{part}_"));
    (cfg!(any(feature = "tls", feature = "tls-aws-lc")) || !is_of("tls"))
        && (cfg!(feature = "websocket") || !is_of("websocket"))
        && (cfg!(feature = "proxy") || !is_of("proxy") || name.contains("_headers_"))
}

#[test]
fn the_page_names_every_metric_and_no_other() {
    let (written, named) = (written(), named(&text("docs/operations.md")));
    assert!(written.len() > 60, "{written:?}");
    let missing: Vec<_> = written.difference(&named).collect();
    assert!(missing.is_empty(), "docs/operations.md does not name {missing:?}");
    let unknown: Vec<_> = named.difference(&written).filter(|name| is_built(name)).collect();
    assert!(unknown.is_empty(), "docs/operations.md names {unknown:?}");
}

#[test]
fn what_is_deployed_asks_for_metrics_that_exist() {
    let written = written();
    for path in [
        "docs/deploy.md",
        "examples/deploy/prometheus/alerts.yml",
        "examples/deploy/prometheus/alerts_test.yml",
        "examples/deploy/grafana/dashboard.json",
        "examples/deploy/kubernetes/autoscaler.yaml",
        "examples/deploy/kubernetes/adapter-rule.yaml",
    ] {
        for name in named(&text(path)) {
            // The series of a histogram.
            let metric =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let metric = metric.unwrap_or(&name);
            assert!(written.contains(metric) || !is_built(metric), "{path} asks for {name}");
        }
    }
}

#[test]
fn the_page_names_every_event() {
    let source = text("http/src/telemetry/events.rs");
    let (_, events) = source.split_once("pub enum Event<'e> {\n").expect("the type");
    let (events, _) = events.split_once("\n}\n").expect("its end");
    let variants = events.lines().filter_map(|line| {
        let line = line.strip_prefix("    ")?;
        let is_of_name = |c: char| c.is_ascii_alphanumeric();
        let name = &line[..line.find(|c| !is_of_name(c)).unwrap_or(line.len())];
        name.starts_with(|c: char| c.is_ascii_uppercase()).then_some(name)
    });
    let (page, mut count) = (text("docs/operations.md"), 0);
    for name in variants {
        assert!(page.contains(&format!("`{name}`")), "docs/operations.md does not name {name}");
        count += 1;
    }
    assert!(count > 30, "{count} events");
}
