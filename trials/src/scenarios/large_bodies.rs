//! Bodies around the limit: one byte less than the limit and the limit itself are accepted, one
//! byte more is refused, and no body is held in memory.

use std::io;
use std::time::Duration;

use serde_json::Value;

use straightline_harness::Reply;

use crate::answer::Answer;
use crate::body::Body;
use crate::client::{Client, MARGIN};
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::trial::{Trial, mebibytes, tally_of};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    let clients = trial.options.connections(4, 16);
    let limit = trial.options.pick(8 << 20, 64 << 20);
    let server = trial.start(&format!("--body-bytes {limit}"), clients)?;
    // The first upload makes the server allocate memory that it keeps. This is not a body.
    let first = Body { bytes: 1 << 20, chunked: true };
    let warm_up = upload(&server, first, false);
    trial.doing("an upload of 1 MiB");
    trial.expect("200", warm_up.to_string(), warm_up == Outcome::Answered(200));
    let before = trial.scrape(&server);
    let descriptors = server.process().descriptors()?;
    let memory = server.process().memory()?;

    for bytes in [limit - 1, limit, limit + 1] {
        let name = format!("{}{:+}", mebibytes(limit), bytes.cast_signed() - limit.cast_signed());
        for chunked in [false, true] {
            let how = if chunked { "chunked" } else { "with a length" };
            trial.doing(format!("{clients} uploads of {name} byte, {how}"));
            let tally = tally_of(0..clients, |_| upload(&server, Body { bytes, chunked }, false));
            expect(trial, &tally, if bytes > limit { 413 } else { 200 });
        }
        // When a chunked body exceeds the limit its echo has begun, so the echo can only be cut.
        let echoes = if bytes > limit { &[false][..] } else { &[false, true] };
        for &chunked in echoes {
            let how = if chunked { "chunked" } else { "with a length" };
            trial.doing(format!("{clients} echoes of {name} byte, {how}"));
            let tally = tally_of(0..clients, |_| upload(&server, Body { bytes, chunked }, true));
            expect(trial, &tally, if bytes > limit { 413 } else { 200 });
        }
    }

    trial.doing(format!("a chunked echo of {} and a byte", mebibytes(limit)));
    let outcome = upload(&server, Body { bytes: limit + 1, chunked: true }, true);
    let held = matches!(outcome, Outcome::Half(_) | Outcome::Answered(413));
    trial.expect("413, or a response that is cut", outcome.to_string(), held);

    trial.doing("after all bodies");
    let grown = server.process().memory()?.peak.saturating_sub(memory.resident);
    let most = MEMORY_SLACK_BYTES + clients as u64 * MEMORY_EACH_BYTES_MAX;
    trial.expect(
        format!("resident memory grew by {} at most", mebibytes(most)),
        format!("{}, for {} at a time", mebibytes(grown), mebibytes(limit * clients as u64)),
        grown <= most,
    );
    trial.expect_all_closed(&server, descriptors)?;
    let after = trial.scrape(&server);
    let responses = |class| format!("straightline_responses_total{{class=\"{class}\"}}");
    trial.expect_growth(&before, &after, &responses("2xx"), 8 * clients);
    trial.expect_growth(&before, &after, &responses("4xx"), 3 * clients);
    Ok(())
}

fn expect(trial: &mut Trial, tally: &Tally, status: u16) {
    let held = tally.all(|outcome| *outcome == Outcome::Answered(status));
    trial.expect(format!("each {status}"), tally.to_string(), held);
}

/// Sends a body, and checks the response of the server.
fn upload(server: &Server, body: Body, echo: bool) -> Outcome {
    let talk = || {
        let mut client = Client::connect(server.address())?;
        let head = body.head(if echo { "/echo" } else { "/upload" });
        client.exchange(head.as_bytes(), &body, UPLOAD_TIME_MAX)
    };
    match talk() {
        Ok(Reply::Whole(answer)) if answer.status == 200 && !is_right(&answer, body, echo) => {
            Outcome::Failed(format!("200 with another body, of {} bytes", answer.body_bytes))
        }
        other => Outcome::from(other),
    }
}

fn is_right(answer: &Answer, body: Body, echo: bool) -> bool {
    if echo {
        return answer.body_bytes == body.bytes && answer.body_hash == body.hash();
    }
    let value: Result<Value, _> = serde_json::from_slice(&answer.body);
    value.is_ok_and(|value| value["bytes"] == body.bytes)
}

/// Long enough for a debug build on a busy machine.
const UPLOAD_TIME_MAX: Duration = MARGIN.saturating_mul(24);

/// For each body: buffers, a stack, and the memory of the handler.
const MEMORY_EACH_BYTES_MAX: u64 = 512 * 1024;

/// For the allocations of many connections at once. With [`MEMORY_EACH_BYTES_MAX`] this is still
/// less than one body for each client.
const MEMORY_SLACK_BYTES: u64 = 8 << 20;
