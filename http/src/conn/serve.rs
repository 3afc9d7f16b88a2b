//! The straight line itself.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::mem;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use http::{Method, StatusCode};
use slog::{debug, error};
use straightline_sched::{before_park, checkpoint, is_cancel};

use super::body_in::Unread;
use super::buffers::Buffers;
use super::linger::linger;
use super::link::Link;
use crate::proto::{self, Head, Refusal};
use crate::request::Request;
use crate::response::{IntoResponse, Response, is_bodyless};
use crate::server::{Registered, ShardState};

/// A handler, as the connection sees it.
pub(crate) type Service = dyn Fn(&mut Request) -> Response;

/// A connection's state: all that lasts while it rests.
pub(crate) struct Connection {
    link: Rc<Link>,
    /// Flushes the link: see [`before_park`].
    flush: Rc<dyn Fn()>,
    shard: Rc<ShardState>,
    registered: Registered,
}

/// How a stretch of serving ends.
enum End {
    /// Idle: nothing buffered, and the fiber is woken when something comes.
    Rest,
    /// Over; everything that was to be said is written.
    Close,
    /// Over, but the client may still be sending: see [`linger`].
    Linger,
}

/// What comes next on the connection.
enum Next {
    /// A request, whose head is in the buffers.
    Request,
    End(End),
}

impl Connection {
    pub(crate) fn new(link: Rc<Link>, shard: Rc<ShardState>, registered: Registered) -> Self {
        let output = Rc::clone(&link);
        let flush = Rc::new(move || output.flush_before_park());
        Self { link, flush, shard, registered }
    }

    /// Serves until the connection rests or is over: one episode of its fiber.
    pub(crate) fn episode(&self) -> ControlFlow<()> {
        // Handlers have a catch of their own, so what unwinds to here is a cancel, or a bug here.
        match catch_unwind(AssertUnwindSafe(|| self.serve())) {
            Ok(Ok(End::Rest)) => return ControlFlow::Continue(()),
            Ok(Ok(End::Close)) => {}
            Ok(Ok(End::Linger)) => linger(&self.link.transport),
            Err(payload) => {
                if !is_cancel(&*payload) {
                    self.shard.counters.aborted.bump();
                    error!(self.shard.logger, "a connection panicked"; "peer" => %self.link.peer);
                }
                resume_unwind(payload);
            }
            Ok(Err(error)) => {
                self.shard.counters.aborted.bump();
                debug!(
                    self.shard.logger, "connection failed";
                    "peer" => %self.link.peer, "error" => %error
                );
            }
        }
        ControlFlow::Break(())
    }

    #[inline]
    fn serve(&self) -> io::Result<End> {
        let mut buffers = self.shard.buffers.take();
        mem::swap(&mut buffers.output, &mut *self.link.output());
        let end = loop {
            if let Next::End(end) = self.next(&mut buffers)? {
                break end;
            }
            let request = Request::new(buffers, Rc::clone(&self.link));
            let (end, after) = self.exchange(request)?;
            buffers = after;
            if let Some(end) = end {
                break end;
            }
            checkpoint();
        };
        mem::swap(&mut buffers.output, &mut *self.link.output());
        self.shard.buffers.give(buffers);
        Ok(end)
    }

