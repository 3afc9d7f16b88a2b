//! Reads the head of a response, past the interim responses in front of it.
//!
//! An interim response (RFC 9110 section 15.2) is passed on to a client of HTTP/1.1, but for a 100:
//! that one lets the upload begin, and the server asks the client for the body then.

use std::io::{self, ErrorKind};
use std::time::Instant;

use http::{HeaderName, HeaderValue, StatusCode, Version};
use straightline_net::Transport;
use straightline_sched::now;

use super::connection::Received;
use super::failure::Failure;
use super::hop_by_hop::ConnectionNames;
use super::settings::{ProxyLimits, ProxyTimeouts};
use crate::config::OnDisconnect;
use crate::message::Request;
use crate::proto::{HeadBounds, ReceivedHead, ResponseParser, encode_interim};

/// Reads the head of the response to one request.
pub(super) struct HeadReader<'r> {
    request: &'r Request,
    parser: ResponseParser,
    bounds: HeadBounds,
    is_head: bool,
    /// The request asks for another protocol.
    may_switch: bool,
    interim: u32,
}

/// What has arrived.
pub(super) enum Step {
    /// The head of the response; it is still in the input, at the beginning.
    Final(ReceivedHead),
    /// A 100.
    Continue,
    /// More has to arrive.
    More,
}

impl<'r> HeadReader<'r> {
    pub(super) fn new(request: &'r Request, may_switch: bool, limits: &ProxyLimits) -> Self {
        let bounds = HeadBounds { head_bytes: limits.head_bytes, fields: limits.fields };
        let is_head = *request.method() == http::Method::HEAD;
        Self { request, parser: ResponseParser::default(), bounds, is_head, may_switch, interim: 0 }
    }

    /// Whether no byte of any response has arrived.
    pub(super) fn is_untouched(&self, input: &Received) -> bool {
        self.interim == 0 && input.is_empty()
    }

    /// Looks at what has arrived.
    ///
    /// A yield point if an interim response is passed on.
    pub(super) fn step(&mut self, input: &mut Received) -> Result<Step, Failure> {
        loop {
            let outcome = self.parser.parse(input.unread(), self.is_head, self.bounds);
            let Some(head) = outcome.map_err(Failure::Malformed)? else { return Ok(Step::More) };
            if head.status == StatusCode::SWITCHING_PROTOCOLS && !self.may_switch {
                return Err(Failure::Unexpected("a 101 that was not asked for"));
            }
            if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Step::Final(head));
            }
            self.interim += 1;
            if self.interim > INTERIM_MAX {
                return Err(Failure::Unexpected("too many interim responses"));
            }
            if head.status == StatusCode::CONTINUE {
                input.consume(head.end);
                return Ok(Step::Continue);
            }
            let passed = self.pass_on(&head, input.unread());
            input.consume(head.end);
            passed.map_err(Failure::Client)?;
        }
    }

    /// Sends an interim response to the client, if the client knows such.
    fn pass_on(&self, head: &ReceivedHead, bytes: &[u8]) -> io::Result<()> {
        let link = self.request.link();
        if self.request.version() == Version::HTTP_10 || link.is_detached() {
            return Ok(());
        }
        let headers = head.headers(bytes);
        let connection = ConnectionNames::of(headers);
        let fields: Vec<_> = headers
            .iter()
            .filter(|(name, _)| !connection.has(name))
            .filter_map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_bytes(value).ok()?))
            })
            .collect();
        encode_interim(link.output.buffer().bytes(), head.status, &fields);
        link.flush()
    }
}

/// A wait for the head of a response, when the whole request has been sent.
pub(super) struct HeadWait<'r> {
    request: &'r Request,
    timeouts: &'r ProxyTimeouts,
    until: Instant,
    /// When the client is watched, if it is to be.
    watch_at: Option<Instant>,
}

impl<'r> HeadWait<'r> {
    /// A wait that begins now.
    pub(super) fn new(
        request: &'r Request,
        timeouts: &'r ProxyTimeouts,
        on_disconnect: OnDisconnect,
    ) -> Self {
        let now = now();
        let is_watched = on_disconnect == OnDisconnect::Cancel;
        let watch_at = is_watched.then(|| now + WATCH_AFTER);
        Self { request, timeouts, until: now + timeouts.first_byte, watch_at }
    }

    /// Waits until more has arrived.
    ///
    /// A yield point.
    pub(super) fn fill(
        &mut self,
        stream: &dyn Transport,
        input: &mut Received,
    ) -> Result<(), Failure> {
        let until = self.watch_at.map_or(self.until, |at| at.min(self.until));
        match input.fill(stream, until) {
            Ok(0) => Err(ended_early()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                if self.watch_at.take().is_some() && until < self.until {
                    // A quick response costs no watch.
                    self.request.link().watch();
                    return Ok(());
                }
                Err(Failure::TimedOut("no response came", self.timeouts.first_byte))
            }
            Err(error) => Err(Failure::Broken(error)),
        }
    }
}

/// The upstream has closed the connection before the end of a head.
pub(super) fn ended_early() -> Failure {
    let message = "the upstream closed it before the end of a head";
    Failure::Broken(io::Error::new(ErrorKind::UnexpectedEof, message))
}

/// How many interim responses may come. Arbitrary: usual are one or two.
const INTERIM_MAX: u32 = 16;

/// After how long of a wait the proxy begins to watch whether the client is still there. A watch
/// costs a system call and a fiber, and most responses come earlier.
const WATCH_AFTER: std::time::Duration = std::time::Duration::from_millis(10);
