//! The end of a request: its answer, and whether the connection goes on behind it.

use std::io;

use super::connection::{Connection, End};
use crate::body_error::BodyError;
use crate::proto::ResponseHead;
use crate::request::Request;
use crate::response::Response;
use crate::wire::{Expectation, Unread};

impl Connection {
    /// [`answer`](Self::answer), not inlined, for the cold paths.
    #[cold]
    #[inline(never)]
    pub(super) fn answer_outlined(
        &self,
        request: &mut Request,
        response: &Response,
    ) -> io::Result<Option<End>> {
        self.answer(request, response)
    }

    /// Answers with a body in memory, or with the head of another one, and settles the request.
    #[allow(clippy::inline_always)] // here and below: 40 instructions a request, measured
    #[inline(always)]
    pub(super) fn answer(
        &self,
        request: &mut Request,
        response: &Response,
    ) -> io::Result<Option<End>> {
        let unread = self.unread_body(request);
        // The handler has seen half a body, and its answer is not sent.
        match unread {
            Unread::Refused(refusal) => return self.refuse_and_settle(request, refusal),
            Unread::TimedOut(timeout) => return self.refuse_late_and_settle(request, timeout),
            _ => {}
        }
        let keep_alive = self.may_go_on(request, &response.head) && self.is_skippable(unread);
        self.respond(&request.buffers.head, response, keep_alive)?;
        self.settle(request, unread, keep_alive)
    }

    /// Whether the connection goes on behind a response, as far as the two sides wish.
    pub(super) fn may_go_on(&self, request: &Request, head: &ResponseHead) -> bool {
        request.buffers.head.keep_alive
            && !head.close
            && !self.host.is_shutting_down()
            && self.link.exchange.number() < self.host.limits.requests
    }

    /// Whether what is left of a request's body is worth reading, to go on behind it.
    pub(super) fn is_skippable(&self, unread: Unread) -> bool {
        // A client that was not told to continue may or may not send its body: no way to go on.
        let comes = || self.link.exchange.expectation() == Expectation::None;
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

    /// Passes over what is left of a request's body; returns whether the connection goes on.
    #[cold]
    fn skip_noted(&self, request: &mut Request) -> io::Result<bool> {
        // The client has its answer, and the request does not count as in flight any more.
        self.link.flush()?;
        self.link.end_request(true);
        let unread = self.skip_body(request)?;
        self.record_unread(unread);
        Ok(unread == Unread::Nothing)
    }

    /// Reads what a handler left of its request's body, and drops it; returns what is left of it
    /// then, because it is too much or cannot be read.
    #[cold]
    pub(super) fn skip_body(&self, request: &mut Request) -> io::Result<Unread> {
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
    pub(super) fn unread_body(&self, request: &mut Request) -> Unread {
        let unread = request.body.pass_over_buffered(&request.buffers.input, &self.host.limits);
        if let Unread::Cut(kind) = unread {
            // The handler has answered although its read failed; the client may be gone.
            self.record_failure(&BodyError::Disconnected(kind).into());
        }
        unread
    }
}

/// How much of an unread request body is skipped to keep a connection. Arbitrary: up to here,
/// reading costs less than a new connection.
const SKIP_BYTES_MAX: u64 = 64 * 1024;
