//! The corpus of hostile and unusual requests: each case of the `*.txt` files beside this file goes
//! through the protocol core and over a real socket. `docs/conformance.md` shows the cases.
//!
//! A new case needs no code: `format.rs` explains the form. Run the tests once with `UPDATE=1` to
//! rewrite `docs/conformance.md`.

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
                wrong.push(format!("{}: {split}, if {step} bytes arrive at a time", case.place()));
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
        // A server that refuses may close the connection before all bytes are sent.
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
            assert!(client.is_at_end(), "more bytes than expected");
        }
        End::WaitsInHead => {
            let rest = client.finish().rest();
            assert!(rest.is_empty(), "{}", rest.escape_ascii());
        }
        End::WaitsInBody => {
            // The handler reads the body and gets an error, because the body was cut. The error
            // becomes a 400.
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

/// The next answer that is not interim. Whether a `100 Continue` precedes it depends on how much of
/// the body has arrived.
fn final_answer(client: &mut Client, has_body: bool) -> Answer {
    loop {
        let answer = client.receive_with(has_body);
        if answer.status != 100 {
            return answer;
        }
    }
}

/// Prints its case if the test panics.
struct Named<'c>(&'c Case);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the case is {}", self.0.place());
        }
    }
}

/// The target of a request that shows that the connection is still open. It is so short because of
/// the smallest limits in the corpus.
const SENTINEL: &str = "/z";

/// How many bytes of a case are sent one by one: all bytes of most cases, and the head of a long
/// one.
const ONE_BY_ONE_MAX: usize = 400;
