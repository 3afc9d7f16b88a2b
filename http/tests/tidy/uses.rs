//! Splits an import into one entry for each name that it brings.

use super::tokens::Token;

/// One name of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) path: Vec<String>,
    /// The name in the importing module; `*` for a glob.
    pub(crate) alias: String,
    pub(crate) is_public: bool,
    pub(crate) line: usize,
}

/// The names of an import. `tokens` are its tokens without `use`.
pub(crate) fn read(tokens: &[Token<'_>], is_public: bool) -> Vec<Use> {
    let mut reader = Reader { tokens, at: 0, is_public, found: Vec::new() };
    if reader.next_is("::") {
        // A path that begins with `::` is one of another crate.
        return Vec::new();
    }
    reader.tree(&[]);
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    is_public: bool,
    found: Vec<Use>,
}

impl Reader<'_> {
    fn next_is(&self, text: &str) -> bool {
        self.tokens.get(self.at).is_some_and(|t| t.is(text))
    }

    fn tree(&mut self, before: &[String]) {
        let mut path = before.to_vec();
        while let Some(&token) = self.tokens.get(self.at) {
            self.at += 1;
            match token.text {
                "::" | "$" => {}
                "{" => return self.group(&path),
                "*" => return self.push(path, "*", token.line),
                _ if token.is_word() => {
                    if path.is_empty() || !token.is("self") {
                        path.push(token.text.to_owned());
                    }
                    if !self.next_is("::") {
                        return self.leaf(path, token.line);
                    }
                }
                _ => return,
            }
        }
    }

    fn group(&mut self, path: &[String]) {
        while self.at < self.tokens.len() && !self.next_is("}") {
            self.tree(path);
            while self.next_is(",") {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    fn leaf(&mut self, path: Vec<String>, line: usize) {
        let mut alias = path.last().cloned().unwrap_or_default();
        if self.next_is("as") {
            alias = self.tokens.get(self.at + 1).map_or(alias, |t| t.text.to_owned());
            self.at += 2;
        }
        self.push(path, &alias, line);
    }

    fn push(&mut self, path: Vec<String>, alias: &str, line: usize) {
        self.found.push(Use { path, alias: alias.to_owned(), is_public: self.is_public, line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::lex;

    #[test]
    fn groups_globs_and_renames_are_taken_apart() {
        let text = "crate::a::{self, b, c::{d as e, f::*}}, g;";
        let found: Vec<_> = read(&lex(text).tokens, false)
            .iter()
            .map(|name| format!("{} as {}", name.path.join("::"), name.alias))
            .collect();
        assert_eq!(
            found,
            ["crate::a as a", "crate::a::b as b", "crate::a::c::d as e", "crate::a::c::f as *"]
        );
    }
}
