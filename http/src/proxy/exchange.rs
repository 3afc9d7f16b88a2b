//! One request, and its response: chooses an upstream, sends the request, reads the head.
//!
//! A request is sent again only if no byte of it can have had an effect: after a connection that
//! could not be opened, to another upstream; and once after an idle connection that its upstream
//! has closed meanwhile, if the request is idempotent and its body is still there.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use straightline_net::Transport;
use straightline_sched::sync::select;
use straightline_sched::{self as sched, Interest, now};

use super::connection::{Received, UpstreamConnection};
use super::failure::Failure;
use super::head_reader::{HeadReader, HeadWait, Step, ended_early};
use super::outgoing::Outgoing;
use super::pool::Pool;
use super::request_head::{HeadParts, SentBody};
use super::respond::Reply;
use super::shared::Shared;
use super::upload::{Upload, UploadError};
use super::upstreams::Permit;
use crate::config::OnDisconnect;
use crate::message::{Request, Response};
use crate::proto::ReceivedHead;

/// A request on its way.
pub(super) struct Exchange<'x> {
    pub(super) shared: &'x Arc<Shared>,
    pub(super) pool: &'x Rc<Pool>,
    pub(super) request: &'x Request,
    outgoing: Outgoing,
    /// The protocol to which the client asks to switch, if it may.
    upgrade: Option<&'x str>,
}

/// The head of a response, and what goes on behind it.
struct Answered {
    head: ReceivedHead,
    connection: UpstreamConnection,
    /// An upload that was begun, or was to begin.
    upload: Option<Upload>,
}

impl<'x> Exchange<'x> {
    /// Reads the body of the request, if it is small.
    ///
    /// A yield point.
    pub(super) fn begin(
        shared: &'x Arc<Shared>,
        pool: &'x Rc<Pool>,
        request: &'x Request,
    ) -> Result<Self, Failure> {
        let outgoing = Outgoing::of(request)?;
        let may_switch = matches!(outgoing, Outgoing::Nothing(_));
        let upgrade = shared.upgrades.iter().map(String::as_str);
        let upgrade = upgrade.filter(|_| may_switch).find(|other| request.asks_to_upgrade(other));
        Ok(Self { shared, pool, request, outgoing, upgrade })
    }

    /// The response of an upstream.
    ///
    /// A yield point.
    pub(super) fn run(self) -> Result<Response, Failure> {
        let upstreams = &self.shared.upstreams;
        let is_replayable = self.outgoing.is_replayable(self.request.method());
        let mut may_reuse = true;
        let (mut tried, mut attempts) = (0, 0);
        loop {
            let permit = upstreams.choose_in_turn(tried, || self.watch_client());
            let permit = permit.inspect_err(|_| upstreams.record_unavailable())?;
            permit.upstream().counted.requests.fetch_add(1, Ordering::Relaxed);
            let connection = self.shared.connection(self.pool, permit.index(), may_reuse);
            let (connection, was_idle) = match connection {
                Ok(connection) => connection,
                Err(error) => {
                    let failure = Failure::Connect(error);
                    permit.record_failure(&failure.to_error());
                    (tried, attempts) = (tried | 1 << permit.index(), attempts + 1);
                    let is_last = tried.count_ones() as usize == upstreams.all().len();
                    if is_last || attempts >= self.shared.limits.attempts {
                        return Err(failure);
                    }
                    continue;
                }
            };
            match self.attempt(connection, &permit) {
                Ok(answered) => return Ok(self.respond(answered, permit)),
                Err((_, true)) if was_idle && is_replayable && may_reuse => {
                    permit.record_retry();
                    may_reuse = false;
                }
                Err((failure, _)) => {
                    if failure.is_of_upstream() {
                        permit.record_failure(&failure.to_error());
                    }
                    return Err(failure);
                }
            }
        }
    }

    /// Sends the request, and reads the head of the response. The flag of an error says that the
    /// connection has ended before any byte of a response.
    fn attempt(
        &self,
        mut connection: UpstreamConnection,
        permit: &Permit,
    ) -> Result<Answered, (Failure, bool)> {
        let sent = self.send_head(&connection, permit);
        sent.map_err(|error| (error.to_failure(self.shared), error.is_end()))?;
        let mut reader = HeadReader::new(self.request, self.upgrade.is_some(), &self.shared.limits);
        let mut upload = None;
        let head = self.read_head(&mut connection, &mut reader, &mut upload);
        let head = head.map_err(|failure| {
            let is_end = matches!(failure, Failure::Broken(_));
            (failure, is_end && reader.is_untouched(&connection.input))
        })?;
        Ok(Answered { head, connection, upload })
    }

    /// Sends the head, and the body with it if that is at hand.
    fn send_head(&self, connection: &UpstreamConnection, permit: &Permit) -> Result<(), SendError> {
        let mut bytes = self.pool.take_head();
        let parts = HeadParts {
            upstream: permit.upstream().address(),
            body: self.outgoing.framing(),
            upgrade: self.upgrade,
            expects_continue: self.expects_continue(),
        };
        self.shared.heads.put(&mut bytes, self.request, &parts);
        if let Outgoing::Whole(body) = &self.outgoing {
            bytes.extend_from_slice(body);
        }
        let until = now() + self.shared.timeouts.write;
        let sent = connection.send(&bytes, until);
        self.pool.give_head(bytes);
        sent.map_err(SendError)
    }

    /// Whether the client waits with its body for a 100.
    fn expects_continue(&self) -> bool {
        matches!(self.outgoing, Outgoing::Streamed(_)) && self.request.head().expect_continue
    }

