//! Responses whose pieces come now and then: between two of them the connection rests, as it does
//! between two requests. It holds neither a stack nor a buffer, only the request's head for the
//! report at the end.
//!
//! An activation sends what there is, arms everything that may wake the fiber (a piece, the client,
//! the time of the next beat), and ends. A client that makes no room keeps its activation, and with
//! it a stack, until it makes room or its [write timeout](crate::Timeouts::write) expires.
//!
//! Such a response ends when its pieces do, when the server drains, or with its client. The
//! connection ends with it, and the response's head says so. A client that makes no room for the
//! last pieces in a drain is disconnected after some seconds.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use http::Method;
use straightline_sched::{Interest, checkpoint, is_cancel, wake_at};

use super::connection::{Connection, End};
use super::errors::record_failure;
use super::report::report_request;
use super::resting::Resting;
use crate::message::{Fed, Fetched, Piece, Request};
use crate::proto::{BodyFraming, ConnectionHeader, ResponseHead};
use crate::wire::Link;

/// Whether a response goes on.
enum Step {
    /// Everything that there is was sent, and the fiber will be woken.
    Rest,
    /// The body is complete.
    Over,
}

/// Sends the head of a response whose pieces come now and then. A yield point.
pub(super) fn begin(
    connection: &Connection,
    request: &Request,
    head: &ResponseHead,
) -> io::Result<()> {
    debug_assert!(request.head().method != Method::HEAD, "it has no body");
    let (link, minor) = (connection.link(), request.head().minor);
    link.begin_response(head.status);
    let framing = if minor == 0 { BodyFraming::None } else { BodyFraming::Chunked };
    let close = ConnectionHeader::for_version(minor, false);
    let mut output = link.output.buffer();
    let encoder = connection.host().encoder();
    { encoder }.encode(output.bytes(), head, head.content_type, framing, close);
    link.exchange.begin_response_body(output.begin_body());
    drop(output);
    link.unwatch(); // while it rests, the connection looks itself
    link.pacing.set_ends_with_drain(true); // the connection ends with this response
    link.flush()
}

/// The response's head is sent: goes on with its pieces. A yield point.
#[cold]
#[inline(never)] // its frame would stay below every handler
pub(super) fn begin_pieces(connection: &Connection, request: Request, fed: Fed) -> io::Result<End> {
    let is_chunked = request.head().minor > 0;
    go_on_with(connection, Resting::new(request, fed, is_chunked))
}

/// Goes on with the response in which the connection rested. A yield point.
#[cold]
pub(super) fn go_on(connection: &Connection) -> io::Result<End> {
    match connection.end_rest() {
        Some(resting) => go_on_with(connection, resting),
        None => Ok(End::Close), // never: it rested
    }
}

fn go_on_with(connection: &Connection, mut resting: Box<Resting>) -> io::Result<End> {
    let link = connection.link();
    let stepped = match catch_unwind(AssertUnwindSafe(|| step(link, &mut resting))) {
        Ok(stepped) => stepped,
        Err(payload) if is_cancel(&*payload) => resume_unwind(payload),
        Err(payload) => return Ok(end_panicked(connection, &resting, payload)),
    };
    match stepped {
        Ok(Step::Rest) => {
            drop(link.output.end()); // not for the pool: all streams would fill it at the same time
            connection.rest(resting);
            Ok(End::Rest)
        }
        Ok(Step::Over) => {
            resting.record_whole();
            report_request(link, resting.request());
            link.end_request(true);
            drop(link.output.end());
            Ok(End::Close)
        }
        Err(error) => {
            link.output.clear();
            drop(link.output.end());
            record_failure(connection, &error);
            Err(error)
        }
    }
}

/// The source of the pieces has panicked: the client must notice that the body is not complete.
#[cold]
fn end_panicked(connection: &Connection, resting: &Resting, payload: Box<dyn Any + Send>) -> End {
    let link = connection.link();
    resting.record_panic(payload);
    link.output.clear();
    drop(link.output.end());
    End::Abort
}

