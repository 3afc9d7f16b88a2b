//! The link to a client: the client's address, the stream, and the state that both sides of a
//! request share.
//!
//! A link is composed of owners, each with its own rules: `exchange` is the current request,
//! `pacing` the timeouts, `output` the unsent bytes, `held` the memory. The methods here need more
//! than one of them: a request's begin and end, and the two loops that read and write, whose waits
//! `pacing` bounds.
//!
//! A link belongs to a connection while that is active, and for a while longer. What is kept while
//! it is idle as well, and what its shard looks at, is an [`OpenConnection`]; `link_pool` parts the
//! two.

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::mem;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::time::Instant;

use http::StatusCode;
use straightline_net::Transport;
use straightline_sched::{ShardTime, checkpoint};
#[cfg(feature = "_tls")]
use straightline_tls::TlsInfo;

use super::client_stream::ClientStream;
use super::connection_peer::{ConnectionPeer, ProxiedPeer};
use super::disconnect::Watch;
use super::exchange::{Exchange, Expectation};
use super::held::HeldForRequest;
use super::host::Host;
use super::idle::{IdleEnd, IdleState};
use super::last_head::LastHead;
use super::no_client::NoClient;
use super::open_connection::{self, first_request_until};
use super::output::Output;
use super::pacing::{Credits, Pacing};
use super::protocol::Protocol;
use super::wrapper_fields::WrapperFields;
use crate::config::Peer;
use crate::proto::{Head, HeadParser, Refusal};
use crate::telemetry::{RouteLabel, RoutePlace};

/// An open connection, idle or active, as its shard sees it.
pub(crate) type OpenConnection = open_connection::OpenConnection<Link, AtRest>;

/// What an idle connection keeps instead of a link.
pub(crate) struct AtRest {
    transport: ClientStream,
    credits: Option<Box<Credits>>,
}

/// The state that a connection and its current request share.
pub(crate) struct Link {
    /// The connection that the link belongs to; none in the pool.
    open: Option<Rc<OpenConnection>>,
    pub(crate) host: Rc<Host>,
    pub(crate) exchange: Exchange,
    pub(crate) pacing: Pacing,
    pub(crate) output: Output,
    pub(crate) held: HeldForRequest,
    pub(crate) wrapper_fields: WrapperFields,
    last_head: LastHead,
    /// See [`flush_hook`](Self::flush_hook).
    flush_hook: Cell<Option<Rc<dyn Fn()>>>,
    /// Cancels the handler of the current request if its client disconnects.
    watch: Cell<Option<Watch>>,
    /// The state of an upgraded connection, once the connection is upgraded.
    protocol: OnceCell<Rc<Protocol>>,
    /// The place of a route, and how many of its requests were counted without their time, because
    /// their responses are still to be sent.
    untimed: Cell<(RoutePlace, u32)>,
    /// There is no client: a program made the request.
    is_detached: bool,
    /// The connection's fiber rests in the middle of a response, and looks again when it is woken.
    is_resting: Cell<bool>,
    /// The place of the connection among those that keep their links while they are idle, counted
    /// from 1 on.
    pub(super) kept_at: Cell<Option<NonZeroU16>>,
    pub(crate) transport: ClientStream,
}

impl Link {
    /// Without a connection.
    pub(super) fn unused(host: &Rc<Host>) -> Self {
        let now = ShardTime::now();
        Self {
            open: None,
            exchange: Exchange::new(now),
            pacing: Pacing::new(host),
            output: Output::new(now),
            held: HeldForRequest::new(&host.memory),
            wrapper_fields: WrapperFields::default(),
            last_head: LastHead::new(&host.memory),
            flush_hook: Cell::new(None),
            watch: Cell::new(None),
            protocol: OnceCell::new(),
            untimed: Cell::new((RoutePlace::default(), 0)),
            is_detached: false,
            is_resting: Cell::new(false),
            kept_at: Cell::new(None),
            transport: ClientStream::new(NoClient),
            host: Rc::clone(host),
        }
    }

    /// For a request that a program made: there is no client.
    pub(super) fn detached(peer: Peer, host: &Rc<Host>) -> Self {
        let open =
            Rc::new(OpenConnection::new(ConnectionPeer::Direct(peer), ShardTime::now(), None));
        Self { is_detached: true, open: Some(open), ..Self::unused(host) }
    }

    /// Belongs to the connection from now on, which has kept `rest`.
    pub(super) fn begin(&mut self, open: &Rc<OpenConnection>, rest: AtRest) {
        let (requests, begun) = open.progress();
        self.exchange.resume(requests, begun);
        if let Some(credits) = rest.credits {
            self.pacing.resume(&credits);
        }
        self.transport = rest.transport;
        self.open = Some(Rc::clone(open));
    }

