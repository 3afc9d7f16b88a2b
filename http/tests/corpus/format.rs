//! The files of the corpus: cases, and the public lists that they come from.
//!
//! ```text
//! # A comment.
//! [name-of-the-case]
//! from: Http11Probe COMP-BASELINE; ours        a list and an id of it, or any other source
//! clause: RFC 9112 section 3
//! expect: 200 400 Method closed                see `model`
//! body: hello\n                                optional: the last served request's body
//! limits: fields=2, body_bytes=10              optional: the limits that are not the defaults
//! why: A sentence. It is the last line before the bytes.
//! GET / HTTP/1.1\r\n
//! .
//! ```
//!
//! The bytes are the lines up to a lone dot, without their line ends; `\r \n \t \0 \\ \xNN` stand
//! for a byte, and `{9000:ab}` for a repetition. Bytes that an editor could lose or a reader could
//! miss are refused: unprintable bytes, and blanks at the end of a line.
//!
//! A list has a line for each id: `id | what it asks for`. If no case has the id, a third column
//! says why.

use std::fs;
use std::path::PathBuf;

use straightline::Limits;

#[derive(Debug)]
pub(crate) struct Case {
    /// The file of the case, without its ending.
    pub(crate) theme: String,
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) from: Vec<String>,
    pub(crate) clause: String,
    pub(crate) expect: String,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) limits_text: String,
    pub(crate) limits: Limits,
    pub(crate) why: String,
    pub(crate) bytes: Vec<u8>,
}

/// An id of a public list.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) asks: String,
    /// Why no case has this id.
    pub(crate) reason: Option<String>,
}

/// A public list. In `from`, the first word names the list.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) name: String,
    pub(crate) entries: Vec<Entry>,
}

impl Case {
    /// The name and the place of the case, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{} (http/tests/corpus/{}.txt:{})", self.name, self.theme, self.line)
    }
}

/// All cases of all files, in the order of their names.
pub(crate) fn cases() -> Vec<Case> {
    let parsed = texts("corpus").into_iter().flat_map(|(theme, text)| match parse(&theme, &text) {
        Ok(cases) => cases,
        Err((line, message)) => panic!("http/tests/corpus/{theme}.txt:{line}: {message}"),
    });
    let cases: Vec<Case> = parsed.collect();
    for (at, case) in cases.iter().enumerate() {
        let earlier = cases[..at].iter().find(|earlier| earlier.name == case.name);
        assert!(earlier.is_none(), "two cases have one name: {}", case.place());
    }
    cases
}

pub(crate) fn lists() -> Vec<List> {
    let lists = texts("corpus/lists").into_iter().map(|(name, text)| {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let entries = lines.map(|line| {
            let mut columns = line.split(" | ").map(str::to_owned);
            let (id, asks) = (columns.next(), columns.next());
            Entry {
                id: id.unwrap_or_default(),
                asks: asks.unwrap_or_else(|| panic!("{name}: {line}: what does it ask for?")),
                reason: columns.next(),
            }
        });
        List { entries: entries.collect(), name }
    });
    lists.collect()
}

/// The cases of one file. The error has the line and says what is wrong there.
pub(crate) fn parse(theme: &str, text: &str) -> Result<Vec<Case>, (usize, String)> {
    let mut cases = Vec::new();
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    while let Some((at, line)) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let name = name.ok_or_else(|| (at, format!("[name] or a comment, not {line:?}")))?;
        let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || !name.bytes().all(is_good) {
            return Err((at, format!("a name of small letters, digits and hyphens, not {name:?}")));
        }
        let mut case = empty(theme, name, at);
        head(&mut case, &mut lines)?;
        loop {
            match lines.next() {
                None => return Err((at, format!("{name} does not end with a lone dot"))),
                Some((_, ".")) => break,
                Some((at, line)) => {
                    case.bytes.extend(unescape(line).map_err(|error| (at, error))?);
                }
            }
        }
        cases.push(case);
    }
    Ok(cases)
}

fn empty(theme: &str, name: &str, line: usize) -> Case {
    Case {
        theme: theme.to_owned(),
        line,
        name: name.to_owned(),
        from: Vec::new(),
        clause: String::new(),
        expect: String::new(),
        body: None,
        limits_text: String::new(),
        limits: Limits::default(),
        why: String::new(),
        bytes: Vec::new(),
    }
}

/// The lines before the bytes.
fn head<'t>(
    case: &mut Case,
    lines: &mut impl Iterator<Item = (usize, &'t str)>,
) -> Result<(), (usize, String)> {
    let start = case.line;
    while case.why.is_empty() {
        let Some((at, line)) = lines.next() else {
            return Err((start, format!("{} ends before its `why:`", case.name)));
        };
        let (key, value) = line.split_once(": ").unwrap_or((line, ""));
        if value.trim().is_empty() {
            return Err((at, format!("`key: value`, not {line:?}")));
        }
        match key {
            "from" => case.from = value.split("; ").map(str::to_owned).collect(),
            "clause" => value.clone_into(&mut case.clause),
            "expect" => value.clone_into(&mut case.expect),
            "body" => case.body = Some(unescape(value).map_err(|error| (at, error))?),
            "limits" => {
                value.clone_into(&mut case.limits_text);
                case.limits = limits(value).map_err(|error| (at, error))?;
            }
            "why" => value.clone_into(&mut case.why),
            _ => return Err((at, format!("there is no key {key:?}"))),
        }
    }
    let missing = [
        ("from", case.from.is_empty()),
        ("clause", case.clause.is_empty()),
        ("expect", case.expect.is_empty()),
    ];
    match missing.iter().find(|(_, is_missing)| *is_missing) {
        Some((key, _)) => Err((start, format!("{} has no `{key}:`", case.name))),
        None => Ok(()),
    }
}