    fn read_head(
        &self,
        connection: &mut UpstreamConnection,
        reader: &mut HeadReader<'_>,
        upload: &mut Option<Upload>,
    ) -> Result<ReceivedHead, Failure> {
        let Outgoing::Streamed(framing) = &self.outgoing else {
            let mut wait = self.head_wait();
            return read_on(connection, reader, |connection| {
                wait.fill(&*connection.stream, &mut connection.input)
            });
        };
        let is_chunked = *framing == SentBody::Chunked;
        let new = Upload::new(self.request, is_chunked, self.shared.timeouts.write);
        let upload = upload.insert(new.map_err(|_| Failure::Memory)?);
        if self.expects_continue()
            && let Some(head) = self.await_continue(connection, reader)?
        {
            return Ok(head);
        }
        self.read_head_beside(connection, reader, upload)
    }

    /// From now on, a client that disconnects ends the handler.
    fn watch_client(&self) {
        if self.shared.on_disconnect == OnDisconnect::Cancel {
            self.request.link().watch();
        }
    }

    fn head_wait(&self) -> HeadWait<'_> {
        HeadWait::new(self.request, &self.shared.timeouts, self.shared.on_disconnect)
    }

    /// Waits for a 100, or for as long as the client is to wait; or the upstream has responded, and
    /// does not want the body.
    fn await_continue(
        &self,
        connection: &mut UpstreamConnection,
        reader: &mut HeadReader<'_>,
    ) -> Result<Option<ReceivedHead>, Failure> {
        let until = now() + self.shared.timeouts.expect_continue;
        loop {
            match reader.step(&mut connection.input)? {
                Step::Final(head) => return Ok(Some(head)),
                Step::Continue => return Ok(None),
                Step::More => match connection.input.fill(&*connection.stream, until) {
                    Ok(0) => return Err(ended_early()),
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(None),
                    Err(error) => return Err(Failure::Broken(error)),
                },
            }
        }
    }

    /// Reads the head while another fiber sends the body. The upload ends when the head has come;
    /// its state stays.
    fn read_head_beside(
        &self,
        connection: &mut UpstreamConnection,
        reader: &mut HeadReader<'_>,
        upload: &mut Upload,
    ) -> Result<ReceivedHead, Failure> {
        let ended = Cell::new(None);
        let UpstreamConnection { stream, input } = connection;
        let stream = &**stream;
        sched::scope(|scope| {
            let upload = scope.spawn(|| ended.set(Some(upload.run(self.request, stream))));
            let mut wait = None;
            let head = loop {
                match reader.step(input) {
                    Ok(Step::Final(head)) => break Ok(head),
                    Ok(Step::Continue) => continue,
                    Ok(Step::More) => {}
                    Err(failure) => break Err(failure),
                }
                let more = match &mut wait {
                    Some(wait) => HeadWait::fill(wait, stream, input),
                    None if input.is_drained() => {
                        self.watch_client();
                        let ready = select(&[&stream.ready(Interest::Read), &upload]);
                        match ready.map_err(|error| Failure::Broken(error.into())) {
                            Ok(0) => {
                                input.expect_bytes();
                                Ok(())
                            }
                            Ok(_) => {
                                wait = Some(self.head_wait());
                                self.check_upload(ended.take())
                            }
                            Err(failure) => Err(failure),
                        }
                    }
                    None => try_fill(stream, input),
                };
                if let Err(failure) = more {
                    break Err(failure);
                }
            };
            upload.cancel();
            let _ = upload.join(); // its outcome is in its state
            head
        })
    }

    /// The upload has ended, well or not.
    fn check_upload(&self, ended: Option<Result<(), UploadError>>) -> Result<(), Failure> {
        match ended {
            Some(Err(UploadError::Client(error))) => Err(Failure::Client(error)),
            Some(Err(UploadError::Upstream(error))) if error.kind() == ErrorKind::TimedOut => {
                Err(Failure::TimedOut("the body was not taken", self.shared.timeouts.write))
            }
            // An upstream that takes no more may have responded.
            Some(Ok(()) | Err(UploadError::Upstream(_))) | None => Ok(()),
        }
    }

    fn respond(self, answered: Answered, permit: Permit) -> Response {
        let Answered { head, connection, upload } = answered;
        let Self { shared, pool, request, upgrade, .. } = self;
        let upload = upload.filter(|upload| !upload.is_complete());
        let reply =
            Reply { shared: Arc::clone(shared), pool: Rc::clone(pool), permit, connection, upload };
        match upgrade {
            Some(protocol) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                reply.switch(&head, protocol)
            }
            _ => reply.into_response(&head, request),
        }
    }
}

/// Why a head could not be sent.
struct SendError(io::Error);

impl SendError {
    fn is_end(&self) -> bool {
        self.0.kind() != ErrorKind::TimedOut
    }

    fn to_failure(&self, shared: &Shared) -> Failure {
        match self.0.kind() {
            ErrorKind::TimedOut => {
                Failure::TimedOut("the request was not taken", shared.timeouts.write)
            }
            kind => Failure::Broken(io::Error::new(kind, self.0.to_string())),
        }
    }
}

/// Reads the head of a response, with `fill` between the pieces.
fn read_on(
    connection: &mut UpstreamConnection,
    reader: &mut HeadReader<'_>,
    mut fill: impl FnMut(&mut UpstreamConnection) -> Result<(), Failure>,
) -> Result<ReceivedHead, Failure> {
    loop {
        match reader.step(&mut connection.input)? {
            Step::Final(head) => return Ok(head),
            Step::Continue => {}
            Step::More => fill(connection)?,
        }
    }
}

/// Reads what has arrived, if anything.
fn try_fill(stream: &dyn Transport, input: &mut Received) -> Result<(), Failure> {
    match input.try_fill(stream) {
        Ok(0) => Err(ended_early()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(Failure::Broken(error)),
    }
}