    /// Does not belong to its connection any more. Returns what the connection keeps; everything
    /// else is forgotten.
    pub(super) fn end(&mut self) -> AtRest {
        self.end_route_time();
        self.output.reset();
        self.held.release();
        self.wrapper_fields.begin();
        self.last_head.forget();
        self.kept_at.set(None);
        self.open = None;
        let transport = mem::replace(&mut self.transport, ClientStream::new(NoClient));
        AtRest { transport, credits: self.pacing.rest() }
    }

    /// Whether the link is of no use while the connection is idle. An upgraded connection is never
    /// idle, and one that rests in the middle of a response goes on with it.
    #[inline]
    pub(super) fn may_rest(&self) -> bool {
        self.protocol.get().is_none() && !self.is_resting.get()
    }

    /// The connection is idle, or has ended.
    #[inline]
    pub(super) fn record_rest(&self) {
        drop(self.flush_hook.take()); // it holds the link
        self.open().record_rest(self.exchange.number(), self.exchange.begun());
    }

    /// The hook for [`before_park`](straightline_sched::before_park) that flushes the link, until
    /// the connection is idle.
    pub(crate) fn flush_hook(self: &Rc<Self>) -> Rc<dyn Fn()> {
        let hook = self.flush_hook.take().unwrap_or_else(|| {
            let link = Rc::clone(self);
            Rc::new(move || link.flush_before_park())
        });
        self.flush_hook.set(Some(Rc::clone(&hook)));
        hook
    }

    #[inline]
    fn open(&self) -> &OpenConnection {
        match &self.open {
            Some(open) => open,
            None => unreachable!("a link in the pool is used"),
        }
    }

    /// The client, as far as it is known.
    #[inline]
    pub(crate) fn peer(&self) -> &Peer {
        self.open().peer()
    }

    /// Whether the connection is idle, and why it is to close.
    #[inline]
    pub(crate) fn idle(&self) -> &IdleState {
        self.open().idle()
    }

    /// The client that a proxy names, if the connection comes through one.
    pub(crate) fn proxied(&self) -> Option<&ProxiedPeer> {
        match self.open().connection_peer() {
            ConnectionPeer::Direct(_) => None,
            ConnectionPeer::Proxied(proxied) => Some(proxied),
        }
    }

    /// Whether there is no client.
    pub(crate) fn is_detached(&self) -> bool {
        self.is_detached
    }