fn limits(text: &str) -> Result<Limits, String> {
    let mut limits = Limits::default();
    for setting in text.split(", ") {
        let (name, value) = setting.split_once('=').ok_or(format!("name=value: {setting:?}"))?;
        let value: usize = value.parse().map_err(|_| format!("a number: {value:?}"))?;
        match name {
            "request_line_bytes" => limits.request_line_bytes = value,
            "field_line_bytes" => limits.field_line_bytes = value,
            "head_bytes" => limits.head_bytes = value,
            "fields" => limits.fields = value,
            "body_bytes" => limits.body_bytes = value as u64,
            "chunk_extension_bytes" => limits.chunk_extension_bytes = value,
            "trailer_bytes" => limits.trailer_bytes = value,
            "requests" => limits.requests = value as u64,
            _ => return Err(format!("there is no limit {name:?}")),
        }
    }
    Ok(limits)
}

/// The bytes that a line stands for.
fn unescape(line: &str) -> Result<Vec<u8>, String> {
    if let Some(byte) = line.bytes().find(|byte| !byte.is_ascii_graphic() && *byte != b' ') {
        return Err(format!("the byte {byte:#04x} is unprintable: write it with a backslash"));
    }
    if line.ends_with(' ') {
        return Err("a blank at the end of a line: write \\x20".to_owned());
    }
    expand(line)
}

fn expand(line: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.bytes().next() {
        rest = match first {
            b'\\' => escape(&rest[1..], &mut bytes)?,
            b'{' => {
                let (inside, after) =
                    rest[1..].split_once('}').ok_or("a repetition without its end")?;
                let (count, unit) = inside.split_once(':').ok_or("{count:bytes}")?;
                let count = count.parse().map_err(|_| format!("a number: {count:?}"))?;
                bytes.extend(expand(unit)?.repeat(count));
                after
            }
            _ => {
                bytes.push(first);
                &rest[1..]
            }
        };
    }
    Ok(bytes)
}

/// Reads the escape behind a backslash into `bytes`, and returns the rest of the text.
fn escape<'t>(text: &'t str, bytes: &mut Vec<u8>) -> Result<&'t str, String> {
    let byte = match text.bytes().next() {
        Some(b'r') => b'\r',
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'0') => 0,
        Some(b'\\') => b'\\',
        Some(b'x') => {
            let digits = text.get(1..3).unwrap_or_default();
            let byte = u8::from_str_radix(digits, 16).map_err(|_| format!("\\x{digits}"))?;
            bytes.push(byte);
            return Ok(&text[3..]);
        }
        _ => return Err(format!("an unknown escape: \\{text}")),
    };
    bytes.push(byte);
    Ok(&text[1..])
}

/// The text files of a folder of the tests: for each, its name without the ending, and its text.
fn texts(folder: &str) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ending| ending == "txt") {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            found.push((name, fs::read_to_string(&path).expect("UTF-8 text")));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{} is empty", folder.display());
    found
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_line() {
    let head = "[a]\nfrom: ours\nclause: none\nexpect: none open\n";
    let with = |rest: &str| parse("test", &format!("{head}{rest}"));
    let case = &with("why: x\nA\\r\\x41\\\\ {2:b\\n}\n\\0\n.\n").expect("a good file")[0];
    assert_eq!(case.bytes, b"A\rA\\ b\nb\n\0");
    for (rest, line, message) in [
        ("why: x\nA \n.\n", 6, "a blank at the end"),
        ("why: x\n\u{e9}\n.\n", 6, "the byte 0xc3"),
        ("why: x\n\\q\n.\n", 6, "an unknown escape"),
        ("why: x\n\\x4\n.\n", 6, "\\x"),
        ("why: x\n{3:a\n.\n", 6, "a repetition"),
        ("why: x\nA\n", 1, "does not end"),
        ("wye: x\nA\n.\n", 5, "no key"),
        ("why:\nA\n.\n", 5, "`key: value`"),
        ("limits: x=1\nwhy: x\n.\n", 5, "no limit"),
        ("why: x\n.\nGET\n", 7, "[name] or a comment"),
    ] {
        let (at, error) = with(rest).expect_err(rest);
        assert!(at == line && error.contains(message), "{rest:?}: {at}: {error}");
    }
    let (at, error) =
        parse("test", "[a]\nfrom: ours\nexpect: 200\nwhy: x\n.\n").expect_err("short");
    assert_eq!((at, &error[..]), (1, "a has no `clause:`"));
}
