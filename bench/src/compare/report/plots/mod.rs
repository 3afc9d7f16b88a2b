//! The plots: `bars` for what a request costs, `curves` for latencies.

mod bars;
mod curves;

use super::results::Results;

/// A drawing, and the name of its file.
pub(super) struct Plot {
    pub(super) name: &'static str,
    pub(super) svg: String,
}

/// The plots for which there are results.
pub(super) fn all(results: &Results) -> Vec<Plot> {
    let cost = Plot { name: "cost", svg: bars::draw(results) };
    let latency = curves::draw(results).map(|svg| Plot { name: "latency", svg });
    [cost].into_iter().chain(latency).collect()
}
