//! The straight line itself: a connection's requests, one after the other.

use std::io::{self, ErrorKind};
use std::mem;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use http::Method;
use straightline_sched::{
    DeadlineExceeded, Interest, before_park, checkpoint, clock, is_cancel, set_label,
    with_own_locals,
};

use super::access::log_request;
use super::connection::{Connection, End};
use super::errors::{
    expired, panicked, record_failure, record_idle_end, refuse, refuse_late, refused_for_load,
};
use super::settle::{answer, answer_outlined};
use super::stream::respond_special;
use crate::config::{OnDisconnect, Timeout};
use crate::proto::{Refusal, RefusalKind};
use crate::request::Request;
use crate::telemetry::Event;
use crate::wire::{Buffers, Expectation, linger};

/// What comes next on the connection.
enum Next {
    /// A request, whose head is in the buffers.
    Request,
    End(End),
}

/// Serves until the connection rests or is over: one episode of its fiber.
pub(crate) fn serve_episode(connection: &Connection) -> ControlFlow<()> {
    let (since, requests) = (connection.link().idle.resume(), connection.link().exchange.number());
    // Handlers have a catch of their own, so what unwinds to here is a cancel, or a bug here.
    match catch_unwind(AssertUnwindSafe(|| serve(connection))) {
        Ok(Ok(End::Rest)) => {
            // An empty line, or nothing at all, does not begin the rest anew.
            let since = since.filter(|_| connection.link().exchange.number() == requests);
            connection.link().idle.begin(since.unwrap_or(connection.host().sweep()));
            return ControlFlow::Continue(());
        }
        Ok(Ok(End::Close | End::Cut)) => {}
        Ok(Ok(End::Linger)) => linger(&*connection.link().transport),
        Err(payload) => {
            if !is_cancel(&*payload) {
                connection.host().counters().aborted.bump();
                let error = io::Error::other("a panic outside of the handler");
                connection.host().emit(&Event::ConnectionFailed {
                    peer: &connection.link().peer,
                    error: &error,
                });
            }
            resume_unwind(payload);
        }
        Ok(Err(error)) => record_failure(connection, &error),
    }
    ControlFlow::Break(())
}

#[inline]
fn serve(connection: &Connection) -> io::Result<End> {
    let mut buffers = connection.host().buffers.take();
    connection.link().output.begin(mem::take(&mut buffers.output));
    set_label(Some(&buffers.label));
    let end = loop {
        if let Next::End(end) = next_request(connection, &mut buffers)? {
            break end;
        }
        let mut request = Request::new(buffers, Rc::clone(connection.link()));
        // Requests of one connection may be of several users, if it is a proxy's.
        let end = with_own_locals(|| exchange(connection, &mut request));
        log_request(connection, &request);
        let end = end?;
        if !matches!(end, Some(End::Cut)) {
            connection.link().end_request(true);
        }
        buffers = request.buffers;
        if let Some(end) = end {
            break end;
        }
        checkpoint();
    };
    if matches!(end, End::Cut) {
        connection.link().output.clear();
    }
    buffers.output = connection.link().output.end();
    set_label(None);
    connection.host().buffers.give(buffers);
    Ok(end)
}

/// Waits for the next request head. Responses are written out before anything is read.
fn next_request(connection: &Connection, buffers: &mut Buffers) -> io::Result<Next> {
    let transport = &*connection.link().transport;
    let limits = &connection.host().limits;
    let mut head_until = None;
    loop {
        let Buffers { input, parser, head, .. } = buffers;
        if connection.is_in_gap(input)
            && let Err(refusal) = connection.pass_gap(input)
        {
            return refuse_head(connection, refusal, false);
        }
        if !input.is_empty() {
            match parser.parse(input.unread(), limits, head) {
                Ok(true) => return Ok(Next::Request),
                Ok(false) => {}
                Err(refusal) => {
                    return refuse_head(connection, refusal, head.method == Method::HEAD);
                }
            }
        }
        connection.link().flush()?;
        let closing = connection.host().is_draining() || connection.link().idle.end().is_some();
        // A read that would block is saved, but not the one before the end: a request may just
        // have come.
        let read = if transport.is_drained() && !closing {
            Err(ErrorKind::WouldBlock.into())
        } else {
            input.fill(transport, limits.head_bytes).inspect(|&count| {
                connection.host().counters().bytes_read.add(count as u64);
            })
        };
        match read {
            Ok(0) if input.is_empty() => return Ok(Next::End(End::Close)),
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            // A request has come: the connection is not closed for its rest.
            Ok(_) if closing => connection.link().idle.clear_end(),
            Ok(_) => {}
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock if !input.is_empty() => {
                    let until = head_until.get_or_insert_with(|| {
                        clock().checked_add(connection.host().timeouts.head)
                    });
                    if !transport.wait_until(Interest::Read, *until)? {
                        refuse_late(connection, Timeout::Head)?;
                        return Ok(Next::End(End::Linger));
                    }
                }
                ErrorKind::WouldBlock if closing => {
                    if await_first_request(connection)? {
                        continue;
                    }
                    record_idle_end(connection);
                    return Ok(Next::End(End::Close));
                }
                ErrorKind::WouldBlock => {
                    if transport.arm_readable()? {
                        return Ok(Next::End(End::Rest));
                    }
                }
                ErrorKind::Interrupted => {}
                ErrorKind::OutOfMemory => {
                    let refusal = RefusalKind::Memory.at(buffers.input.unread().len());
                    return refuse_head(connection, refusal, false);
                }
                _ => return Err(error),
            },
        }
    }
}

/// In a drain: waits for the first request of a connection that came a moment ago; false if
/// there is none to wait for.
#[cold]
fn await_first_request(connection: &Connection) -> io::Result<bool> {
    match connection.link().first_request_until() {
        Some(until) if connection.host().is_draining() => {
            connection.link().transport.wait_until(Interest::Read, Some(until))
        }
        _ => Ok(false),
    }
}

/// Answers bytes that are no request's head, behind which nothing can be read.
#[cold]
fn refuse_head(connection: &Connection, refusal: Refusal, is_head: bool) -> io::Result<Next> {
    refuse(connection, refusal, is_head)?;
    Ok(Next::End(End::Linger))
}

/// One request and its response. Returns how to end, if the connection does not go on; the
/// request is consumed from the buffers.
#[inline]
fn exchange(connection: &Connection, request: &mut Request) -> io::Result<Option<End>> {
    let waits = request.buffers.head.expect_continue;
    connection.link().begin_request(if waits { Expectation::Waiting } else { Expectation::None });
    request.set_label();
    if request.body.remaining() != Some(0) {
        connection.link().pacing.begin_body(request.buffers.head.end);
    }
    let service = connection.service();
    // Earlier responses that wait to be written must not wait for this handler.
    let has_output = !connection.link().output.is_empty();
    let flush = has_output.then(|| before_park(Rc::clone(connection.flush_hook())));
    if connection.host().on_disconnect == OnDisconnect::Cancel {
        connection.link().watch();
    }
    if connection.host().is_overloaded() {
        let response = refused_for_load(connection);
        return answer_outlined(connection, request, &response);
    }
    let pacing = &connection.link().pacing;
    let outcome = catch_unwind(AssertUnwindSafe(|| pacing.hold(|| service(request))));
    drop(flush);
    let response = match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(DeadlineExceeded)) => expired(connection)?,
        Err(payload) => panicked(connection, request, payload),
    };
    let is_connect = *request.method() == Method::CONNECT;
    if is_connect || response.head.status.is_informational() || response.body.is_streamed() {
        return respond_special(connection, request, response);
    }
    answer(connection, request, &response)
}
