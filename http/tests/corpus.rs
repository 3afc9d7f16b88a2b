//! Hostile and unusual requests, from data files: through the protocol core, and over a socket.
//!
//! The files in `corpus/` hold the cases of the public lists, and ours. Each has a name in
//! brackets, then lines that say where it comes from, which clause it is about, what is expected
//! and why, then the bytes up to a line with a lone dot. Line ends of the file are none of the
//! bytes; those are written out, as `\r\n`, and what repeats as `{9000:a}`.
//!
//! What is expected is the statuses in order, the last one with its `RefusalKind` if it is a
//! refusal, and whether the connection is `open` or `closed` then.

mod common;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use common::{Client, Running, serve_with};
use straightline::internals::{Chunk, Chunked, Parser};
use straightline::{IntoResponse, Limits, Method, RefusalKind, Request, Response};

struct Case {
    name: String,
    from: String,
    clause: String,
    why: String,
    limits: Option<String>,
    /// The client says that nothing more comes.
    finishes: bool,
    expected: Outcome,
    bytes: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    statuses: Vec<u16>,
    refusal: Option<String>,
    open: bool,
}

impl Outcome {
    fn text(&self) -> String {
        let mut words: Vec<String> = self.statuses.iter().map(u16::to_string).collect();
        words.extend(self.refusal.clone());
        if words.is_empty() {
            words.push("none".to_owned());
        }
        words.push(if self.open { "open" } else { "closed" }.to_owned());
        words.join(" ")
    }

    fn parse(text: &str) -> Self {
        let mut outcome = Self { statuses: Vec::new(), refusal: None, open: false };
        for word in text.split_whitespace() {
            match (word, word.parse()) {
                (_, Ok(status)) => outcome.statuses.push(status),
                ("none" | "closed", _) => {}
                ("open", _) => outcome.open = true,
                (kind, _) => outcome.refusal = Some(kind.to_owned()),
            }
        }
        assert_eq!(outcome.text(), text, "not an outcome");
        outcome
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// All cases, by file.
fn corpus() -> BTreeMap<String, Vec<Case>> {
    let mut files = BTreeMap::new();
    let mut names = HashSet::new();
    for entry in fs::read_dir(folder()).expect("the corpus") {
        let path = entry.expect("a file").path();
        let text = fs::read_to_string(&path).expect("text");
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let cases = cases(&text);
        for case in &cases {
            assert!(names.insert(case.name.clone()), "two cases are called {}", case.name);
        }
        files.insert(file, cases);
    }
    assert!(names.len() > 100, "the corpus is not there");
    files
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) else {
            assert!(line.is_empty() || line.starts_with('#'), "not a case: {line}");
            continue;
        };
        let mut fields = BTreeMap::new();
        let mut bytes = Vec::new();
        for line in lines.by_ref().take_while(|line| *line != ".") {
            match line.split_once(": ") {
                Some((key @ ("from" | "clause" | "expect" | "why" | "limits" | "then"), value))
                    if bytes.is_empty() =>
                {
                    fields.insert(key, value.to_owned());
                }
                _ => unescape(line, &mut bytes),
            }
        }
        let mut take = |key| fields.remove(key);
        let mut must = |key| take(key).unwrap_or_else(|| panic!("{name} has no `{key}`"));
        let case = Case {
            name: name.to_owned(),
            from: must("from"),
            clause: must("clause"),
            why: must("why"),
            expected: Outcome::parse(&must("expect")),
            limits: take("limits"),
            finishes: take("then").is_some(),
            bytes,
        };
        cases.push(case);
    }
    cases
}

