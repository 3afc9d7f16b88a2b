//! The patterns of routes: `/todos/{id}`, `/files/{*path}`, `/images/img-{id}.png`.

use super::path::normal_literal;

/// A pattern, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// As the program writes it, with the prefixes of the routers around it.
    pub(super) text: String,
    /// As the tree takes it: its fixed parts in the normal form of paths.
    pub(super) for_tree: String,
    /// The names of its parameters, in order.
    pub(super) names: Vec<String>,
    /// The last parameter takes the rest of the path.
    pub(super) has_wildcard: bool,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as the end of a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err("does not begin with a slash".to_owned());
        }
        let mut pattern = Self {
            text: text.to_owned(),
            for_tree: String::with_capacity(text.len()),
            names: Vec::new(),
            has_wildcard: false,
        };
        for segment in text[1..].split('/') {
            pattern.for_tree.push('/');
            if pattern.has_wildcard {
                return Err("has a wildcard that is not its last segment".to_owned());
            }
            pattern.push_segment(segment)?;
        }
        Ok(pattern)
    }

    fn push_segment(&mut self, segment: &str) -> Result<(), String> {
        if segment.starts_with(':') && segment.len() > 1 {
            let name = &segment[1..];
            return Err(format!("has the segment `:{name}`; a parameter is `{{{name}}}`"));
        }
        if matches!(segment, "." | "..") {
            return Err("has a dot segment, which no client sends".to_owned());
        }
        let (mut rest, mut has_param) = (segment, false);
        while let Some(at) = rest.find(['{', '}']) {
            self.push_literal(&rest[..at])?;
            let brace = &rest[at..];
            // A doubled brace is a brace, which a client escapes.
            if brace.starts_with("{{") || brace.starts_with("}}") {
                self.for_tree.push_str(if brace.starts_with('{') { "%7B" } else { "%7D" });
                rest = &brace[2..];
                continue;
            }
            let end = brace.find('}').filter(|end| *end > 0);
            let Some(end) = end else {
                return Err("has a brace without its other half; a brace itself is doubled".into());
            };
            if has_param {
                return Err("has two parameters in one segment".to_owned());
            }
            has_param = true;
            let name = &brace[1..end];
            self.push_name(name, name.len() + 2 == segment.len())?;
            rest = &brace[end + 1..];
        }
        self.push_literal(rest)
    }

    fn push_literal(&mut self, literal: &str) -> Result<(), String> {
        if literal.contains(['?', '#']) {
            return Err("has a `?` or `#`: a pattern is for paths alone, without a query".into());
        }
        self.for_tree.push_str(&normal_literal(literal));
        Ok(())
    }

    fn push_name(&mut self, name: &str, is_whole: bool) -> Result<(), String> {
        let (name, is_wildcard) = match name.strip_prefix('*') {
            Some(name) => (name, true),
            None => (name, false),
        };
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "_-".contains(c)) {
            return Err(format!("has a parameter with the name `{name}`; a name is of letters"));
        }
        if is_wildcard && !is_whole {
            return Err("has a wildcard that is not a whole segment".to_owned());
        }
        if self.names.iter().any(|other| other == name) {
            return Err(format!("has two parameters with the name `{name}`"));
        }
        self.has_wildcard = is_wildcard;
        self.for_tree.push_str(if is_wildcard { "{*" } else { "{" });
        self.for_tree.push_str(name);
        self.for_tree.push('}');
        self.names.push(name.to_owned());
        Ok(())
    }
}

/// The pattern of a route behind the prefix of the router around it. The route `/` is the prefix
/// itself; behind a prefix with a slash at its end it is the prefix with that slash.
pub(super) fn join(prefix: &str, pattern: &str) -> String {
    let joined = match (prefix, pattern) {
        (_, "/") => prefix.to_owned(),
        _ => format!("{}{pattern}", prefix.strip_suffix('/').unwrap_or(prefix)),
    };
    if joined.is_empty() { "/".to_owned() } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read() {
        let read = |text: &str| {
            let pattern = Pattern::parse(text).expect(text);
            (pattern.for_tree, pattern.names.join(","), pattern.has_wildcard)
        };
        let expected = |tree: &str, names: &str, wildcard| (tree.into(), names.into(), wildcard);
        assert_eq!(read("/"), expected("/", "", false));
        assert_eq!(read("/a/{id}/"), expected("/a/{id}/", "id", false));
        assert_eq!(read("/{a}/{*rest}"), expected("/{a}/{*rest}", "a,rest", true));
        assert_eq!(read("/img-{id}.png"), expected("/img-{id}.png", "id", false));
        assert_eq!(read("/{{x}}"), expected("/%7Bx%7D", "", false));
        assert_eq!(read("/é b"), expected("/%C3%A9%20b", "", false));
    }

    #[test]
    fn a_malformed_pattern_is_explained() {
        for (text, problem) in [
            ("", "slash"),
            ("todos", "slash"),
            ("/:id", "`{id}`"),
            ("/a/../b", "dot"),
            ("/{", "brace"),
            ("/}", "brace"),
            ("/{}", "name"),
            ("/{a b}", "name"),
            ("/{a}-{b}", "two parameters"),
            ("/{a}/{a}", "two parameters"),
            ("/{*rest}/a", "last"),
            ("/a{*rest}", "whole"),
            ("/a?b", "query"),
        ] {
            let error = Pattern::parse(text).expect_err(text);
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn a_prefix_is_joined_with_a_pattern() {
        for (prefix, pattern, joined) in [
            ("", "/", "/"),
            ("", "/a", "/a"),
            ("/", "/a", "/a"),
            ("/admin", "/", "/admin"),
            ("/admin/", "/", "/admin/"),
            ("/admin/", "/a/", "/admin/a/"),
            ("/admin", "/{id}", "/admin/{id}"),
        ] {
            assert_eq!(join(prefix, pattern), joined);
        }
    }
}
