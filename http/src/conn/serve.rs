//! The loop over a connection's requests: read a head, run the handler, send the response.

use std::io::{self, ErrorKind};
use std::mem;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use http::Method;
use straightline_sched::{
    BeforePark, DeadlineExceeded, Interest, before_park, checkpoint, is_cancel, now, set_label,
    with_own_locals_or_end,
};

use super::connection::{Connection, End};
use super::errors::{
    client_gone, cut_off, handler_panic, overload_response, record_failure, record_idle_end,
    refuse, refuse_and_settle, refuse_late,
};
use super::handler_faults::cancelled_response;
use super::handshake::{await_first_request, shake_hands};
use super::report::{report_lost, report_request};
use super::rest;
use super::settle::{answer, answer_outlined};
use super::stream::{respond_special, run_protocol};
use crate::config::{OnDisconnect, Timeout};
use crate::message::{Request, Response};
use crate::proto::{BodyLength, Head, HeadParser, Refusal, RefusalKind};
use crate::telemetry::{Event, Outcome};
use crate::wire::{Buffers, Expectation, Link, close, linger};

/// What comes next on the connection.
enum Next {
    /// A request. Its head is in the buffers.
    Request,
    End(End),
}

/// One activation of the connection's fiber: serves requests until the connection becomes idle,
/// which returns `Continue`, or is over, which returns `Break` and whether it ended in good order.
pub(crate) fn serve_activation(connection: &mut Connection) -> ControlFlow<io::Result<()>> {
    connection.begin_activity();
    let flow = activate(connection);
    if flow.is_break() {
        connection.link().end_route_time();
    } else {
        connection.end_activity();
    }
    flow
}

fn activate(connection: &Connection) -> ControlFlow<io::Result<()>> {
    let (since, requests) =
        (connection.link().idle().resume(), connection.link().exchange.number());
    let awaited_handshake = connection.awaits_handshake();
    // The panic of a handler is caught in `serve_request`. What unwinds to here is a cancel of the
    // fiber, or the panic of a bug in the server.
    match catch_unwind(AssertUnwindSafe(|| serve_all(connection))) {
        Ok(Ok(End::Idle)) => {
            // The idle time restarts only if a request came, or a handshake has ended: empty lines
            // do not keep a connection open.
            let is_same = connection.link().exchange.number() == requests
                && connection.awaits_handshake() == awaited_handshake;
            let since = since.filter(|_| is_same);
            connection.link().idle().begin(since.unwrap_or(connection.host().sweep()));
            return ControlFlow::Continue(());
        }
        // `Feed` does not come here, its pieces were begun; nor does `Upgrade`, which has run.
        Ok(Ok(End::Rest | End::Feed(_) | End::Upgrade(_))) => return ControlFlow::Continue(()),
        Ok(Ok(End::Close)) => close(&*connection.link().transport),
        Ok(Ok(End::Linger)) => linger(&*connection.link().transport),
        Ok(Ok(End::Abort)) => {
            return ControlFlow::Break(Err(io::Error::other(INCOMPLETE)));
        }
        Err(payload) => {
            let is_cancelled = is_cancel(&*payload);
            let outcome = if is_cancelled { Outcome::ForceClosed } else { Outcome::Failed };
            report_lost(connection.link(), outcome);
            connection.link().end_route_time();
            if !is_cancelled {
                connection.host().counters().aborted.bump();
                let error = io::Error::other("a panic outside of the handler");
                connection.host().emit(&Event::ConnectionFailed {
                    peer: connection.link().peer(),
                    error: &error,
                });
            }
            resume_unwind(payload);
        }
        Ok(Err(error)) => {
            record_failure(connection, &error);
            return ControlFlow::Break(Err(error));
        }
    }
    ControlFlow::Break(Ok(()))
}

/// How a connection ended whose last response was cut off.
const INCOMPLETE: &str = "a response could not be completed";

/// Serves requests, and the protocol that the connection is handed over to. Of the requests nothing
/// is on the stack any more when the protocol runs: it may run for hours, and what stands below it
/// stays resident.
#[inline]
fn serve_all(connection: &Connection) -> io::Result<End> {
    match serve_requests(connection) {
        Ok(End::Upgrade(handover)) => Ok(run_protocol(connection, *handover)),
        served => served,
    }
}

