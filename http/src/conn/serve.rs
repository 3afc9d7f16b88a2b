//! The straight line itself.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::mem;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use http::{Method, StatusCode};
use straightline_sched::{
    DeadlineExceeded, Interest, before_park, checkpoint, clock, is_cancel, set_label,
    with_own_locals,
};

use super::body_in::Unread;
use super::buffers::{Buffers, Input};
use super::linger::linger;
use super::link::{Expectation, Link};
use crate::body::BodyError;
use crate::config::{OnDisconnect, Timeout};
use crate::proto::{self, Framing, Head, Refusal, RefusalKind};
use crate::request::Request;
use crate::response::{Response, has_no_body};
use crate::server::{Registered, ShardState};
use crate::telemetry::Event;

/// A handler, as the connection sees it.
pub(crate) type Service = dyn Fn(&mut Request) -> Response;

/// A connection's state: all that lasts while it rests.
pub(crate) struct Connection {
    pub(super) link: Rc<Link>,
    /// Flushes the link: see [`before_park`].
    pub(super) flush: Rc<dyn Fn()>,
    pub(super) shard: Rc<ShardState>,
    registered: Registered,
    /// It broke, and that is told.
    pub(super) is_failed: Cell<bool>,
}

/// How a stretch of serving ends.
pub(super) enum End {
    /// Idle: nothing buffered, and the fiber is woken when something comes.
    Rest,
    /// Over; everything that was to be said is written.
    Close,
    /// Over, but the client may still be sending: see [`linger`].
    Linger,
    /// Over in the middle of a response, which the client is to notice.
    Cut,
}

/// What comes next on the connection.
enum Next {
    /// A request, whose head is in the buffers.
    Request,
    End(End),
}

impl Connection {
    pub(crate) fn new(link: Rc<Link>, registered: Registered) -> Self {
        let output = Rc::clone(&link);
        let flush = Rc::new(move || output.flush_before_park());
        let shard = Rc::clone(&link.shard);
        Self { link, flush, shard, registered, is_failed: Cell::new(false) }
    }

    /// Serves until the connection rests or is over: one episode of its fiber.
    pub(crate) fn episode(&self) -> ControlFlow<()> {
        let (since, requests) = (self.link.rests_since.replace(0), self.link.requests.get());
        // Handlers have a catch of their own, so what unwinds to here is a cancel, or a bug here.
        match catch_unwind(AssertUnwindSafe(|| self.serve())) {
            Ok(Ok(End::Rest)) => {
                // An empty line, or nothing at all, does not begin the rest anew.
                let goes_on = since != 0 && self.link.requests.get() == requests;
                self.link.rests_since.set(if goes_on { since } else { self.shard.sweep() });
                return ControlFlow::Continue(());
            }
            Ok(Ok(End::Close | End::Cut)) => {}
            Ok(Ok(End::Linger)) => linger(&*self.link.transport),
            Err(payload) => {
                if !is_cancel(&*payload) {
                    self.shard.counters.aborted.bump();
                    let error = io::Error::other("a panic outside of the handler");
                    self.shard
                        .tell(&Event::ConnectionFailed { peer: &self.link.peer, error: &error });
                }
                resume_unwind(payload);
            }
            Ok(Err(error)) => self.note_failure(&error),
        }
        ControlFlow::Break(())
    }

    #[inline]
    fn serve(&self) -> io::Result<End> {
        let mut buffers = self.shard.buffers.take();
        mem::swap(&mut buffers.output, &mut *self.link.output());
        set_label(Some(&buffers.label));
        let end = loop {
            if let Next::End(end) = self.next(&mut buffers)? {
                break end;
            }
            let mut request = Request::new(buffers, Rc::clone(&self.link));
            // Requests of one connection may be of several users, if it is a proxy's.
            let end = with_own_locals(|| self.exchange(&mut request));
            self.log_request(&request);
            let end = end?;
            if !matches!(end, Some(End::Cut)) {
                self.link.end_request(true);
            }
            buffers = request.buffers;
            if let Some(end) = end {
                break end;
            }
            checkpoint();
        };
        if matches!(end, End::Cut) {
            self.link.output().clear();
        }
        mem::swap(&mut buffers.output, &mut *self.link.output());
        set_label(None);
        self.shard.buffers.give(buffers);
        Ok(end)
    }