fn unescape(line: &str, bytes: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let repeated = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        if let Some((count, after)) = repeated {
            let (count, text) = count.split_once(':').expect("{COUNT:TEXT}");
            bytes.extend(text.repeat(count.parse().expect("a count")).into_bytes());
            rest = after;
        } else if first == '\\' {
            let (byte, length) = match &rest[1..2] {
                "r" => (b'\r', 2),
                "n" => (b'\n', 2),
                "t" => (b'\t', 2),
                "\\" => (b'\\', 2),
                "x" => (u8::from_str_radix(&rest[2..4], 16).expect("two digits"), 4),
                other => panic!("no escape \\{other}"),
            };
            bytes.push(byte);
            rest = &rest[length..];
        } else {
            bytes.extend(first.to_string().into_bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
}

fn limits(case: &Case) -> Limits {
    let mut limits = Limits::default();
    for pair in case.limits.iter().flat_map(|text| text.split(", ")) {
        let (name, value) = pair.split_once('=').expect("name=value");
        let value: usize = value.parse().expect("a number");
        match name {
            "request_line_bytes" => limits.request_line_bytes = value,
            "field_line_bytes" => limits.field_line_bytes = value,
            "head_bytes" => limits.head_bytes = value,
            "fields" => limits.fields = value,
            "body_bytes" => limits.body_bytes = value as u64,
            "chunk_extension_bytes" => limits.chunk_extension_bytes = value,
            "trailer_bytes" => limits.trailer_bytes = value,
            "requests" => limits.requests = value as u64,
            _ => panic!("no limit {name}"),
        }
    }
    limits
}

/// What the protocol core makes of the bytes, fed in steps of that many.
fn outcome_of_the_core(case: &Case, step: usize) -> Outcome {
    let limits = limits(case);
    let mut outcome = Outcome { statuses: Vec::new(), refusal: None, open: true };
    let mut rest = &case.bytes[..];
    let refuse = |outcome: &mut Outcome, kind: RefusalKind| {
        outcome.statuses.push(kind.status().as_u16());
        outcome.refusal = Some(format!("{kind:?}"));
        outcome.open = false;
    };
    let mut parser = Parser::default();
    while outcome.open && !rest.is_empty() {
        let ends = (0..rest.len()).step_by(step).chain([rest.len()]);
        let parsed =
            ends.map(|end| parser.parse(&rest[..end], &limits)).find(|it| *it != Ok(false));
        match parsed {
            Some(Err(refusal)) => refuse(&mut outcome, refusal.kind),
            None => outcome.open = false, // the client ends in mid-head
            Some(_) => {
                rest = &rest[parser.end()..];
                match body(&parser, rest, step, &limits) {
                    Err(kind) => refuse(&mut outcome, kind),
                    Ok(None) => {
                        outcome.statuses.push(400); // the handler's: the body is cut
                        outcome.open = false;
                    }
                    Ok(Some(length)) => {
                        rest = &rest[length..];
                        let is_connect = *parser.method() == Method::CONNECT;
                        outcome.statuses.push(if is_connect { 501 } else { 200 });
                        let requests = outcome.statuses.len() as u64;
                        let goes_on = parser.keep_alive() && requests < limits.requests;
                        outcome.open = goes_on && !is_connect;
                    }
                }
            }
        }
    }
    outcome.open &= !case.finishes && !case.expected.statuses.is_empty();
    outcome
}

/// How many bytes the body takes; `None` if it is not all there.
fn body(
    parser: &Parser,
    bytes: &[u8],
    step: usize,
    limits: &Limits,
) -> Result<Option<usize>, RefusalKind> {
    if let Some(length) = parser.content_length() {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        return Ok((length <= bytes.len()).then_some(length));
    }
    let (mut decoder, mut used, mut there) = (Chunked::default(), 0, 0);
    loop {
        let (framing, next) =
            decoder.next(&bytes[used..there], limits).map_err(|(kind, _)| kind)?;
        used += framing;
        match next {
            Chunk::End => return Ok(Some(used)),
            Chunk::Data(left) if used < there => {
                let count =
                    usize::try_from(left).map_or(there - used, |left| left.min(there - used));
                decoder.took(count as u64);
                used += count;
            }
            Chunk::Data(_) | Chunk::More if there == bytes.len() => return Ok(None),
            Chunk::Data(_) | Chunk::More => there = there.saturating_add(step).min(bytes.len()),
        }
    }
}

/// Notes an outcome that is not as expected.
fn note(case: &Case, outcome: &Outcome, wrong: &mut String) {
    if *outcome != case.expected {
        let (outcome, expected) = (outcome.text(), case.expected.text());
        writeln!(wrong, "{}: {outcome} and not {expected}", case.name).expect("a string");
    }
}

#[test]
fn the_core_reads_each_case_as_expected() {
    let mut wrong = String::new();
    for case in corpus().values().flatten() {
        for step in [usize::MAX, 1, 7] {
            note(case, &outcome_of_the_core(case, step), &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn echo(request: &mut Request) -> Response {
    request.body().read_to_vec(u64::MAX).into_response()
}

/// The next response, if there is one.
fn next(client: &mut Client, is_head: bool) -> Option<common::Answer> {
    client.has_more().then(|| client.receive_with(!is_head))
}

fn outcome_over_a_socket(case: &Case, server: &Running, in_pieces: bool) -> Outcome {
    let mut client = server.client();
    let refused_before = server.handle.counters().refused;
    if in_pieces {
        client.stream.set_nodelay(true).expect("a socket");
        // A server that has refused something need not take the rest.
        let _ = case.bytes.iter().try_for_each(|&byte| client.try_send(&[byte]));
    } else {
        let _ = client.try_send(&case.bytes);
    }
    let finishes = case.finishes || case.expected.statuses.is_empty();
    if finishes {
        let _ = client.stream.shutdown(std::net::Shutdown::Write);
    }
    let mut outcome = Outcome { statuses: Vec::new(), refusal: None, open: false };
    let is_head = case.bytes.starts_with(b"HEAD ");
    let mut last = None;
    while outcome.statuses.len() < case.expected.statuses.len() {
        let Some(answer) = next(&mut client, is_head) else { break };
        outcome.statuses.push(answer.status);
        last = Some(answer);
    }
    if case.expected.open {
        // Who is not open any more does not answer this.
        outcome.open = client.ask("GET /sentinel HTTP/1.1\r\nHost: a\r\n\r\n").status == 200;
    } else {
        assert!(!client.has_more(), "{}: one response too many", case.name);
    }
    if server.handle.counters().refused > refused_before {
        let answer = last.expect("a refusal is answered");
        assert_eq!(answer.field("connection"), Some("close"), "{}", case.name);
        outcome.refusal.clone_from(&case.expected.refusal);
        let kind = case.expected.refusal.as_deref().unwrap_or("no refusal");
        let text = ALL_KINDS.iter().find(|other| format!("{other:?}") == kind);
        let text = text.unwrap_or_else(|| panic!("{}: no kind {kind}", case.name)).text();
        if !is_head {
            assert_eq!(answer.text().trim_end(), text, "{}", case.name);
        }
    }
    outcome
}

#[test]
fn a_server_answers_each_case_as_expected() {
    let mut wrong = String::new();
    let mut servers: BTreeMap<Option<String>, Running> = BTreeMap::new();
    for case in corpus().values().flatten() {
        let server = servers.entry(case.limits.clone()).or_insert_with(|| {
            let limits = limits(case);
            serve_with(|builder| builder.limits(limits), echo)
        });
        for in_pieces in [false, true] {
            if in_pieces && case.bytes.len() > 500 {
                continue;
            }
            note(case, &outcome_over_a_socket(case, server, in_pieces), &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The tables of the page that tells users of all this.
fn tables() -> String {
    let mut text = String::new();
    for (file, cases) in corpus() {
        let title = file.replace('-', " ");
        write!(text, "\n### {title}\n\n").expect("a string");
        text.push_str("| case | from | clause | outcome | why |\n|---|---|---|---|---|\n");
        for case in cases {
            let Case { name, from, clause, why, expected, .. } = case;
            let outcome = expected.text();
            writeln!(text, "| `{name}` | {from} | {clause} | {outcome} | {why} |")
                .expect("a string");
        }
    }
    text
}

#[test]
fn the_page_of_conformance_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    let page = fs::read_to_string(&path).expect("the page");
    let marks = ["<!-- the corpus -->\n", "<!-- end of the corpus -->"];
    let (before, rest) = page.split_once(marks[0]).expect("where the tables begin");
    let (_, after) = rest.split_once(marks[1]).expect("where they end");
    let expected = [before, marks[0], &tables(), "\n", marks[1], after].concat();
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, expected).expect("the page can be written");
        return;
    }
    let command = "UPDATE=1 cargo test -p straightline --features internals --test corpus";
    assert!(page == expected, "docs/conformance.md is out of date: {command}");
}

/// Those that a request can be refused for.
const ALL_KINDS: &[RefusalKind] = &[
    RefusalKind::Method,
    RefusalKind::Target,
    RefusalKind::VersionSyntax,
    RefusalKind::Version,
    RefusalKind::EmptyLines,
    RefusalKind::LineEnd,
    RefusalKind::FieldName,
    RefusalKind::FieldValue,
    RefusalKind::HostMissing,
    RefusalKind::HostDuplicate,
    RefusalKind::Host,
    RefusalKind::ContentLength,
    RefusalKind::ContentLengthDuplicate,
    RefusalKind::FramingConflict,
    RefusalKind::TransferEncodingIn10,
    RefusalKind::TransferEncodingSyntax,
    RefusalKind::TransferEncoding,
    RefusalKind::ConnectBody,
    RefusalKind::Expectation,
    RefusalKind::Chunk,
    RefusalKind::TrailerField,
    RefusalKind::RequestLineBytes,
    RefusalKind::FieldLineBytes,
    RefusalKind::HeadBytes,
    RefusalKind::Fields,
    RefusalKind::ChunkExtensionBytes,
    RefusalKind::TrailerBytes,
    RefusalKind::BodyBytes,
];

#[test]
fn every_reason_to_refuse_has_a_case() {
    let corpus = corpus();
    let shown: HashSet<&str> =
        corpus.values().flatten().filter_map(|case| case.expected.refusal.as_deref()).collect();
    for kind in ALL_KINDS {
        assert!(shown.contains(format!("{kind:?}").as_str()), "{kind:?} has no case");
    }
}