#[inline(never)] // see `serve_all`
fn serve_requests(connection: &Connection) -> io::Result<End> {
    if connection.link().is_resting() {
        return rest::go_on(connection);
    }
    if connection.awaits_handshake()
        && let Some(end) = shake_hands(connection)?
    {
        return Ok(end);
    }
    let buffers = connection.host().buffers.take();
    // One for all requests of the activation: to make and to drop one costs as much as a small
    // handler.
    let mut request = Request::new(buffers, Rc::clone(connection.link()));
    connection.link().output.begin(mem::take(&mut request.buffers().output));
    set_label(Some(&request.buffers().label));
    let mut flush = None;
    let end = loop {
        if let Next::End(end) = next_request(connection, request.buffers())? {
            break end;
        }
        request.begin();
        // Each request has its own fiber-locals: a proxy may send requests of several users over
        // one connection. A cancel that unwinds this ends the connection's fiber, and the end of a
        // protocol does.
        let end = with_own_locals_or_end(
            || serve_request(connection, &mut request, &mut flush),
            |end| matches!(end, Ok(Some(End::Upgrade(_)))),
        );
        match end {
            Ok(Some(End::Feed(fed))) => {
                return rest::begin_pieces(connection, request, *fed);
            }
            Ok(Some(end @ End::Upgrade(_))) => return Ok(end),
            _ => {}
        }
        if let Err(error) = &end {
            record_failure(connection, error);
        }
        report_request(connection.link(), &request);
        let end = end?;
        if !matches!(end, Some(End::Abort)) {
            connection.link().end_request(true);
        }
        request.end();
        if let Some(end) = end {
            break end;
        }
        checkpoint();
    };
    if matches!(end, End::Abort) {
        connection.link().output.clear();
    }
    let mut buffers = request.into_buffers();
    buffers.output = connection.link().output.end();
    set_label(None);
    connection.host().buffers.give(buffers);
    Ok(end)
}

/// Reads until a request's head is complete, or the connection is idle or over. All responses are
/// flushed before each read.
fn next_request(connection: &Connection, buffers: &mut Buffers) -> io::Result<Next> {
    let transport = &connection.link().transport;
    let mut head_until = None;
    loop {
        if !buffers.input.is_empty()
            && let Some(next) = parse_buffered(connection, buffers)?
        {
            return Ok(next);
        }
        let input = &mut buffers.input;
        connection.link().flush()?;
        let is_closing =
            connection.host().is_draining() || connection.link().idle().end().is_some();
        // A `recv` that would block is not called. Before the connection closes it is called all
        // the same: a request may have arrived meanwhile.
        let read = if transport.is_drained() && !is_closing {
            if input.is_empty() {
                if transport.arm(Interest::Read)? {
                    return Ok(Next::End(End::Idle));
                }
                checkpoint();
                continue;
            }
            Err(ErrorKind::WouldBlock.into())
        } else {
            input.fill(transport, connection.host().limits.head_bytes).inspect(|&count| {
                connection.host().counters().bytes_read.add(count as u64);
            })
        };
        match read {
            Ok(0) if input.is_empty() => return Ok(Next::End(End::Close)),
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            // A request has arrived: the connection is not closed for being idle.
            Ok(_) if is_closing => connection.link().idle().clear_end(),
            Ok(_) => {}
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock if !input.is_empty() => {
                    let until = head_until
                        .get_or_insert_with(|| now().checked_add(connection.host().timeouts.head));
                    if !transport.wait_until(Interest::Read, *until)? {
                        refuse_late(connection, Timeout::Head)?;
                        return Ok(Next::End(End::Linger));
                    }
                }
                ErrorKind::WouldBlock if is_closing => {
                    if await_first_request(connection)? {
                        continue;
                    }
                    record_idle_end(connection);
                    return Ok(Next::End(End::Close));
                }
                ErrorKind::WouldBlock => {
                    if transport.arm(Interest::Read)? {
                        return Ok(Next::End(End::Idle));
                    }
                    checkpoint();
                }
                ErrorKind::Interrupted => checkpoint(),
                ErrorKind::OutOfMemory => {
                    let refusal = RefusalKind::Memory.at(buffers.input.unread().len());
                    return refuse_head(connection, refusal, false);
                }
                // The client has closed the socket, and not the protocol in between, such as TLS:
                // between two requests that cuts nothing off.
                ErrorKind::UnexpectedEof if buffers.input.is_empty() => {
                    return Ok(Next::End(End::Close));
                }
                _ => return Err(error),
            },
        }
    }
}

/// Parses what is buffered; `None` if that is not a whole head.
#[inline]
fn parse_buffered(connection: &Connection, buffers: &mut Buffers) -> io::Result<Option<Next>> {
    let Buffers { input, parser, head, .. } = buffers;
    if connection.is_in_gap(input)
        && let Err(refusal) = connection.skip_gap(input)
    {
        return refuse_head(connection, refusal, false).map(Some);
    }
    if input.is_empty() {
        return Ok(None);
    }
    match parse(connection.link(), parser, input.unread(), head) {
        Ok(true) => Ok(Some(Next::Request)),
        Ok(false) => Ok(None),
        Err(refusal) => refuse_head(connection, refusal, head.method == Method::HEAD).map(Some),
    }
}

