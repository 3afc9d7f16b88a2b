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

use super::connection::{Connection, End};
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

impl Connection {
    /// Serves until the connection rests or is over: one episode of its fiber.
    pub(crate) fn episode(&self) -> ControlFlow<()> {
        let (since, requests) = (self.link.idle.resume(), self.link.exchange.number());
        // Handlers have a catch of their own, so what unwinds to here is a cancel, or a bug here.
        match catch_unwind(AssertUnwindSafe(|| self.serve())) {
            Ok(Ok(End::Rest)) => {
                // An empty line, or nothing at all, does not begin the rest anew.
                let since = since.filter(|_| self.link.exchange.number() == requests);
                self.link.idle.begin(since.unwrap_or(self.host.sweep()));
                return ControlFlow::Continue(());
            }
            Ok(Ok(End::Close | End::Cut)) => {}
            Ok(Ok(End::Linger)) => linger(&*self.link.transport),
            Err(payload) => {
                if !is_cancel(&*payload) {
                    self.host.counters().aborted.bump();
                    let error = io::Error::other("a panic outside of the handler");
                    self.host
                        .emit(&Event::ConnectionFailed { peer: &self.link.peer, error: &error });
                }
                resume_unwind(payload);
            }
            Ok(Err(error)) => self.record_failure(&error),
        }
        ControlFlow::Break(())
    }

    #[inline]
    fn serve(&self) -> io::Result<End> {
        let mut buffers = self.host.buffers.take();
        self.link.output.begin(mem::take(&mut buffers.output));
        set_label(Some(&buffers.label));
        let end = loop {
            if let Next::End(end) = self.next_request(&mut buffers)? {
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
            self.link.output.clear();
        }
        buffers.output = self.link.output.end();
        set_label(None);
        self.host.buffers.give(buffers);
        Ok(end)
    }

    /// Waits for the next request head. Responses are written out before anything is read.
    fn next_request(&self, buffers: &mut Buffers) -> io::Result<Next> {
        let transport = &*self.link.transport;
        let limits = &self.host.limits;
        let mut head_until = None;
        loop {
            let Buffers { input, parser, head, .. } = buffers;
            if self.is_in_gap(input)
                && let Err(refusal) = self.pass_gap(input)
            {
                return self.refuse_head(refusal, false);
            }
            if !input.is_empty() {
                match parser.parse(input.unread(), limits, head) {
                    Ok(true) => return Ok(Next::Request),
                    Ok(false) => {}
                    Err(refusal) => {
                        return self.refuse_head(refusal, head.method == Method::HEAD);
                    }
                }
            }
            self.link.flush()?;
            let closing = self.host.is_draining() || self.link.idle.end().is_some();
            // A read that would block is saved, but not the one before the end: a request may just
            // have come.
            let read = if transport.is_drained() && !closing {
                Err(ErrorKind::WouldBlock.into())
            } else {
                input.fill(transport, limits.head_bytes).inspect(|&count| {
                    self.host.counters().bytes_read.add(count as u64);
                })
            };
            match read {
                Ok(0) if input.is_empty() => return Ok(Next::End(End::Close)),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                // A request has come: the connection is not closed for its rest.
                Ok(_) if closing => self.link.idle.clear_end(),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock if !input.is_empty() => {
                        let until = head_until
                            .get_or_insert_with(|| clock().checked_add(self.host.timeouts.head));
                        if !transport.wait_until(Interest::Read, *until)? {
                            self.refuse_late(Timeout::Head)?;
                            return Ok(Next::End(End::Linger));
                        }
                    }
                    ErrorKind::WouldBlock if closing => {
                        if self.await_first_request()? {
                            continue;
                        }
                        self.record_idle_end();
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
                        return self.refuse_head(refusal, false);
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    /// In a drain: waits for the first request of a connection that came a moment ago; false if
    /// there is none to wait for.
    #[cold]
    fn await_first_request(&self) -> io::Result<bool> {
        match self.link.first_request_until() {
            Some(until) if self.host.is_draining() => {
                self.link.transport.wait_until(Interest::Read, Some(until))
            }
            _ => Ok(false),
        }
    }

    /// Answers bytes that are no request's head, behind which nothing can be read.
    #[cold]
    fn refuse_head(&self, refusal: Refusal, is_head: bool) -> io::Result<Next> {
        self.refuse(refusal, is_head)?;
        Ok(Next::End(End::Linger))
    }

    /// One request and its response. Returns how to end, if the connection does not go on; the
    /// request is consumed from the buffers.
    #[inline]
    fn exchange(&self, request: &mut Request) -> io::Result<Option<End>> {
        let waits = request.buffers.head.expect_continue;
        self.link.begin_request(if waits { Expectation::Waiting } else { Expectation::None });
        request.set_label();
        if request.body.remaining() != Some(0) {
            self.link.pacing.begin_body(request.buffers.head.end);
        }
        let service = &*self.service;
        // Earlier responses that wait to be written must not wait for this handler.
        let has_output = !self.link.output.is_empty();
        let flush = has_output.then(|| before_park(Rc::clone(&self.flush)));
        if self.host.on_disconnect == OnDisconnect::Cancel {
            self.link.watch();
        }
        if self.host.is_overloaded() {
            let response = self.refused_for_load();
            return self.answer_outlined(request, &response);
        }
        let pacing = &self.link.pacing;
        let outcome = catch_unwind(AssertUnwindSafe(|| pacing.hold(|| service(request))));
        drop(flush);
        let response = match outcome {
            Ok(Ok(response)) => response,
            Ok(Err(DeadlineExceeded)) => self.expired()?,
            Err(payload) => self.panicked(request, payload),
        };
        let is_connect = *request.method() == Method::CONNECT;
        if is_connect || response.head.status.is_informational() || response.body.is_streamed() {
            return self.respond_special(request, response);
        }
        self.answer(request, &response)
    }
}
