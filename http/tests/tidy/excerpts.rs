//! Code in a page is compiled: as an example that runs, or in a program that the page names.
//!
//! An excerpt of a file follows a line ``From `PATH`:``. It has lines of the file in a row,
//! whatever their indentation; a line `// ...` stands for lines that are left out. Every other
//! example of a page of `docs/` is compiled with the documentation, so it may not say `ignore`.

use super::tree::{File, Tree};

#[test]
fn code_in_pages_is_compiled_or_stands_in_the_file_that_it_names() {
    super::fail(&failures(Tree::of_repository()));
}

fn failures(tree: &Tree) -> Vec<String> {
    let pages = tree.with_ending(".md");
    pages.flat_map(|page| blocks(page).filter_map(|block| of_block(tree, page, &block))).collect()
}

struct Block<'p> {
    /// The number of its first line, which names the language.
    line: usize,
    language: &'p str,
    text: Vec<&'p str>,
    source: Option<&'p str>,
}

fn blocks(page: &File) -> impl Iterator<Item = Block<'_>> {
    let mut lines = page.text.lines().map(str::trim).enumerate();
    let mut source = None;
    std::iter::from_fn(move || {
        while let Some((at, line)) = lines.next() {
            let Some(language) = line.strip_prefix("```") else {
                if !line.is_empty() {
                    source = line.strip_prefix("From `").and_then(|line| line.strip_suffix("`:"));
                }
                continue;
            };
            let text = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            let text = text.filter(|line| !line.is_empty()).collect();
            return Some(Block { line: at + 1, language, text, source: source.take() });
        }
        None
    })
}

fn of_block(tree: &Tree, page: &File, block: &Block<'_>) -> Option<String> {
    let place = format!("`{}:{}`", page.path, block.line);
    let Some(source) = block.source else {
        let is_left_out = page.path.starts_with("docs/") && block.language.contains("ignore");
        return is_left_out.then(|| {
            format!(
                "{place} has an example that is not compiled: complete it (`no_run` if it must not \
                 run), write a line \"From `path`:\" before it if it is an excerpt of a file, or \
                 write `text` if it is no Rust"
            )
        });
    };
    let Some(file) = tree.file(source) else {
        return Some(format!("{place} has code from `{source}`, and there is no such file"));
    };
    let lines: Vec<_> = file.text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut rest = &lines[..];
    for part in block.text.split(|line| *line == "// ...").filter(|part| !part.is_empty()) {
        let Some(at) = rest.windows(part.len()).position(|window| window == part) else {
            let first = part[0];
            return Some(format!(
                "{place} has code that `{source}` does not have, from its line `{first}` on: copy \
                 it from there again"
            ));
        };
        rest = &rest[at + part.len()..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures_of(block: &str) -> Vec<String> {
        let page = format!("# A\n\n{block}");
        let program = "fn a() {\n    b();\n\n    c();\n}\n\nfn d() {}\n";
        failures(&Tree::of(&[("docs/a.md", &page), ("x/a.rs", program)]))
    }

    #[test]
    fn excerpts_of_any_indentation_and_with_gaps_are_good() {
        for text in ["b();\nc();\n", "fn a() {\n// ...\n  c();\n}\n\n// ...\nfn d() {}\n"] {
            let page = format!("From `x/a.rs`:\n\n```rust,ignore\n{text}```\n");
            assert_eq!(failures_of(&page), [""; 0]);
        }
        assert_eq!(failures_of("```rust\nlet a = 1;\n```\n\n```sh\nls\n```\n"), [""; 0]);
    }

    #[test]
    fn code_that_has_changed_in_its_file_is_told() {
        let expected = "`docs/a.md:5` has code that `x/a.rs` does not have, from its line";
        for text in ["b();\nd();\n", "b();\n// ...\na();\n", "fn d() {}\n// ...\nfn a() {\n"] {
            let failures = failures_of(&format!("From `x/a.rs`:\n\n```rust,ignore\n{text}```\n"));
            assert!(failures.len() == 1 && failures[0].starts_with(expected), "{failures:?}");
        }
    }

    #[test]
    fn code_of_no_file_and_code_that_is_not_compiled_are_told() {
        let failures = failures_of("From `x/b.rs`:\n```rust,ignore\na();\n```\n");
        assert_eq!(failures.len(), 1);
        assert!(failures[0].ends_with("from `x/b.rs`, and there is no such file"));
        let block = "```rust,ignore\nb();\n```\n";
        let failures = failures_of(&format!("From `x/a.rs`:\n{block}A line.\n{block}"));
        assert_eq!(failures.len(), 1);
        assert!(failures[0].starts_with("`docs/a.md:8` has an example that is not compiled"));
    }
}
