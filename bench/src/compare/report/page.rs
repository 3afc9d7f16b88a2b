//! Where the results stand in the repository: the page, its plots, and the same figures as JSON.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use serde_json::Value;

use super::plots;
use super::results::Results;

/// Replaces what the page says of the last run, and writes the files beside it. `folder` is that of
/// the pages.
pub(super) fn write(
    folder: &Path,
    text: &str,
    summaries: &Value,
    results: &Results,
) -> io::Result<()> {
    let page = folder.join("benchmarks.md");
    let old = fs::read_to_string(&page)?;
    let new = between_marks(&old, text).ok_or_else(|| {
        let what = format!("{} has no lines \"{BEGIN}\" and \"{END}\"", page.display());
        io::Error::new(ErrorKind::InvalidData, what)
    })?;
    let beside = folder.join("benchmarks");
    fs::create_dir_all(&beside)?;
    fs::write(beside.join("results.json"), format!("{summaries:#}\n"))?;
    let mut targets = String::new();
    for plot in plots::all(results) {
        fs::write(beside.join(format!("{}.svg", plot.name)), &plot.svg)?;
        let data = as_data(&plot.svg);
        // Writing to a string cannot fail.
        let _ = writeln!(targets, "[plot-{}]: {data}", plot.name);
    }
    fs::write(beside.join("plots.txt"), targets)?;
    fs::write(page, new)
}

/// The page with another text between the marks.
fn between_marks(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{text}\n\n{END}{after}"))
}

/// The drawing as an address. rustdoc copies no files, so the documentation has the drawing in the
/// address itself.
fn as_data(svg: &str) -> String {
    let mut data = "data:image/svg+xml,".to_owned();
    for byte in svg.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/:;,=".contains(&byte) {
            data.push(char::from(byte));
        } else {
            let _ = write!(data, "%{byte:02X}");
        }
    }
    data
}

const BEGIN: &str = "<!-- Written by `straightline-bench compare --write`: -->";
const END: &str = "<!-- The end of what `compare` wrote. -->";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = format!("# A\n\n{BEGIN}\n\nold\n\n{END}\n\n## B\n");
        let new = between_marks(&page, "new").expect("marks");
        assert_eq!(new, format!("# A\n\n{BEGIN}\n\nnew\n\n{END}\n\n## B\n"));
        assert_eq!(between_marks(&new, "new"), Some(new.clone()));
        assert!(between_marks("# A\n", "new").is_none());
    }

    #[test]
    fn a_drawing_is_one_word() {
        assert_eq!(as_data("<a b=\"#1\"/>\n"), "data:image/svg+xml,%3Ca%20b=%22%231%22/%3E%0A");
    }
}