    /// Waits for the next request head. What was answered is written before anything is read.
    fn next(&self, buffers: &mut Buffers) -> io::Result<Next> {
        let transport = &self.link.transport;
        let limits = &self.shard.limits;
        loop {
            let Buffers { input, parser, head, .. } = buffers;
            if !input.is_empty() {
                match parser.parse(input.unread(), limits, head) {
                    Ok(true) => return Ok(Next::Request),
                    Ok(false) => {}
                    Err(refusal) => return self.refuse(refusal, head.method == Method::HEAD),
                }
            }
            self.link.flush()?;
            let draining = self.shard.draining.get();
            // A read that would block is saved, but not the one before the end: a request may just
            // have come.
            let read = if transport.is_drained() && !draining {
                Err(ErrorKind::WouldBlock.into())
            } else {
                input.fill(transport, limits.head_bytes)
            };
            match read {
                Ok(0) if input.is_empty() => return Ok(Next::End(End::Close)),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock if !input.is_empty() => transport.wait_readable()?,
                    ErrorKind::WouldBlock if draining => return Ok(Next::End(End::Close)),
                    ErrorKind::WouldBlock => {
                        if transport.arm_readable()? {
                            return Ok(Next::End(End::Rest));
                        }
                    }
                    ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// One request and its response. Returns how to end if the connection does not go on, and the
    /// buffers, from which the request is consumed.
    fn exchange(&self, mut request: Request) -> io::Result<(Option<End>, Box<Buffers>)> {
        self.shard.counters.requests.bump();
        let service = &*self.shard.service;
        // Earlier responses that wait to be written must not wait for this handler.
        let has_output = !self.link.output().is_empty();
        let flush = has_output.then(|| before_park(Rc::clone(&self.flush)));
        let outcome = catch_unwind(AssertUnwindSafe(|| service(&mut request)));
        drop(flush);
        let response = match outcome {
            Ok(response) => self.checked(response),
            Err(payload) => self.panicked(&request, payload),
        };

        let unread = request.body.pass_over_buffered(&request.buffers.input, &self.link.limits);
        if let Some(refusal) = request.body.refusal() {
            // What the handler made of half a body is void, and so is what it answered.
            self.refuse(refusal, request.method() == Method::HEAD)?;
            return Ok((Some(End::Linger), request.buffers));
        }
        // A client that was not told to continue may or may not send its body: no way to go on.
        let settles = match unread {
            Unread::Nothing => true,
            Unread::Known(bytes) => !request.body.is_expecting() && bytes <= SKIP_BYTES_MAX,
            Unread::Unknown => !request.body.is_expecting(),
        };
        let head = &request.buffers.head;
        let keep_alive =
            head.keep_alive && settles && !response.close && !self.shard.draining.get();
        self.respond(head, &response, keep_alive)?;
        let goes_on = keep_alive && (unread == Unread::Nothing || self.skip(&mut request)?);
        let Request { mut buffers, body, .. } = request;
        let Buffers { input, .. } = &mut *buffers;
        input.consume(body.end());
        if goes_on {
            return Ok((None, buffers));
        }
        self.link.flush()?;
        // A client that pipelines may have sent more; it learns from the close that it is lost.
        let is_over = unread == Unread::Nothing && input.is_empty();
        Ok((Some(if is_over { End::Close } else { End::Linger }), buffers))
    }

    /// Encodes a response; a large body is written at once, a small one waits for company.
    fn respond(&self, head: &Head, response: &Response, keep_alive: bool) -> io::Result<()> {
        let connection = match (keep_alive, head.minor) {
            (false, _) => proto::Connection::Close,
            (true, 0) => proto::Connection::KeepAlive,
            (true, _) => proto::Connection::Default,
        };
        let body = if is_bodyless(response.status) { &[][..] } else { response.body.bytes() };
        let length = (!is_bodyless(response.status)).then_some(body.len() as u64);
        let mut output = self.link.output();
        self.shard.encoder().encode(
            &mut output,
            response.status,
            response.content_type,
            &response.fields,
            length,
            connection,
        );
        let body = if head.method == Method::HEAD { &[] } else { body };
        if body.len() > COPY_BYTES_MAX {
            drop(output);
            return self.link.flush_with(body);
        }
        output.extend_from_slice(body);
        if output.len() > OUTPUT_BYTES_MAX {
            drop(output);
            self.link.flush()?;
        }
        Ok(())
    }

    /// Reads what a handler left of its request's body, and drops it; returns whether that was all
    /// of it.
    #[cold]
    fn skip(&self, request: &mut Request) -> io::Result<bool> {
        // The client may wait for its response before it sends the rest.
        self.link.flush()?;
        let (mut scratch, mut skipped) = ([0; 1024], 0);
        while skipped <= SKIP_BYTES_MAX {
            match request.read_body(&mut scratch) {
                Ok(0) => return Ok(true),
                Ok(count) => skipped += count as u64,
                Err(error) => match request.body.refusal() {
                    Some(refusal) => {
                        self.note_refusal(refusal);
                        return Ok(false);
                    }
                    None => return Err(error),
                },
            }
        }
        Ok(false)
    }

    fn note_refusal(&self, refusal: Refusal) {
        self.shard.counters.refused.bump();
        debug!(
            self.shard.logger, "request refused";
            "peer" => %self.link.peer, "reason" => %refusal,
            "status" => refusal.kind.status().as_u16()
        );
    }

    /// Answers a request that is not served, and ends the connection.
    #[cold]
    fn refuse(&self, refusal: Refusal, is_head: bool) -> io::Result<Next> {
        self.note_refusal(refusal);
        let text = format!("{}\n", refusal.kind.text());
        let response = (refusal.kind.status(), text).into_response();
        let mut output = self.link.output();
        self.shard.encoder().encode(
            &mut output,
            response.status,
            response.content_type,
            &[],
            Some(response.body.bytes().len() as u64),
            proto::Connection::Close,
        );
        if !is_head {
            output.extend_from_slice(response.body.bytes());
        }
        drop(output);
        self.link.flush()?;
        Ok(Next::End(End::Linger))
    }

    /// A handler's response, unless its status is none that a handler may give.
    fn checked(&self, response: Response) -> Response {
        if !response.status.is_informational() {
            return response;
        }
        error!(
            self.shard.logger, "a handler returned an interim status";
            "status" => response.status.as_u16()
        );
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }

    #[cold]
    fn panicked(&self, request: &Request, payload: Box<dyn Any + Send>) -> Response {
        if is_cancel(&*payload) {
            resume_unwind(payload);
        }
        self.shard.counters.panicked.bump();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("(no message)");
        error!(
            self.shard.logger, "a handler panicked";
            "peer" => %self.link.peer, "method" => %request.method(), "target" => request.target(),
            "message" => message
        );
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shard.counters.closed.bump();
        self.registered.leave(&self.shard);
    }
}

/// A body up to this size is copied behind its head, so that several responses leave in one write;
/// a larger one is written from where it is. Arbitrary: copying 16 KiB costs about a system call.
const COPY_BYTES_MAX: usize = 16 * 1024;

/// Pipelined responses leave when they come to this much, at the latest.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// How much of an unread request body is skipped to keep a connection. Arbitrary: up to here,
/// reading costs less than a new connection.
const SKIP_BYTES_MAX: u64 = 64 * 1024;