/// Not inlined: the parser's many variables would be prepared also where nothing is buffered, which
/// is at each second look.
#[inline(never)]
fn parse(
    link: &Link,
    parser: &mut HeadParser,
    bytes: &[u8],
    head: &mut Head,
) -> Result<bool, Refusal> {
    link.parse_head(parser, bytes, head)
}

/// Refuses bytes that are not a request's head. Where the next request begins is unknown, so the
/// connection ends.
#[cold]
fn refuse_head(connection: &Connection, refusal: Refusal, is_head: bool) -> io::Result<Next> {
    refuse(connection, None, refusal, is_head)?;
    Ok(Next::End(End::Linger))
}

/// Serves one request. Returns `None` if the connection stays open, with the request consumed from
/// the buffers, and otherwise how the connection ends.
///
/// `flush` is the hook that sends the earlier responses if a handler waits. It stays for the
/// requests that follow, because to set it and to take it back costs as much as a small handler.
#[inline]
fn serve_request(
    connection: &Connection,
    request: &mut Request,
    flush: &mut Option<BeforePark>,
) -> io::Result<Option<End>> {
    let waits = request.head().expect_continue;
    connection.link().begin_request(if waits { Expectation::Waiting } else { Expectation::None });
    if connection.service().is_wrapped() {
        connection.link().wrapper_fields.begin();
    }
    request.set_label();
    if request.head().body != BodyLength::Known(0) {
        connection.link().pacing.begin_body(request.head().end);
        // Received framing may move the buffer, and with it the head.
        if request.head().body == BodyLength::Chunked && request.split_head().is_err() {
            let refusal = RefusalKind::Memory.at(request.head().end);
            return refuse_and_settle(connection, request, refusal);
        }
    }
    // If the handler waits, the earlier responses in the output leave at once.
    if !connection.link().output.is_empty() && connection.link().output.arrange_early_flush() {
        *flush = None; // the former hook has been called
        *flush = Some(before_park(connection.link().flush_hook()));
    }
    if connection.host().on_disconnect == OnDisconnect::Cancel {
        connection.link().watch();
    }
    if connection.host().is_overloaded() {
        let response = overload_response(connection);
        return answer_outlined(connection, request, &response);
    }
    let mut response = None;
    if connection.service().is_wrapped() {
        response = Some(run_wrapped(connection, request)?);
    } else {
        run_handler(connection, request, &mut response)?;
    }
    if connection.host().is_stuck() {
        return Err(cut_off(connection));
    }
    let is_connect = request.head().method == Method::CONNECT;
    let is_special = |made: &Response| {
        is_connect || made.status().is_informational() || made.body().is_special()
    };
    if let Some(response) = response.take_if(|made| is_special(made)) {
        drop(flush.take());
        connection.link().output.end_early_flush();
        return respond_special(connection, request, response);
    }
    let Some(made) = &response else { unreachable!("there is a response, or an error") };
    let answered = answer(connection, request, made);
    Response::drop_inlined(response);
    answered
}

/// Runs the handler within its time. Fills in the response that the client gets, where it stays; an
/// error if the client is gone.
#[inline]
fn run_handler(
    connection: &Connection,
    request: &mut Request,
    response: &mut Option<Response>,
) -> io::Result<()> {
    let (service, pacing) = (connection.service(), &connection.link().pacing);
    match pacing.try_hold(|| *response = Some(service.run(request))) {
        Ok(Ok(())) => {}
        Ok(Err(DeadlineExceeded)) => {
            *response = Some(client_gone(cancelled_response(connection.link()))?);
        }
        Err(payload) => *response = Some(handler_panic(connection, request, payload)),
    }
    Ok(())
}

/// As [`run_handler`], with the wrappers around it.
#[cold]
#[inline(never)]
fn run_wrapped(connection: &Connection, request: &mut Request) -> io::Result<Response> {
    let (service, pacing) = (connection.service(), &connection.link().pacing);
    let run = || service.run_wrapped(request);
    let outcome = catch_unwind(AssertUnwindSafe(|| pacing.hold_wrappers(run)));
    let fields = &connection.link().wrapper_fields;
    match &outcome {
        Ok(Ok(response)) => fields.end_wrappers(&response.head().fields),
        _ => fields.begin(), // the wrappers have not ended, so they have added nothing
    }
    match outcome {
        // If the client is gone, the response was for the wrappers alone.
        Ok(Ok(response)) if pacing.is_client_gone() => client_gone(response),
        Ok(Ok(response)) => Ok(response),
        Ok(Err(DeadlineExceeded)) => client_gone(cancelled_response(connection.link())),
        Err(payload) => Ok(handler_panic(connection, request, payload)),
    }
}
