//! What pages say of measured figures is what `bench/figures.txt` says.
//!
//! A line of that file is a figure: its name and its value. Below it, each line with an indentation
//! is a place that cites it: a page, and words that the page has, where `{}` is the value. Line
//! breaks of the page do not count. A new measurement changes the value, and this test then lists
//! the pages to correct.

use super::tree::{File, Tree};

#[test]
fn pages_cite_the_figures_that_were_measured() {
    super::fail(&failures(Tree::of_repository()));
}

fn failures(tree: &Tree) -> Vec<String> {
    let Some(figures) = tree.file(FIGURES) else {
        return vec![format!("`{FIGURES}` is missing")];
    };
    let (mut failures, mut figure) = (Vec::new(), None);
    for (at, line) in figures.text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let failure = match line.strip_prefix("  ") {
            Some(place) => figure.and_then(|figure| of_place(tree, figure, place)),
            None => match line.split_once(' ') {
                Some(name_and_value) => {
                    figure = Some(name_and_value);
                    None
                }
                None => Some("a figure is `name value`".to_owned()),
            },
        };
        failures.extend(failure.map(|what| format!("`{FIGURES}:{}`: {what}", at + 1)));
    }
    failures
}

/// What is wrong with a page that cites a figure.
fn of_place(tree: &Tree, (name, value): (&str, &str), place: &str) -> Option<String> {
    let Some((path, words)) = place.split_once(": ").filter(|(_, words)| words.contains("{}"))
    else {
        return Some("a place is `page: words with {}`".to_owned());
    };
    let words = words.replace("{}", value);
    let Some(page) = tree.file(path) else {
        return Some(format!("there is no page `{path}`"));
    };
    (!in_one_line(page).contains(&words)).then(|| {
        format!("`{path}` does not say \"{words}\": correct the page, or the figure `{name}`")
    })
}

fn in_one_line(page: &File) -> String {
    page.text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const FIGURES: &str = "bench/figures.txt";

#[cfg(test)]
mod tests {
    use super::*;

    fn failures_of(figures: &str) -> Vec<String> {
        failures(&Tree::of(&[(FIGURES, figures), ("a.md", "# A\n\nIt takes\n  5 KiB or so.\n")]))
    }

    #[test]
    fn a_page_that_says_the_figure_is_good_wherever_its_lines_break() {
        assert_eq!(failures_of("# A comment\n\nsize 5\n  a.md: takes {} KiB\n"), [""; 0]);
    }

    #[test]
    fn a_page_with_another_figure_is_told() {
        let failures = failures_of("size 6\n  a.md: takes {} KiB\n");
        let expected = "`bench/figures.txt:2`: `a.md` does not say \"takes 6 KiB\"";
        assert!(failures.len() == 1 && failures[0].starts_with(expected), "{failures:?}");
    }

    #[test]
    fn lines_that_cannot_be_read_are_told() {
        let figures = "size\nlength 5\n  a.md: takes 5 KiB\n  b.md: takes {} KiB\n";
        assert_eq!(failures_of(figures).len(), 3);
        assert_eq!(failures(&Tree::of(&[("a.md", "# A\n")])).len(), 1);
    }
}
