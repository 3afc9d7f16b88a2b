//! The parts of a source that the rules need: its modules, imports, items, impls, paths and calls.
//!
//! Bodies are not parsed, but scanned for paths (`a::b`), for calls of methods, and for the words
//! behind the colon of a name, which are often its type.

use std::collections::{BTreeMap, BTreeSet};

use super::cfg::{end_of_item, without_tests};
use super::tokens::{Kind, Token, closing, lex};
use super::uses::{self, Use};

/// One module: a file, or a `mod name { ... }` in it.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub(crate) children: Vec<Child>,
    pub(crate) uses: Vec<Use>,
    /// The items that are defined here.
    pub(crate) items: BTreeSet<String>,
    /// Macros that `#[macro_export]` puts into the crate's root.
    pub(crate) exported_macros: Vec<String>,
    pub(crate) impls: Vec<Impl>,
    /// Methods of the traits that are defined here.
    pub(crate) trait_methods: BTreeSet<String>,
    pub(crate) paths: Vec<PathAt>,
    pub(crate) calls: Vec<Call>,
    /// The names that appear outside of imports, with the first line of each.
    pub(crate) words: BTreeMap<String, usize>,
    /// The types of fields: the words behind the colon of a name, outside of functions.
    pub(crate) fields: Typed,
    /// For each function, the types of the names that it declares.
    pub(crate) functions: Vec<Typed>,
}

/// Names, and the words with a capital letter behind their colons.
pub(crate) type Typed = BTreeMap<String, BTreeSet<String>>;

/// `mod name;` or `mod name { ... }`.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) name: String,
    /// The value of `#[path = "..."]`.
    pub(crate) path: Option<String>,
    pub(crate) inline: Option<Scope>,
}

/// A block of methods, with or without a trait.
#[derive(Debug)]
pub(crate) struct Impl {
    pub(crate) of: Vec<String>,
    pub(crate) line: usize,
    /// Empty for an impl of a trait: its methods belong to the trait.
    pub(crate) methods: Vec<(String, usize)>,
    pub(crate) is_of_trait: bool,
}

/// A path `a::b` in code.
#[derive(Debug)]
pub(crate) struct PathAt {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

/// A call `receiver.name(...)`.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) receiver: Receiver,
    pub(crate) name: String,
    pub(crate) line: usize,
    /// The function that contains the call, if one does.
    pub(crate) function: Option<usize>,
}

/// The expression before the point of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// `self`, in an impl of this type.
    Own(Vec<String>),
    Variable(String),
    Field(String),
    /// The value of an expression.
    Unknown,
}

/// Reads a source, without the code that only tests compile.
pub(crate) fn read(text: &str) -> Scope {
    let tokens = without_tests(&lex(text).tokens);
    let mut scope = Scope::default();
    scope.read_items(&tokens);
    scope
}

#[derive(Default)]
struct Attributes {
    path: Option<String>,
    is_macro_exported: bool,
}