/// Sends what there is, until the response rests or is over.
fn step(link: &Link, resting: &mut Resting) -> io::Result<Step> {
    loop {
        // This comes first: what was published before the drain is sent, also if the drain began
        // while an earlier piece was on its way.
        let is_draining = link.host.is_draining();
        if send_pieces(link, resting)? || is_draining {
            if resting.is_chunked() {
                link.output.buffer().end_chunks(&[]);
            }
            link.flush()?;
            return Ok(Step::Over);
        }
        listen(link, resting)?;
        if let Some(beat) = resting.take_beat() {
            send(link, resting, &beat)?;
            continue;
        }
        if resting.arm() && !link.host.is_draining() {
            wake_at(resting.beat_at());
            return Ok(Step::Rest);
        }
        checkpoint(); // a source that is ready and has nothing, again and again
    }
}

/// Sends all pieces that there are, several of them together. Returns whether the body has ended.
///
/// A yield point.
fn send_pieces(link: &Link, resting: &mut Resting) -> io::Result<bool> {
    let mut last: Option<Piece> = None;
    let mut count = 0;
    loop {
        // A source that never pauses must not keep a drain waiting.
        let is_enough = count >= DRAINED_PIECES && link.host.is_draining();
        let fetched = if is_enough { Fetched::End } else { resting.fetch() };
        count += 1;
        if let Some(piece) = last.take() {
            let is_alone = !matches!(fetched, Fetched::Piece(_));
            if is_alone || link.output.len() + piece.chunk().len() > TOGETHER_BYTES {
                send(link, resting, &piece)?;
            } else {
                let bytes = bytes(link, resting, &piece);
                link.output.buffer().bytes().extend_from_slice(bytes);
            }
        }
        match fetched {
            Fetched::Piece(piece) => last = Some(piece),
            Fetched::Nothing => return Ok(false),
            Fetched::End => return Ok(true),
        }
    }
}

/// Sends a piece, behind those that wait to be sent. A yield point.
fn send(link: &Link, resting: &mut Resting, piece: &Piece) -> io::Result<()> {
    link.flush_with(bytes(link, resting, piece))?;
    resting.record_sent();
    Ok(())
}

/// What the client gets of a piece: its framing too, except before HTTP/1.1.
fn bytes<'p>(link: &Link, resting: &Resting, piece: &'p Piece) -> &'p [u8] {
    if !resting.is_chunked() {
        return piece.data();
    }
    link.output.record_framing(piece.chunk().len() - piece.data().len());
    piece.chunk()
}

/// Arranges that the fiber is woken when the client leaves, and drops what it sends: no request is
/// expected behind this one.
fn listen(link: &Link, resting: &mut Resting) -> io::Result<()> {
    let mut scratch = [0; SCRATCH_BYTES];
    while resting.is_open() {
        if !resting.may_have_input() && link.transport.arm(Interest::Read)? {
            break;
        }
        resting.set_may_have_input(true);
        match link.transport.try_read(&mut scratch) {
            Ok(0) => resting.record_closed(),
            Ok(count) => {
                link.host.counters().bytes_read.add(count as u64);
                resting.record_dropped(count)?;
                checkpoint();
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => resting.set_may_have_input(false),
                ErrorKind::Interrupted => checkpoint(),
                _ => return Err(error),
            },
        }
    }
    Ok(())
}

/// Pieces that are there at the same time are copied together, up to this size: a system call costs
/// more than the copy.
const TOGETHER_BYTES: usize = 16 * 1024;

/// How many pieces that are there already are still sent when a drain begins. Arbitrary: what was
/// published a moment before the drain.
const DRAINED_PIECES: usize = 64;

/// How much is read at a time of what is dropped. Arbitrary: hardly any client sends anything.
const SCRATCH_BYTES: usize = 256;
