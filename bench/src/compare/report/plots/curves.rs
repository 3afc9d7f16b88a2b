//! A panel for each quantile: how the latency grows with the rate, a curve for each server.

use crate::compare::peer::Peer;
use crate::compare::plan::Cores;
use crate::compare::report::results::Results;
use crate::compare::report::summary::{self, QUANTILES, Times};
use crate::compare::report::svg::{Anchor, COLOURS, Drawing};

/// Draws all panels; none without results of one core.
pub(super) fn draw(results: &Results) -> Option<String> {
    let open = results.open.iter().find(|open| open.cores == Cores::One)?;
    let mut times = summary::times(open);
    times.retain(|times| times.peer != Peer::StraightlineAgain);
    let mut rates: Vec<u32> = times.iter().map(|times| times.rate).collect();
    rates.sort_unstable();
    rates.dedup();
    let mut peers: Vec<Peer> = Vec::new();
    for times in &times {
        if !peers.contains(&times.peer) {
            peers.push(times.peer);
        }
    }
    let scale = Scale::of(&times)?;
    let width = number(QUANTILES.len()) * (PANEL_WIDTH + GAP) + GAP + AXIS_WIDTH;
    let mut drawing = Drawing::new(width, HEADER + PANEL_HEIGHT + FOOTER);
    let heading = "Latency at fixed rates, plaintext, one core: µs, lower is better";
    drawing.text((GAP, 24.0), Anchor::Start, "title", heading);
    draw_legend(&mut drawing, &peers);
    for (nth, (_, name)) in QUANTILES.iter().enumerate() {
        let left = GAP + AXIS_WIDTH + number(nth) * (PANEL_WIDTH + GAP);
        draw_axes(&mut drawing, left, name, &rates, &scale, nth == 0);
        // This project is drawn last, so that no other curve hides it.
        for (colour, &peer) in peers.iter().enumerate().rev() {
            let own = times.iter().filter(|times| times.peer == peer);
            let point = |times: &Times| {
                let at = rates.iter().position(|rate| *rate == times.rate).unwrap_or(0);
                (x_of(left, at, rates.len()), scale.y_of(times.latency_us[nth]))
            };
            let points: Vec<_> = own.map(point).collect();
            let colour = colour % COLOURS;
            let curve = if peer == Peer::Straightline { "curve-own" } else { "curve" };
            drawing.line(&points, &format!("{curve} s{colour}"));
            points.into_iter().for_each(|point| drawing.dot(point, &format!("d{colour}")));
        }
    }
    Some(drawing.finish("Latency at fixed rates: p50, p99 and p99.9 of each server"))
}

fn draw_legend(drawing: &mut Drawing, peers: &[Peer]) {
    let mut x = GAP;
    for (colour, peer) in peers.iter().enumerate() {
        let colour = colour % COLOURS;
        let is_own = *peer == Peer::Straightline;
        let (curve, class) = if is_own { ("curve-own", "own") } else { ("curve", "") };
        drawing.line(&[(x, 42.0), (x + 18.0, 42.0)], &format!("{curve} s{colour}"));
        let name = peer.to_string();
        drawing.text((x + 23.0, 46.0), Anchor::Start, class, &name);
        x += 38.0 + 6.9 * number(name.len());
    }
}

fn draw_axes(
    drawing: &mut Drawing,
    left: f64,
    name: &str,
    rates: &[u32],
    scale: &Scale,
    has_labels: bool,
) {
    drawing.text((left, HEADER - 10.0), Anchor::Start, "title", name);
    for value in scale.ticks() {
        let y = scale.y_of(value);
        drawing.line(&[(left, y), (left + PANEL_WIDTH, y)], "grid");
        if has_labels {
            let label = if value < 1_000.0 {
                format!("{value:.0} µs")
            } else {
                format!("{:.0} ms", value / 1_000.0)
            };
            drawing.text((left - 6.0, y + 4.0), Anchor::End, "small", &label);
        }
    }
    let bottom = HEADER + PANEL_HEIGHT;
    for (at, rate) in rates.iter().enumerate() {
        let label = format!("{}k/s", f64::from(*rate) / 1_000.0);
        let x = x_of(left, at, rates.len());
        drawing.text((x, bottom + 18.0), Anchor::Middle, "small", &label);
    }
}

fn x_of(left: f64, at: usize, count: usize) -> f64 {
    let inner = PANEL_WIDTH - 2.0 * MARGIN;
    left + MARGIN + inner * number(at) / number(count.saturating_sub(1).max(1))
}

/// The vertical axis, which is logarithmic and the same in all panels.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    fn of(times: &[Times]) -> Option<Self> {
        let all = || times.iter().flat_map(|times| times.latency_us).filter(|us| *us > 0.0);
        let least = all().fold(f64::NAN, f64::min);
        let most = all().fold(f64::NAN, f64::max);
        let is_drawable = least.is_finite() && most.is_finite();
        is_drawable.then_some(Self { least: least * 0.8, most: most * 1.25 })
    }

    fn y_of(&self, us: f64) -> f64 {
        let part = (us.max(self.least) / self.least).ln() / (self.most / self.least).ln();
        HEADER + PANEL_HEIGHT * (1.0 - part)
    }

    /// 1, 2, 5, 10, 20, 50, … within the axis.
    fn ticks(&self) -> Vec<f64> {
        let steps =
            (0..8).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
        steps.filter(|value| (self.least..=self.most).contains(value)).collect()
    }
}

#[allow(clippy::cast_precision_loss)] // some dozens at most
fn number(count: usize) -> f64 {
    count as f64
}

const PANEL_WIDTH: f64 = 250.0;
const PANEL_HEIGHT: f64 = 260.0;
const AXIS_WIDTH: f64 = 44.0;
const MARGIN: f64 = 20.0;
const GAP: f64 = 20.0;
const HEADER: f64 = 84.0;
const FOOTER: f64 = 34.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_has_round_numbers() {
        let scale = Scale { least: 40.0, most: 2_100.0 };
        assert_eq!(scale.ticks(), [50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0]);
        assert!(scale.y_of(2_100.0) < scale.y_of(40.0));
    }
}