impl Scope {
    fn read_items(&mut self, tokens: &[Token<'_>]) {
        let mut at = 0;
        while at < tokens.len() {
            let (attributes, begin) = attributes(tokens, at);
            let (is_public, begin) = visibility(tokens, begin);
            let end = self.read_item(tokens, begin, is_public, attributes);
            at = end.max(at + 1);
        }
    }

    /// Reads the item that begins at `at`, and returns where it ends.
    fn read_item(
        &mut self,
        tokens: &[Token<'_>],
        at: usize,
        is_public: bool,
        attributes: Attributes,
    ) -> usize {
        let Some(keyword) = tokens.get(at) else { return at };
        let name = || tokens.get(at + 1).map_or(String::new(), |t| t.text.to_owned());
        let end = end_of_item(tokens, at).min(tokens.len());
        match keyword.text {
            "use" => self.uses.extend(uses::read(&tokens[at + 1..end], is_public)),
            "mod" => {
                let inline = tokens.get(at + 2).is_some_and(|t| t.is("{")).then(|| {
                    let mut scope = Self::default();
                    scope.read_items(&tokens[at + 3..closing(tokens, at + 2)]);
                    scope
                });
                self.children.push(Child { name: name(), path: attributes.path, inline });
            }
            "impl" => self.read_impl(&tokens[at..end]),
            "trait" => {
                self.items.insert(name());
                let open = tokens[at..end].iter().position(|t| t.is("{"));
                let body = open.map_or(&[][..], |open| &tokens[at + open + 1..end]);
                self.trait_methods.extend(methods(body).map(|(name, _)| name));
                self.read_body(&tokens[at..end], &[]);
            }
            "macro_rules" => {
                let name = tokens.get(at + 2).map_or(String::new(), |t| t.text.to_owned());
                if attributes.is_macro_exported {
                    self.exported_macros.push(name.clone());
                }
                self.items.insert(name);
                self.read_macro_body(&tokens[at..end]);
            }
            "{" | "}" | ";" | "," => {}
            _ if is_macro_call(tokens, at) => {
                let open = (at..end).find(|at| tokens[*at].is("{") || tokens[*at].is("("));
                let end = open.map_or(end, |open| closing(tokens, open) + 1).min(tokens.len());
                self.read_macro_body(&tokens[at..end]);
                return end;
            }
            _ => {
                self.items.extend(defined(&tokens[at..end]).take(1));
                self.read_body(&tokens[at..end], &[]);
            }
        }
        end
    }

    /// Reads the definition or the call of a macro: items may stand anywhere in it.
    fn read_macro_body(&mut self, tokens: &[Token<'_>]) {
        self.items.extend(defined(tokens));
        let begins = |at: &usize| {
            let before = at.checked_sub(1).map(|at| tokens[at]);
            tokens[*at].is("impl")
                && before.is_none_or(|t| matches!(t.text, "{" | "}" | ";" | "]" | "unsafe"))
        };
        for at in (0..tokens.len()).filter(begins) {
            let end = end_of_item(tokens, at).min(tokens.len());
            self.impls.extend(impl_header(&tokens[at..end]).map(|(block, _)| block));
        }
        self.read_body(tokens, &[]);
    }

    fn read_impl(&mut self, tokens: &[Token<'_>]) {
        let Some((block, body)) = impl_header(tokens) else {
            return self.read_body(tokens, &[]);
        };
        let of = block.of.clone();
        self.impls.push(block);
        self.read_body(&tokens[..body], &of);
        self.read_body(&tokens[body..], &of);
    }

    /// Scans code in which `Self` is the type `of`.
    fn read_body(&mut self, tokens: &[Token<'_>], of: &[String]) {
        let mut function = None;
        let mut at = 0;
        while at < tokens.len() {
            let token = tokens[at];
            let before = at.checked_sub(1).map(|at| tokens[at]);
            let is_begin = !before.is_some_and(|t| t.is(".") || t.is("::"));
            if token.is("use") && before.is_none_or(|t| t.is(";") || t.is("{") || t.is("}")) {
                let end = end_of_item(tokens, at).min(tokens.len());
                self.uses.extend(uses::read(&tokens[at + 1..end], false));
                at = end;
                continue;
            }
            if token.is("fn") && tokens.get(at + 1).is_some_and(Token::is_word) {
                function = Some(self.functions.len());
                self.functions.push(Typed::new());
            }
            if token.is_word() && is_begin {
                at = self.read_path(tokens, at, of, function);
                continue;
            }
            if let Some((receiver, name)) = call(tokens, at, of) {
                let (name, line) = (name.text.to_owned(), name.line);
                self.calls.push(Call { receiver, name, line, function });
            }
            at += 1;
        }
    }

    /// Reads the word or the path at `at`, and returns where it ends.
    fn read_path(
        &mut self,
        tokens: &[Token<'_>],
        at: usize,
        of: &[String],
        function: Option<usize>,
    ) -> usize {
        let mut path = match tokens[at].text {
            "Self" if !of.is_empty() => of.to_vec(),
            word => vec![word.to_owned()],
        };
        let mut end = at + 1;
        while tokens.get(end).is_some_and(|t| t.is("::"))
            && tokens.get(end + 1).is_some_and(Token::is_word)
        {
            path.push(tokens[end + 1].text.to_owned());
            end += 2;
        }
        let line = tokens[at].line;
        let is_name = tokens.get(end).is_some_and(|t| t.is(":"));
        if is_name && path.len() == 1 {
            let typed = function.map_or(&mut self.fields, |at| &mut self.functions[at]);
            typed.entry(path[0].clone()).or_default().extend(types(&tokens[end + 1..]));
        } else {
            self.words.entry(path[0].clone()).or_insert(line);
        }
        if path.len() > 1 {
            self.paths.push(PathAt { path, line });
        }
        end
    }
}

/// The receiver and the method's name, if `point` is the point of a call.
fn call<'a>(tokens: &[Token<'a>], point: usize, of: &[String]) -> Option<(Receiver, Token<'a>)> {
    let is = |at: usize, text| tokens.get(at).is_some_and(|t: &Token<'_>| t.is(text));
    let name = tokens.get(point + 1).filter(|t| t.is_word())?;
    let has_arguments = is(point + 2, "(") || (is(point + 2, "::") && is(point + 3, "<"));
    if !is(point, ".") || !has_arguments {
        return None;
    }
    let receiver = match point.checked_sub(1).map(|at| tokens[at]) {
        Some(token) if token.is("self") && !of.is_empty() => Receiver::Own(of.to_vec()),
        Some(token) if token.is_word() && !token.is("await") => {
            let is_field = point > 1 && is(point - 2, ".");
            let name = token.text.to_owned();
            if is_field { Receiver::Field(name) } else { Receiver::Variable(name) }
        }
        _ => Receiver::Unknown,
    };
    Some((receiver, *name))
}

/// Reads the attributes at `at`, and returns where they end.
fn attributes(tokens: &[Token<'_>], mut at: usize) -> (Attributes, usize) {
    let mut attributes = Attributes::default();
    while tokens.get(at).is_some_and(|t| t.is("#")) {
        let open = at + if tokens.get(at + 1).is_some_and(|t| t.is("!")) { 2 } else { 1 };
        let end = closing(tokens, open);
        match tokens.get(open + 1).map(|t| t.text) {
            Some("path") => {
                let text = tokens.get(open + 3).map(|t| t.text.trim_matches('"').to_owned());
                attributes.path = text;
            }
            Some("macro_export") => attributes.is_macro_exported = true,
            _ => {}
        }
        at = end + 1;
    }
    (attributes, at)
}

/// Whether an item is visible outside of its module, and where its `pub` or `pub(...)` ends.
fn visibility(tokens: &[Token<'_>], at: usize) -> (bool, usize) {
    if !tokens.get(at).is_some_and(|t| t.is("pub")) {
        return (false, at);
    }
    let is_bounded = tokens.get(at + 1).is_some_and(|t| t.is("("))
        && tokens.get(at + 2).is_some_and(|t| matches!(t.text, "crate" | "super" | "in" | "self"));
    (true, if is_bounded { closing(tokens, at + 1) + 1 } else { at + 1 })
}

fn is_macro_call(tokens: &[Token<'_>], at: usize) -> bool {
    tokens[at..].iter().find(|t| !t.is_word() && !t.is("::")).is_some_and(|t| t.is("!"))
}

/// The names of the items that these tokens define, at any depth.
fn defined<'a>(tokens: &'a [Token<'_>]) -> impl Iterator<Item = String> + 'a {
    const KEYWORDS: &[&str] =
        &["struct", "enum", "union", "type", "const", "static", "fn", "trait"];
    tokens.windows(2).filter_map(|pair| {
        let is_definition = KEYWORDS.iter().any(|keyword| pair[0].is(keyword));
        let is_name = pair[1].is_word() && !matches!(pair[1].text, "fn" | "unsafe" | "mut" | "ref");
        (is_definition && is_name).then(|| pair[1].text.to_owned())
    })
}

/// The functions that stand directly in the body of a trait or an impl.
fn methods<'a>(body: &'a [Token<'_>]) -> impl Iterator<Item = (String, usize)> + 'a {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < body.len() {
            let token = body[at];
            if token.is("{") || token.is("(") || token.is("[") {
                at = closing(body, at);
            }
            at += 1;
            if token.is("fn") {
                let name = body.get(at)?;
                return Some((name.text.to_owned(), name.line));
            }
        }
        None
    })
}

/// The type and the methods of an impl, and where its body begins.
fn impl_header(tokens: &[Token<'_>]) -> Option<(Impl, usize)> {
    let open = tokens.iter().position(|t| t.is("{"))?;
    let mut at = 1;
    if tokens.get(at)?.is("<") {
        at = closing_angle(tokens, at) + 1;
    }
    let header = &tokens[at.min(open)..open];
    let end = header.iter().position(|t| t.is("where")).unwrap_or(header.len());
    let header = &header[..end];
    let is_for =
        |at: &usize| header[*at].is("for") && !header.get(at + 1).is_some_and(|t| t.is("<"));
    let of_trait = (0..header.len()).find(is_for);
    let of: Vec<_> = header[of_trait.map_or(0, |at| at + 1)..]
        .iter()
        .skip_while(|t| t.is("&") || t.is("mut") || t.is("dyn"))
        .take_while(|t| t.is_word() || t.is("::"))
        .filter(|t| t.is_word())
        .map(|t| t.text.to_owned())
        .collect();
    let body = &tokens[open + 1..];
    let methods = if of_trait.is_some() { Vec::new() } else { methods(body).collect() };
    let block = Impl { of, line: tokens[0].line, methods, is_of_trait: of_trait.is_some() };
    (!block.of.is_empty()).then_some((block, open + 1))
}

fn closing_angle(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "<" => depth += 1,
            ">" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

/// The names of the types at the beginning of the tokens, up to the end of the type.
fn types<'a>(tokens: &'a [Token<'_>]) -> impl Iterator<Item = String> + 'a {
    let mut depth = 0_usize;
    tokens
        .iter()
        .take(TYPE_TOKENS_MAX)
        .take_while(move |t| match t.text {
            "<" | "(" | "[" => {
                depth += 1;
                true
            }
            ">" | ")" | "]" if depth > 0 => {
                depth -= 1;
                true
            }
            "," | "|" => depth > 0,
            ")" | "]" | "}" | ";" | "=" | "{" => false,
            _ => true,
        })
        .filter(|t| t.kind == Kind::Word && t.text.starts_with(|c: char| c.is_uppercase()))
        .map(|t| t.text.to_owned())
}

const TYPE_TOKENS_MAX: usize = 24;