    /// What the stream's handshake agreed on, if it is of that type.
    pub(crate) fn info<T: 'static>(&self) -> Option<&T> {
        self.transport.info()?.downcast_ref()
    }

    /// What the TLS handshake agreed on, if the stream is TLS.
    #[cfg(feature = "_tls")]
    pub(crate) fn tls(&self) -> Option<&TlsInfo> {
        self.info()
    }

    /// Parses the head of the next request: see [`HeadParser::parse`].
    #[inline]
    pub(crate) fn parse_head(
        &self,
        parser: &mut HeadParser,
        bytes: &[u8],
        head: &mut Head,
    ) -> Result<bool, Refusal> {
        self.last_head.parse(parser, bytes, &self.host.limits, head)
    }

    /// A request goes to its handler.
    #[inline]
    pub(crate) fn begin_request(&self, expectation: Expectation) {
        self.exchange.begin(expectation, self.host.counters());
        self.pacing.begin_request();
    }

    /// The request is over, if one was in flight: answered, or it never will be.
    #[inline]
    pub(crate) fn end_request(&self, is_answered: bool) {
        if self.exchange.end(is_answered, self.host.counters()) {
            self.held.release();
            if is_answered {
                self.output.record_response(self.exchange.begun());
                if self.output.is_empty() {
                    self.record_sent();
                }
            }
        }
    }

    /// A response begins, and will not be rolled back.
    #[inline]
    pub(crate) fn begin_response(&self, status: StatusCode) {
        self.host.counters().respond(status);
        self.exchange.begin_response(status);
    }

    /// Counts the request for its route. Its time is added when its response has been sent, so that
    /// the clock is not read twice.
    #[inline]
    pub(crate) fn count_route(&self, route: RouteLabel) {
        let status = self.exchange.status();
        let counted = self.host.routes().try_count(route, status);
        let (other, count) = self.untimed.get();
        match counted {
            Some(place) if status != 0 && (count == 0 || other == place) => {
                self.untimed.set((place, count + 1));
            }
            counted => self.count_rare_route(route, counted),
        }
    }

    /// The first request of a route, or one of another route than that of the responses that wait
    /// to be sent, or one without a response.
    #[cold]
    fn count_rare_route(&self, route: RouteLabel, counted: Option<RoutePlace>) {
        let count = || self.host.routes().count(route, self.exchange.status());
        let (place, nanos) = (counted.unwrap_or_else(count), self.exchange.nanos());
        self.add_route_time(nanos);
        self.host.routes().add_time(place, nanos, 1);
    }

    /// The requests of a route that have no time yet have taken so long.
    #[inline]
    fn add_route_time(&self, nanos: u64) {
        let (place, count) = self.untimed.get();
        if count > 0 {
            self.untimed.set((place, 0));
            self.host.routes().add_time(place, nanos, count);
        }
    }

    /// The connection has ended, perhaps with responses that could not be sent.
    pub(crate) fn end_route_time(&self) {
        if self.untimed.get().1 > 0 {
            self.add_route_time(self.exchange.nanos());
        }
    }

    /// The connection's fiber was abandoned: its client must not wait for it.
    pub(crate) fn lose(&self) {
        self.unwatch();
        self.exchange.stop_awaiting_client(self.host.counters());
        self.end_request(false);
        self.transport.reset();
    }

    /// Whether no request has come yet.
    pub(crate) fn is_new(&self) -> bool {
        self.exchange.number() == 0
    }

    /// For a connection that was opened a moment ago: until when the server waits for its first
    /// request although it shuts down. That request has been on its way since the client connected.
    pub(crate) fn first_request_until(&self) -> Option<Instant> {
        first_request_until(self.exchange.number(), self.exchange.begun())
    }

    /// Why the idle connection is to close, if it is.
    pub(crate) fn idle_end(&self) -> Option<IdleEnd> {
        self.idle().end()
    }

    /// Whether the connection's fiber rests in the middle of a response.
    #[inline]
    pub(crate) fn is_resting(&self) -> bool {
        self.is_resting.get()
    }

    /// The connection's fiber rests in the middle of a response: the request does not count against
    /// [`Capacity::in_flight`](crate::Capacity), as it costs the server no more than an idle
    /// connection does.
    pub(crate) fn begin_rest(&self) {
        self.is_resting.set(true);
        self.last_head.forget();
        self.exchange.await_client(self.host.counters());
    }

    /// The fiber goes on with the response, or has ended.
    pub(crate) fn end_rest(&self) {
        if self.is_resting.replace(false) {
            self.exchange.stop_awaiting_client(self.host.counters());
        }
    }

    /// The time of the handler, or of the upgraded connection's protocol, is over.
    pub(crate) fn end_handler(&self) {
        self.pacing.end_handler();
    }

    /// The connection is upgraded to another protocol from now on.
    pub(super) fn begin_protocol(&self) -> Rc<Protocol> {
        debug_assert!(self.protocol.get().is_none(), "a connection is upgraded once");
        self.last_head.forget();
        Rc::clone(self.protocol.get_or_init(|| Rc::new(Protocol::new())))
    }

    /// The state of an upgraded connection, once the connection is upgraded.
    pub(crate) fn protocol(&self) -> Option<&Rc<Protocol>> {
        self.protocol.get()
    }

    /// Watches the client, and cancels the request's handler if the client disconnects. Once for
    /// each request.
    pub(crate) fn watch(self: &Rc<Self>) {
        if self.is_detached {
            return;
        }
        let watch = self.watch.take().unwrap_or_else(|| {
            let link = Rc::clone(self);
            Watch::start(link, |link| &*link.transport, |link| link.pacing.record_client_gone())
        });
        self.watch.set(Some(watch));
    }

    /// The handler has returned, or does not want to be cancelled.
    #[inline]
    pub(crate) fn unwatch(&self) {
        if let Some(watch) = self.watch.take() {
            drop_outlined(watch);
        }
    }

    /// A handler is about to hold `bytes` more of its request's body in memory; false if the server
    /// has no room for them, which is counted and reported.
    #[must_use]
    pub(crate) fn try_hold(&self, bytes: usize) -> bool {
        let fits = self.held.try_add_to_body(bytes);
        if !fits {
            self.host.record_short_of_memory(self.peer());
        }
        fits
    }

    /// Reads at least one byte of a request's body, waiting for it; 0 is the end of the stream.
    ///
    /// A yield point.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // Before anything is read: the checkpoint may unwind, and the bytes would be lost.
        checkpoint();
        loop {
            if self.transport.is_drained() {
                self.wait_for_body()?;
            }
            match self.transport.try_read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for_body()?,
                Err(error) if error.kind() == ErrorKind::Interrupted => checkpoint(),
                result => {
                    return result.inspect(|&count| {
                        self.pacing.record_read(count);
                        self.host.counters().bytes_read.add(count as u64);
                    });
                }
            }
        }
    }

    /// Sends the whole output, waiting as long as the client may take.
    ///
    /// A yield point.
    pub(crate) fn flush(&self) -> io::Result<()> {
        if self.output.is_empty() || self.write_at_once()? { Ok(()) } else { self.write_out(&[]) }
    }

    /// Tries to send the whole output without a wait; false if there is more to do.
    fn write_at_once(&self) -> io::Result<bool> {
        // Before anything is written, as in `write`.
        checkpoint();
        if self.output.is_being_written() {
            return Ok(false);
        }
        let count = match self.output.try_write_at_once(&self.transport) {
            Ok(count) => count,
            Err(error) => return if is_transient(&error) { Ok(false) } else { Err(error) },
        };
        self.record_written(count);
        if !self.output.is_empty() {
            return Ok(false);
        }
        self.flush_transport()?;
        self.record_sent();
        Ok(true)
    }

    /// `count` bytes were given to the transport.
    #[inline]
    fn record_written(&self, count: usize) {
        self.pacing.record_sent(count);
        self.host.counters().bytes_written.add(count as u64);
    }

    /// As [`flush`](Self::flush), unless another fiber of the handler is sending: that fiber sends
    /// the whole output.
    ///
    /// A yield point.
    pub(super) fn try_flush(&self) -> io::Result<()> {
        if self.output.is_being_written() { Ok(()) } else { self.flush() }
    }

    /// Called when a handler waits: sends earlier responses, and what the handler has written so
    /// far. The next write finds the same error.
    pub(crate) fn flush_before_park(&self) {
        self.output.begin_arranged_flush();
        let _ = self.try_flush();
    }

    /// Sends the whole output and then `body`, together and without copying it. If that fails or is
    /// unwound, some of the body may have been sent. No other fiber may add to the output
    /// meanwhile.
    ///
    /// A yield point.
    pub(crate) fn flush_with(&self, body: &[u8]) -> io::Result<()> {
        self.write_out(body)
    }

    #[inline(never)]
    fn write_out(&self, body: &[u8]) -> io::Result<()> {
        let mut turn = self.output.take_turn()?;
        while turn.has_unsent(body) {
            let count = self.write(|transport| turn.try_write(transport, body))?;
            if count == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            turn.record_written(count);
        }
        drop(turn);
        self.flush_transport()?;
        self.record_sent();
        Ok(())
    }

    /// Sends some of a file; 0 if the file has no bytes at `offset`.
    ///
    /// A yield point.
    pub(crate) fn send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        let count = self.write(|transport| transport.try_send_file(file, offset, count))?;
        self.output.record_written(count);
        self.flush_transport()?;
        Ok(count)
    }

    /// What was written is recorded as that. Waits until a stream with a buffer of its own has sent
    /// it.
    #[inline]
    fn flush_transport(&self) -> io::Result<()> {
        if self.transport.try_flush().is_ok() { Ok(()) } else { self.wait_for_flush() }
    }

    #[cold]
    fn wait_for_flush(&self) -> io::Result<()> {
        self.write(|transport| transport.try_flush().map(|()| 0)).map(drop)
    }

    /// Repeats `write` until it has sent some bytes.
    #[inline]
    fn write(
        &self,
        mut write: impl FnMut(&dyn Transport) -> io::Result<usize>,
    ) -> io::Result<usize> {
        // Before anything is written: the checkpoint may unwind, and the count would be lost.
        checkpoint();
        loop {
            match write(&*self.transport) {
                Ok(count) => {
                    self.record_written(count);
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for_room()?,
                Err(error) if error.kind() == ErrorKind::Interrupted => checkpoint(),
                Err(error) => return Err(error),
            }
        }
    }

    /// All responses have been sent: records how long they took.
    #[inline]
    fn record_sent(&self) {
        if let Some((since, count)) = self.output.take_sent() {
            let nanos = self.host.record_latency(since, count.into());
            self.add_route_time(nanos);
        }
    }

    #[cold]
    fn wait_for_body(&self) -> io::Result<()> {
        self.pacing.wait_for_body(&*self.transport, &self.exchange)
    }

    #[cold]
    fn wait_for_room(&self) -> io::Result<()> {
        let _held = self.held.while_unsent(self.output.capacity());
        self.pacing.wait_for_room(&*self.transport, &self.exchange)
    }
}

impl AtRest {
    /// A new connection.
    pub(crate) fn new(transport: ClientStream) -> Self {
        Self { transport, credits: None }
    }
}

#[cold]
fn drop_outlined<T>(value: T) {
    drop(value);
}

/// Whether the same call may succeed later.
#[cold]
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
