//! A drawing in SVG: texts, rectangles, lines, in the colours of a light and of a dark page.
//!
//! A drawing has a background of its own. So it can be read wherever it stands, even where the
//! page is light and the reader's system is dark.

use std::fmt::Write as _;

/// A drawing that grows.
pub(super) struct Drawing {
    width: f64,
    height: f64,
    body: String,
}

/// Where a text stands in relation to its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Drawing {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// `class` is one of those of the style below.
    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}\
             </text>"
        );
    }

    pub(super) fn bar(&mut self, (x, y): (f64, f64), width: f64, height: f64, class: &str) {
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\" \
             class=\"{class}\"/>"
        );
    }

    pub(super) fn line(&mut self, points: &[(f64, f64)], class: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        let _ = writeln!(self.body, "<polyline points=\"{points}\" class=\"{class}\"/>");
    }

    pub(super) fn dot(&mut self, (x, y): (f64, f64), class: &str) {
        let _ =
            writeln!(self.body, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" class=\"{class}\"/>");
    }

    /// The whole file. The title is what a screen reader says.
    pub(super) fn finish(self, title: &str) -> String {
        let Self { width, height, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect width=\"{width:.0}\" height=\"{height:.0}\" rx=\"6\" class=\"page\"/>\n\
             {body}</svg>\n"
        )
    }
}

/// The colours of the curves, by number, have names from `s0` on.
pub(super) const COLOURS: usize = 10;

/// The colours of the curves differ in lightness as well as in hue, so that they can be told apart
/// without colour vision.
const STYLE: &str = "
text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
.page { fill: #ffffff }
.title { font-weight: 600; font-size: 13px }
.small { font-size: 11px; fill: #59636e }
.own { font-weight: 600 }
.grid { fill: none; stroke: #d1d9e0; stroke-width: 1 }
.one { fill: none; stroke: #59636e; stroke-width: 1; stroke-dasharray: 3 3 }
.bar { fill: #b1bac4 }
.bar-own { fill: #0969da }
.curve { fill: none; stroke-width: 1.6; stroke-linejoin: round }
.curve-own { fill: none; stroke-width: 3.2; stroke-linejoin: round }
.s0 { stroke: #0969da } .s1 { stroke: #8cb4e8 } .s2 { stroke: #8c959f } .s3 { stroke: #d1742f }
.s4 { stroke: #7a2e8e } .s5 { stroke: #1a7f37 } .s6 { stroke: #c2255c } .s7 { stroke: #9a6700 }
.s8 { stroke: #0b7285 } .s9 { stroke: #5b4bc4 }
.d0 { fill: #0969da } .d1 { fill: #8cb4e8 } .d2 { fill: #8c959f } .d3 { fill: #d1742f }
.d4 { fill: #7a2e8e } .d5 { fill: #1a7f37 } .d6 { fill: #c2255c } .d7 { fill: #9a6700 }
.d8 { fill: #0b7285 } .d9 { fill: #5b4bc4 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.page { fill: #0d1117 }
.small { fill: #9198a1 }
.grid { stroke: #30363d }
.one { stroke: #9198a1 }
.bar { fill: #59636e }
.bar-own { fill: #4493f8 }
.s0 { stroke: #4493f8 } .s1 { stroke: #2f5d94 } .s2 { stroke: #6e7681 } .s3 { stroke: #f0883e }
.s4 { stroke: #d2a8ff } .s5 { stroke: #3fb950 } .s6 { stroke: #ff7b9c } .s7 { stroke: #d4a72c }
.s8 { stroke: #39c5cf } .s9 { stroke: #a397f5 }
.d0 { fill: #4493f8 } .d1 { fill: #2f5d94 } .d2 { fill: #6e7681 } .d3 { fill: #f0883e }
.d4 { fill: #d2a8ff } .d5 { fill: #3fb950 } .d6 { fill: #ff7b9c } .d7 { fill: #d4a72c }
.d8 { fill: #39c5cf } .d9 { fill: #a397f5 }
}
";
