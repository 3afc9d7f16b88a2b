//! A panel of bars for each mode: how much CPU time a request takes in each server, as a multiple
//! of this project's. The last panel is the memory of an idle connection.

use crate::compare::peer::Peer;
use crate::compare::plan::Cores;
use crate::compare::report::results::Results;
use crate::compare::report::summary;
use crate::compare::report::svg::{Anchor, Drawing};

/// A panel.
struct Panel {
    title: String,
    bars: Vec<(Peer, f64)>,
    decimals: usize,
    /// Where a dashed line stands, if there is one.
    line_at: Option<f64>,
}

/// Draws all panels.
pub(super) fn draw(results: &Results) -> String {
    let panels = panels(results);
    let rows = panels.len().div_ceil(COLUMNS);
    let bars_max = panels.iter().map(|panel| panel.bars.len()).max().unwrap_or(0);
    let panel_height = TITLE_HEIGHT + number(bars_max) * BAR_STEP + GAP;
    let width = number(COLUMNS) * (PANEL_WIDTH + GAP) + GAP;
    let mut drawing = Drawing::new(width, HEADER + number(rows) * panel_height);
    let heading = "CPU time of a request ÷ straightline's, one core: shorter is better";
    drawing.text((GAP, 24.0), Anchor::Start, "title", heading);
    for (nth, panel) in panels.iter().enumerate() {
        let x = GAP + number(nth % COLUMNS) * (PANEL_WIDTH + GAP);
        let y = HEADER + number(nth / COLUMNS) * panel_height;
        draw_panel(&mut drawing, panel, (x, y));
    }
    drawing.finish("The CPU time of a request in each mode, beside that of the peers")
}

fn draw_panel(drawing: &mut Drawing, panel: &Panel, (x, y): (f64, f64)) {
    drawing.text((x, y + 14.0), Anchor::Start, "title", &panel.title);
    let most = panel.bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let scale = (PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH) / most.max(f64::MIN_POSITIVE);
    let (left, top) = (x + LABEL_WIDTH, y + TITLE_HEIGHT);
    for (nth, (peer, value)) in panel.bars.iter().enumerate() {
        let is_own = *peer == Peer::Straightline;
        let (text, bar) = if is_own { ("own", "bar-own") } else { ("", "bar") };
        let middle = top + number(nth) * BAR_STEP;
        let baseline = middle + BAR_HEIGHT - 3.0;
        drawing.text((left - 6.0, baseline), Anchor::End, text, &peer.to_string());
        drawing.bar((left, middle), value * scale, BAR_HEIGHT, bar);
        let label = format!("{value:.*}", panel.decimals);
        drawing.text((left + value * scale + 4.0, baseline), Anchor::Start, text, &label);
    }
    if let Some(at) = panel.line_at {
        let bottom = top + number(panel.bars.len()) * BAR_STEP;
        let x = left + at * scale;
        drawing.line(&[(x, top - 2.0), (x, bottom)], "one");
    }
}

#[allow(clippy::cast_precision_loss)] // KiB stay far below 2^52
fn panels(results: &Results) -> Vec<Panel> {
    let closed = results.closed.iter().filter(|closed| closed.cores == Cores::One);
    let of_mode = closed.map(|closed| {
        let rows = summary::rows(closed).into_iter();
        let bars = rows.map(|row| (row.peer, row.ratio.median));
        let is_shown =
            |(peer, ratio): &(Peer, f64)| *peer != Peer::StraightlineAgain && ratio.is_finite();
        let title = closed.mode.to_string();
        Panel { title, bars: bars.filter(is_shown).collect(), decimals: 2, line_at: Some(1.0) }
    });
    let idle = results.idle.iter();
    let idle = idle.map(|row| (row.peer, row.kib as f64 / row.connections as f64)).collect();
    let title = "idle: KiB a connection".to_owned();
    let idle = Panel { title, bars: idle, decimals: 1, line_at: None };
    of_mode.chain([idle]).filter(|panel| !panel.bars.is_empty()).collect()
}

#[allow(clippy::cast_precision_loss)] // some dozens at most
fn number(count: usize) -> f64 {
    count as f64
}

const COLUMNS: usize = 3;
const PANEL_WIDTH: f64 = 270.0;
const LABEL_WIDTH: f64 = 88.0;
/// Room for the number behind the longest bar.
const VALUE_WIDTH: f64 = 40.0;
const BAR_STEP: f64 = 18.0;
const BAR_HEIGHT: f64 = 13.0;
const TITLE_HEIGHT: f64 = 24.0;
const GAP: f64 = 20.0;
const HEADER: f64 = 44.0;
