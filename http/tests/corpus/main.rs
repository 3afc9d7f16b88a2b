//! The table of hostile and unusual requests: each case of `*.txt` beside this file through the
//! protocol core and over a real socket, and the page that tells the world about it.
//!
//! Adding a case needs no code: see `format.rs` for the form, and run the tests once with
//! `UPDATE=1` for `docs/conformance.md`.

#[path = "../common/mod.rs"]
mod common;
mod format;
mod model;
mod page;

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;

use common::{Answer, Client, serve_with};
use format::Case;
use model::{End, Outcome, Owed, outcome};
use straightline::{BodyError, Request};

#[test]
fn the_protocol_core_decides_each_case_as_expected() {
    let mut wrong = Vec::new();
    for case in format::cases() {
        let _named = Named(&case);
        let whole = outcome(&case.bytes, &case.limits, case.bytes.len());
        if whole.to_string() != case.expect {
            wrong.push(format!("{}: {whole}, and not {}", case.place(), case.expect));
        }
        for step in [1, 7] {
            let split = outcome(&case.bytes, &case.limits, step);
            if split != whole {
                wrong.push(format!("{}: {split}, if {step} come at a time", case.place()));
            }
        }
        if let Some(body) = &case.body {
            let last = whole.answers.iter().rfind(|answer| answer.refusal.is_none());
            let last = last.expect("a request that is served");
            assert_eq!(last.body.escape_ascii().to_string(), body.escape_ascii().to_string());
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_server_answers_each_case_as_expected() {
    over_sockets(|client, bytes| {
        client.send(bytes);
    });
}

#[test]
fn a_server_answers_alike_if_the_bytes_come_one_by_one() {
    over_sockets(|client, bytes| {
        client.stream.set_nodelay(true).expect("an option");
        let (slow, fast) = bytes.split_at(bytes.len().min(ONE_BY_ONE_MAX));
        // A server that has refused may be gone before everything is sent.
        let is_sent = slow.iter().all(|&byte| client.stream.write_all(&[byte]).is_ok());
        let _ = is_sent && client.stream.write_all(fast).is_ok();
    });
}

fn over_sockets(send: impl Fn(&mut Client, &[u8])) {
    let mut servers = BTreeMap::new();
    for case in format::cases() {
        let limits = &case.limits;
        let server = servers
            .entry(case.limits_text.clone())
            .or_insert_with(|| serve_with(|builder| builder.limits(limits.clone()), echo));
        let _named = Named(&case);
        let expected = outcome(&case.bytes, limits, case.bytes.len());
        let refused = server.handle.counters().refused;
        let mut client = server.client();
        send(&mut client, &case.bytes);
        check(client, &expected);
        let refusals = expected.answers.iter().filter(|answer| answer.refusal.is_some()).count();
        assert_eq!(server.handle.counters().refused - refused, refusals as u64);
    }
    for server in servers.values() {
        assert_eq!(server.handle.counters().panicked, 0);
    }
}

fn echo(request: &mut Request) -> Result<Vec<u8>, BodyError> {
    match request.path() {
        SENTINEL => Ok(SENTINEL.into()),
        _ => request.body().read_to_vec(u64::MAX),
    }
}

fn check(mut client: Client, expected: &Outcome) {
    for owed in &expected.answers {
        let answer = final_answer(&mut client, !owed.is_head);
        assert_eq!(answer.status, owed.status(), "{answer:?}");
        check_answer(&answer, owed);
    }
    match expected.end {
        End::Open => assert_eq!(client.get(SENTINEL).text(), SENTINEL),
        End::Closed => {
            assert!(client.is_at_end(), "more than was owed");
        }
        End::WaitsInHead => {
            let rest = client.finish().rest();
            assert!(rest.is_empty(), "{}", rest.escape_ascii());
        }
        End::WaitsInBody => {
            // The handler reads the body, learns that it was cut, and says so in vain.
            assert_eq!(final_answer(client.finish(), false).status, 400);
        }
    }
}

fn check_answer(answer: &Answer, owed: &Owed) {
    let body = answer.body.escape_ascii().to_string();
    let Some(kind) = owed.refusal else {
        let expected = if owed.is_head { &[][..] } else { &owed.body };
        assert_eq!(body, expected.escape_ascii().to_string());
        return;
    };
    assert_eq!(answer.field("connection"), Some("close"), "{answer:?}");
    let content_type = answer.field("content-type").unwrap_or_default();
    assert!(content_type.starts_with("text/plain"), "{answer:?}");
    let expected = if owed.is_head { String::new() } else { format!("{}\\n", kind.text()) };
    assert_eq!(body, expected);
}

/// The next answer that is not interim: whether the client is told to continue depends on how much
/// of its body has come.
fn final_answer(client: &mut Client, has_body: bool) -> Answer {
    loop {
        let answer = client.receive_with(has_body);
        if answer.status != 100 {
            return answer;
        }
    }
}

/// Names its case if that fails, wherever it does.
struct Named<'c>(&'c Case);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the case is {}", self.0.place());
        }
    }
}

/// What the connection is still good for; as short as the smallest limits in the corpus want it.
const SENTINEL: &str = "/z";

/// How much of a case is sent byte by byte: all of most of them, and of a long one its head.
const ONE_BY_ONE_MAX: usize = 400;