    /// Waits for the next request head. What was answered is written before anything is read.
    fn next(&self, buffers: &mut Buffers) -> io::Result<Next> {
        let transport = &*self.link.transport;
        let limits = &self.shard.limits;
        let mut head_until = None;
        loop {
            let Buffers { input, parser, head, .. } = buffers;
            if self.is_in_gap(input)
                && let Err(refusal) = self.pass_gap(input)
            {
                self.refuse(refusal, false)?;
                return Ok(Next::End(End::Linger));
            }
            if !input.is_empty() {
                match parser.parse(input.unread(), limits, head) {
                    Ok(true) => return Ok(Next::Request),
                    Ok(false) => {}
                    Err(refusal) => {
                        self.refuse(refusal, head.method == Method::HEAD)?;
                        return Ok(Next::End(End::Linger));
                    }
                }
            }
            self.link.flush()?;
            let ending = self.shard.draining.get() || self.link.rest_end.get().is_some();
            // A read that would block is saved, but not the one before the end: a request may just
            // have come.
            let read = if transport.is_drained() && !ending {
                Err(ErrorKind::WouldBlock.into())
            } else {
                input.fill(transport, limits.head_bytes).inspect(|&count| {
                    self.shard.counters.bytes_read.add(count as u64);
                })
            };
            match read {
                Ok(0) if input.is_empty() => return Ok(Next::End(End::Close)),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                // Who is not at rest is not ended for having been.
                Ok(_) if ending => self.link.rest_end.set(None),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock if !input.is_empty() => {
                        let until = head_until
                            .get_or_insert_with(|| clock().checked_add(self.shard.timeouts.head));
                        if !transport.wait_until(Interest::Read, *until)? {
                            self.refuse_late(Timeout::Head)?;
                            return Ok(Next::End(End::Linger));
                        }
                    }
                    ErrorKind::WouldBlock if ending => {
                        if self.shard.draining.get()
                            && let Some(until) = self.link.first_request_until()
                            && transport.wait_until(Interest::Read, Some(until))?
                        {
                            continue;
                        }
                        self.note_rest_end();
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
                        self.refuse(refusal, false)?;
                        return Ok(Next::End(End::Linger));
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    /// Whether what has come is, or may be, no part of a head.
    #[inline]
    fn is_in_gap(&self, input: &Input) -> bool {
        let first = input.unread().first();
        first.is_some_and(|first| matches!(first, b'\r' | b'\n') || !self.link.gap.get().is_empty())
    }

    /// Passes over empty lines before a head.
    #[cold]
    fn pass_gap(&self, input: &mut Input) -> Result<(), Refusal> {
        let mut gap = self.link.gap.get();
        let count = gap.skip(input.unread())?;
        self.link.gap.set(gap);
        input.consume(count);
        Ok(())
    }

    /// One request and its response. Returns how to end, if the connection does not go on; the
    /// request is consumed from the buffers.
    #[inline]
    fn exchange(&self, request: &mut Request) -> io::Result<Option<End>> {
        self.link.begin_request();
        self.link.requests.set(self.link.requests.get() + 1);
        request.tell_label();
        self.link.handler_timeout.set(self.shard.timeouts.handler);
        if request.body.remaining() != Some(0) {
            self.link.begin_body(request.buffers.head.end);
        }
        let waits = request.buffers.head.expect_continue;
        self.link.expectation.set(if waits { Expectation::Waiting } else { Expectation::None });
        let service = &*self.shard.service;
        // Earlier responses that wait to be written must not wait for this handler.
        let has_output = !self.link.output().is_empty();
        let flush = has_output.then(|| before_park(Rc::clone(&self.flush)));
        if self.shard.on_disconnect == OnDisconnect::Cancel {
            self.link.watch();
        }
        if self.shard.is_overloaded() {
            let response = self.refused_for_load();
            return self.answer_unusually(request, &response);
        }
        let (lease, timeout) = (&self.link.lease, self.link.handler_timeout.get());
        let outcome = catch_unwind(AssertUnwindSafe(|| lease.hold(timeout, || service(request))));
        drop(flush);
        let response = match outcome {
            Ok(Ok(response)) => response,
            Ok(Err(DeadlineExceeded)) => self.expired()?,
            Err(payload) => self.panicked(request, payload),
        };
        let is_connect = *request.method() == Method::CONNECT;
        if is_connect || response.status.is_informational() || response.body.is_streamed() {
            return self.respond_unusually(request, response);
        }
        self.answer(request, &response)
    }

    /// As [`answer`](Self::answer), for whom it is not worth a copy of that code.
    #[cold]
    #[inline(never)]
    pub(super) fn answer_unusually(
        &self,
        request: &mut Request,
        response: &Response,
    ) -> io::Result<Option<End>> {
        self.answer(request, response)
    }

    /// Answers with a body in memory, or with the head of another one, and settles the request.
    #[allow(clippy::inline_always)] // here and below: 40 instructions a request, measured
    #[inline(always)]
    fn answer(&self, request: &mut Request, response: &Response) -> io::Result<Option<End>> {
        let unread = self.unread(request);
        // What the handler made of half a body is void, and so is what it answered.
        match unread {
            Unread::Refused(refusal) => return self.refuse_and_settle(request, refusal),
            Unread::TimedOut(timeout) => return self.refuse_late_and_settle(request, timeout),
            _ => {}
        }
        let keep_alive = self.may_go_on(request, response) && self.is_skippable(unread);
        self.respond(&request.buffers.head, response, keep_alive)?;
        self.settle(request, unread, keep_alive)
    }

    /// Whether the connection goes on behind a response, as far as the two sides wish.
    pub(super) fn may_go_on(&self, request: &Request, response: &Response) -> bool {
        request.buffers.head.keep_alive
            && !response.close
            && !self.shard.is_ending.get()
            && self.link.requests.get() < self.shard.limits.requests
    }

    /// Whether what is left of a request's body is worth reading, to go on behind it.
    pub(super) fn is_skippable(&self, unread: Unread) -> bool {
        // A client that was not told to continue may or may not send its body: no way to go on.
        let comes = || self.link.expectation.get() == Expectation::None;
        match unread {
            Unread::Nothing => true,
            Unread::Known(bytes) => bytes <= SKIP_BYTES_MAX && comes(),
            Unread::Unknown => comes(),
            Unread::Refused(_) | Unread::Cut(_) | Unread::TimedOut(_) => false,
        }
    }

    /// Behind a response: the connection goes on, or ends so that the client can read all of it.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub(super) fn settle(
        &self,
        request: &mut Request,
        unread: Unread,
        keep_alive: bool,
    ) -> io::Result<Option<End>> {
        self.link.unwatch();
        self.log_request(request);
        let goes_on = keep_alive && (unread == Unread::Nothing || self.skip_noted(request)?);
        let input = &mut request.buffers.input;
        input.consume(request.body.end());
        if goes_on {
            return Ok(None);
        }
        self.link.flush()?;
        // A client that pipelines may have sent more; it learns from the close that it is lost.
        let is_over = unread == Unread::Nothing && input.is_empty();
        Ok(Some(if is_over { End::Close } else { End::Linger }))
    }

    /// Encodes a response; a large body is written at once, a small one waits for company.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub(super) fn respond(
        &self,
        head: &Head,
        response: &Response,
        keep_alive: bool,
    ) -> io::Result<()> {
        let mut output = self.link.output();
        self.link.begin_response(response.status);
        self.shard.encoder().encode(
            &mut output,
            response.status,
            response.content_type,
            &response.fields,
            framing(response, head.minor),
            proto::Connection::for_version(head.minor, keep_alive),
        );
        self.link.end_response_head(output.len());
        let is_sent = head.method != Method::HEAD && !has_no_body(response.status);
        let body = if is_sent { response.body.bytes() } else { &[] };
        if body.len() > COPY_BYTES_MAX {
            drop(output);
            self.link.held.set_response(response.body.owned_bytes());
            let flushed = self.link.flush_with(body);
            self.link.held.set_response(0);
            return flushed;
        }
        output.extend_from_slice(body);
        if output.len() > OUTPUT_BYTES_MAX {
            drop(output);
            self.link.flush()?;
        }
        Ok(())
    }

    /// Passes over what is left of a request's body; returns whether the connection goes on.
    #[cold]
    fn skip_noted(&self, request: &mut Request) -> io::Result<bool> {
        // The client has its answer, and the request no place any more.
        self.link.flush()?;
        self.link.end_request(true);
        let unread = self.skip(request)?;
        self.note_unread(unread);
        Ok(unread == Unread::Nothing)
    }

    /// Reads what a handler left of its request's body, and drops it; returns what is left of it
    /// then, because it is too much or cannot be read.
    #[cold]
    pub(super) fn skip(&self, request: &mut Request) -> io::Result<Unread> {
        // The client may wait for its response before it sends the rest.
        self.link.flush()?;
        let (mut scratch, mut skipped) = ([0; 1024], 0);
        while skipped <= SKIP_BYTES_MAX {
            match request.read_body(&mut scratch) {
                Ok(0) => return Ok(Unread::Nothing),
                Ok(count) => skipped += count as u64,
                Err(error) => {
                    return match BodyError::of(&error) {
                        Some(BodyError::Refused(refusal)) => Ok(Unread::Refused(refusal)),
                        Some(BodyError::TimedOut(timeout)) => Ok(Unread::TimedOut(timeout)),
                        _ => Err(error),
                    };
                }
            }
        }
        Ok(Unread::Unknown)
    }

    /// What is left of a request's body, beyond what has been received.
    #[inline]
    pub(super) fn unread(&self, request: &mut Request) -> Unread {
        let unread = request.body.pass_over_buffered(&request.buffers.input, &self.shard.limits);
        if let Unread::Cut(kind) = unread {
            // A handler that was told so has answered all the same; there may be nobody to read it.
            self.note_failure(&BodyError::Disconnected(kind).into());
        }
        unread
    }
}

/// What the head says about the body.
#[inline]
fn framing(response: &Response, minor: u8) -> Framing {
    match response.body.length() {
        Some(length) if !has_no_body(response.status) => Framing::Length(length),
        length => unusual_framing(response.status, length, minor),
    }
}

/// Of a body that is not sent, or whose length is not known: what it would be for a GET.
#[cold]
fn unusual_framing(status: StatusCode, length: Option<u64>, minor: u8) -> Framing {
    match (status, length) {
        (StatusCode::NO_CONTENT, _) | (StatusCode::NOT_MODIFIED, Some(0)) => Framing::None,
        (StatusCode::RESET_CONTENT, _) => Framing::Length(0),
        (_, Some(length)) => Framing::Length(length),
        (_, None) if minor == 0 => Framing::None,
        (_, None) => Framing::Chunked,
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.link.unwatch();
        // One that was being answered is answered no more.
        self.link.end_request(false);
        self.shard.counters.closed.bump();
        self.shard.tell(&Event::ConnectionClosed { peer: &self.link.peer });
        self.registered.leave(&self.link);
    }
}

/// A body up to this size is copied behind its head, so that several responses leave in one write;
/// a larger one is written from where it is. Arbitrary: copying 16 KiB costs about a system call.
const COPY_BYTES_MAX: usize = 16 * 1024;

/// Pipelined responses leave when they come to this much, at the latest.
pub(super) const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// How much of an unread request body is skipped to keep a connection. Arbitrary: up to here,
/// reading costs less than a new connection.
const SKIP_BYTES_MAX: u64 = 64 * 1024;
