//! The pages of `docs/` are also modules of the documentation (`guide`), and their links lead
//! somewhere in both places.
//!
//! A page links to another page by a reference, whose target stands at the end of the page:
//! `[hazards]: hazards.md`. The module that includes the page has a target of the same name before
//! the page, with the path of the other module: `[hazards]: crate::guide::hazards`. The first
//! target counts, so the link leads to the module there. All other relative links would lead
//! nowhere there.
//!
//! A drawing is such a reference, too: `[plot-cost]: benchmarks/cost.svg`. The module includes a
//! text file with a target of the same name, which has the drawing in its address.
//!
//! The examples of a page are compiled, and most of them run, as tests of the crate that includes
//! the page; `excerpts` checks that.

use std::path::Path;

use super::tree::{File, Tree};

#[test]
fn every_page_is_a_guide_and_its_links_lead_somewhere() {
    super::fail(&failures(Tree::of_repository()));
}

fn failures(tree: &Tree) -> Vec<String> {
    let guides: Vec<_> = tree.with_ending("/src/guide.rs").collect();
    let pages = tree.with_ending(".md").filter(|file| file.path.starts_with("docs/"));
    pages.flat_map(|page| of_page(tree, page, &guides)).collect()
}

fn of_page(tree: &Tree, page: &File, guides: &[&File]) -> Vec<String> {
    let path = &page.path;
    let Some(targets) = guides.iter().find_map(|guide| targets_before(tree, guide, path)) else {
        return vec![format!(
            "`{path}` is no guide: add a module with `#[doc = include_str!(\"../{path}\")]` to the \
             `guide.rs` of the crate that the page is about, and in the folder of that crate the \
             link `ln -s ../../{path} docs/`, so that the published crate contains the page"
        )];
    };
    let mut failures = Vec::new();
    for (at, line) in page.text.lines().enumerate() {
        let place = format!("`{path}:{}`", at + 1);
        for target in inline_targets(line).filter(|target| is_relative(target)) {
            failures.push(format!(
                "{place} links to `{target}`, which leads nowhere in the documentation: write a \
                 reference if it is a page of `docs/`, see {HERE}, and else the name of the file"
            ));
        }
        let Some((name, target)) = reference(line) else { continue };
        if !is_relative(target) {
            continue;
        }
        let file = format!("docs/{}", target.split('#').next().unwrap_or_default());
        if tree.file(&file).is_none() {
            failures.push(format!("{place} links to `{file}`, and there is no such page"));
        }
        if !targets.contains(&name) {
            failures.push(format!(
                "{place} links to `{target}`, which leads nowhere in the documentation: write a \
                 target of the name `{name}` before the page in `guide.rs`, see {HERE}"
            ));
        }
    }
    failures
}

/// The names of the targets that a module has before the page that it includes: those of its
/// comment, and those of the text files that it includes.
fn targets_before<'g>(tree: &'g Tree, guide: &'g File, page: &str) -> Option<Vec<&'g str>> {
    let include = format!("include_str!(\"../{page}\")");
    let lines: Vec<_> = guide.text.lines().collect();
    let at = lines.iter().position(|line| line.contains(&include))?;
    let mut names = Vec::new();
    for line in lines[..at].iter().rev() {
        if let Some(comment) = line.strip_prefix("///") {
            names.extend(reference(comment.trim_start()).map(|(name, _)| name));
        } else if let Some(file) = included_text(line) {
            let files = tree.with_ending(".txt").filter(|other| other.path.ends_with(file));
            let lines = files.flat_map(|file| file.text.lines());
            names.extend(lines.filter_map(reference).map(|(name, _)| name));
        } else {
            break;
        }
    }
    Some(names)
}

/// The name, with the slash before it, of the text file that the line includes.
fn included_text(line: &str) -> Option<&str> {
    let path = line.strip_prefix("#[doc = include_str!(\"..")?.strip_suffix("\")]")?;
    let is_text = Path::new(path).extension().is_some_and(|extension| extension == "txt");
    is_text.then(|| &path[path.rfind('/').unwrap_or(0)..])
}

/// The targets of the links that name their target themselves, outside of code.
fn inline_targets(line: &str) -> impl Iterator<Item = &str> {
    let prose = line.split('`').step_by(2);
    prose.flat_map(|text| text.split("](").skip(1)).filter_map(|rest| rest.split(')').next())
}

/// The name and the target of a line `[name]: target`.
fn reference(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('[')?.split_once("]: ")
}

fn is_relative(target: &str) -> bool {
    !target.starts_with('#') && !target.contains("://")
}

const HERE: &str = "http/tests/tidy/guides.rs";

#[cfg(test)]
mod tests {
    use super::*;

    fn failures_of(page: &str) -> Vec<String> {
        let guide = "//! G\n\n/// A.\n///\n/// [b]: crate::guide::b\n\
                     #[doc = include_str!(\"../docs/a.md\")]\npub mod a {}\n\
                     /// B.\n#[doc = include_str!(\"../docs/b.md\")]\npub mod b {}\n";
        failures(&Tree::of(&[
            ("x/src/guide.rs", guide),
            ("docs/a.md", page),
            ("docs/b.md", "# B\n"),
            ("x/README.md", "# X\n\n[far](../y)\n"),
        ]))
    }

    #[test]
    fn references_anchors_and_addresses_are_good() {
        let page = "# A\n\n[B][b], [c](#c), [d](https://d.example), `[e](f)`\n\n[b]: b.md#g\n";
        assert_eq!(failures_of(page), [""; 0]);
    }

    #[test]
    fn links_that_lead_nowhere_are_told() {
        let failures = failures_of("# A\n\n[B](b.md) and [C](../c.rs)\n\n[b]: d.md\n[e]: b.md\n");
        let found: Vec<_> = failures.iter().map(|failure| &failure[..30]).collect();
        assert_eq!(found[0], "`docs/a.md:3` links to `b.md`,");
        assert_eq!(found[1], "`docs/a.md:3` links to `../c.r");
        assert_eq!(found[2], "`docs/a.md:5` links to `docs/d");
        assert_eq!(found[3], "`docs/a.md:6` links to `b.md`,");
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn a_drawing_needs_its_address_before_the_page() {
        let page = "# A\n\n![P][plot-p] ![Q][plot-q]\n\n[plot-p]: a/p.svg\n[plot-q]: a/q.svg\n";
        let guide = "/// A.\n///\n#[doc = include_str!(\"../docs/plots.txt\")]\n\
                     #[doc = include_str!(\"../docs/a.md\")]\npub mod a {}\n";
        let failures = failures(&Tree::of(&[
            ("x/src/guide.rs", guide),
            ("docs/a.md", page),
            ("docs/a/p.svg", "<svg/>"),
            ("docs/a/q.svg", "<svg/>"),
            ("docs/a/plots.txt", "[plot-p]: data:image/svg+xml,%3Csvg/%3E\n"),
        ]));
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert!(failures[0].starts_with("`docs/a.md:6` links to `a/q.svg`, which leads nowhere"));
    }

    #[test]
    fn a_page_that_is_no_guide_is_told() {
        let tree = Tree::of(&[("docs/a.md", "# A\n"), ("x/src/guide.rs", "//! G\n")]);
        let failures = failures(&tree);
        assert_eq!(failures.len(), 1);
        assert!(failures[0].starts_with("`docs/a.md` is no guide: add a module"));
    }
}
