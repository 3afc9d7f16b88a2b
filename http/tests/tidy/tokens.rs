//! Rust text as tokens: words, signs and literals, each with its line. Comments are kept apart.
//!
//! This is simpler than the lexer of a compiler. It must tell code from comments and strings, and
//! pair the brackets. Lifetimes are left out, because no rule needs them.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or a keyword.
    Word,
    /// `::`, `->`, `=>`, or one character.
    Sign,
    /// A string, a character or a number.
    Literal,
}

/// One token, and the line that it begins in, counted from one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl Token<'_> {
    /// Whether the token is this word or this sign.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Literal && self.text == text
    }

    pub(crate) fn is_word(&self) -> bool {
        self.kind == Kind::Word
    }
}

/// The tokens of a text, and its comments by line.
pub(crate) struct Lexed<'a> {
    pub(crate) tokens: Vec<Token<'a>>,
    pub(crate) comments: Vec<(usize, &'a str)>,
}

/// Splits a source into tokens and comments.
pub(crate) fn lex(text: &str) -> Lexed<'_> {
    let mut lexer = Lexer { text, at: 0, line: 1 };
    let mut found = Lexed { tokens: Vec::new(), comments: Vec::new() };
    while let Some(first) = lexer.rest().chars().next() {
        lexer.step(first, &mut found);
    }
    found
}

/// The position of the bracket that closes the one at `open`; the end of the tokens if none does.
pub(crate) fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.kind != Kind::Sign {
            continue;
        }
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Moves past `bytes` bytes and returns them.
    fn take(&mut self, bytes: usize) -> &'a str {
        let taken = &self.rest()[..bytes];
        self.at += bytes;
        self.line += taken.matches('\n').count();
        taken
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        self.take(rest.find(|c| !is_part(c)).unwrap_or(rest.len()))
    }

    fn step(&mut self, first: char, lexed: &mut Lexed<'a>) {
        let (line, rest) = (self.line, self.rest());
        let mut push = |kind, text| lexed.tokens.push(Token { kind, text, line });
        if first.is_whitespace() {
            self.take_while(char::is_whitespace);
        } else if rest.starts_with("//") {
            let text = self.take_while(|c| c != '\n');
            lexed.comments.push((line, text));
        } else if rest.starts_with("/*") {
            let text = self.take(block_comment_bytes(rest));
            lexed.comments.extend(text.lines().enumerate().map(|(n, text)| (line + n, text)));
        } else if let Some(bytes) = string_bytes(rest) {
            push(Kind::Literal, self.take(bytes));
        } else if first == '\'' {
            self.quote(line, lexed);
        } else if first.is_ascii_digit() {
            push(Kind::Literal, self.take(number_bytes(rest)));
        } else if is_word_part(first) {
            if rest.starts_with("r#") {
                self.take(2);
            }
            push(Kind::Word, self.take_while(is_word_part));
        } else {
            let pair = ["::", "->", "=>"].iter().find(|pair| rest.starts_with(**pair));
            push(Kind::Sign, self.take(pair.map_or(first.len_utf8(), |pair| pair.len())));
        }
    }

    /// Reads a character, or skips a lifetime.
    fn quote(&mut self, line: usize, lexed: &mut Lexed<'a>) {
        let rest = self.rest();
        let mut chars = rest.char_indices().skip(1);
        let second = chars.next().map_or('\0', |(_, c)| c);
        let third = chars.next().map_or('\0', |(_, c)| c);
        if second == '\\' || third == '\'' {
            let begin = if second == '\\' { 3 } else { 1 + second.len_utf8() };
            let bytes = rest[begin..].find('\'').map_or(rest.len(), |end| begin + end + 1);
            let text = self.take(bytes);
            lexed.tokens.push(Token { kind: Kind::Literal, text, line });
        } else {
            self.take(1);
            self.take_while(is_word_part);
        }
    }
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment_bytes(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of the string literal (of any form) at the beginning of the text.
fn string_bytes(text: &str) -> Option<usize> {
    let prefix = text.find(|c| !matches!(c, 'b' | 'c' | 'r')).filter(|at| *at <= 2)?;
    let is_raw = text[..prefix].contains('r');
    let body = &text[prefix..];
    if is_raw {
        let hashes = body.len() - body.trim_start_matches('#').len();
        body[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let begin = prefix + hashes + 1;
        return Some(text[begin..].find(&end).map_or(text.len(), |at| begin + at + end.len()));
    }
    body.strip_prefix('"')?;
    let mut is_escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return Some(prefix + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// The length of the number. A point belongs to it only if a digit follows.
fn number_bytes(text: &str) -> usize {
    let whole = text.find(|c| !is_word_part(c)).unwrap_or(text.len());
    let fraction = text[whole..]
        .strip_prefix('.')
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    fraction.map_or(whole, |rest| whole + 1 + rest.find(|c| !is_word_part(c)).unwrap_or(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        lex(text).tokens.iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        let text = "a // crate::b\n/* c /* d */ e */ f r#\"g \" h\"# \"i\\\" j\" 'k' '\\'' &'l m";
        assert_eq!(
            texts(text),
            ["a", "f", "r#\"g \" h\"#", "\"i\\\" j\"", "'k'", "'\\''", "&", "m"]
        );
        assert_eq!(lex(text).comments[0], (1, "// crate::b"));
    }

    #[test]
    fn a_token_knows_its_line() {
        let lines: Vec<_> = lex("a\n\"b\nc\"\nd").tokens.iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 2, 4]);
    }

    #[test]
    fn numbers_and_pairs_of_signs_are_one_token() {
        assert_eq!(
            texts("x.0.y 1.5 0..9 a::b->c"),
            ["x", ".", "0", ".", "y", "1.5", "0", ".", ".", "9", "a", "::", "b", "->", "c"]
        );
    }
}
