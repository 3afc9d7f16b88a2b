//! The way to the client: who it is, the stream, and what waits to be written to it.

use std::cell::{Cell, OnceCell, RefCell, RefMut};
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::StatusCode;
use straightline_sched::sync::Event;
use straightline_sched::{Lease, checkpoint, clock, now, yield_now};

use super::disconnect::Watch;
use super::held::HeldForRequest;
use super::host::Host;
use super::meter::Meter;
use super::transport::Transport;
use super::upgrade::Protocol;
use crate::config::{Pace, Peer, Timeout};
use crate::proto::{Gap, begin_chunk, end_chunk};

/// What a connection and the request at hand both hold on to.
pub(crate) struct Link {
    pub(crate) peer: Peer,
    pub(crate) host: Rc<Host>,
    /// Whether the client of the request at hand waits to be told to send its body.
    pub(crate) expectation: Cell<Expectation>,
    /// Requests that went to the handler.
    pub(crate) requests: Cell<u64>,
    /// The turn in which the request at hand came.
    begun: Cell<Instant>,
    /// Since when responses wait to leave, and how many.
    unsent: Cell<(Instant, u32)>,
    /// The response's status, and at which position its body begins, or would if what frames it
    /// came before all of it; for the access log.
    pub(crate) answer: Cell<(u16, u64)>,
    /// The access log knows of it.
    pub(crate) is_logged: Cell<bool>,
    /// One is with its handler, or its answer on its way.
    is_in_flight: Cell<bool>,
    /// In which sweep of the shard the connection began to rest; 0 while it works.
    pub(crate) rests_since: Cell<u32>,
    /// Its rest is to end, and the connection with it.
    pub(crate) rest_end: Cell<Option<RestEnd>>,
    /// The empty lines behind the last request.
    pub(crate) gap: Cell<Gap>,
    /// What its handlers run under: it ends them when they stand still.
    pub(crate) lease: Lease,
    pub(crate) handler_timeout: Cell<Duration>,
    /// Fibers that wait for the client at the moment.
    pub(crate) waiting: Cell<u32>,
    /// One of them is counted, for the request.
    pub(crate) awaits_client: Cell<bool>,
    /// How slowly the client sends the body at hand.
    pub(crate) reads: Meter,
    /// The credit that it has for that, while the body at hand has a pace of its own.
    kept_credit: Cell<Option<Duration>>,
    /// How slowly it takes what it is sent.
    pub(crate) writes: Meter,
    /// Bytes that were given to the transport, and how many of them the client had by the last
    /// look.
    pub(crate) sent: Cell<u64>,
    pub(crate) taken: Cell<u64>,
    /// Its client has been too slow.
    pub(crate) timeout: Cell<Option<Timeout>>,
    /// The client has gone while a handler ran that wanted to know.
    pub(crate) is_gone: Cell<bool>,
    pub(crate) watch: Cell<Option<Watch>>,
    /// Responses that were encoded and not yet written. Never borrowed across a wait: while one
    /// fiber of a handler writes it out, another may add to its end.
    output: RefCell<Vec<u8>>,
    /// A fiber writes the output out, and what is added meanwhile too.
    is_being_written: Cell<bool>,
    /// The end of that, for whoever waits to write himself.
    turn_over: Cell<Option<Rc<Event>>>,
    /// Where in the output the chunk begins that is being filled, if one is. What is written ends
    /// it, so that nothing is held back.
    chunk: Cell<Option<usize>>,
    /// Calls of the handler that failed at once, because the client is gone or the body at its end.
    pub(crate) vain_calls: Cell<u32>,
    /// The other protocol's, once it is that.
    pub(crate) protocol: OnceCell<Rc<Protocol>>,
    pub(crate) held: HeldForRequest,
    /// Bytes that have left.
    written: Cell<u64>,
    /// The output leaves if the fiber waits, which is arranged for once at a time.
    leaves_before_park: Cell<bool>,
    /// Boxed: where an unsized field begins would have to be computed at each access.
    pub(crate) transport: Box<dyn Transport>,
}

/// Why a connection is not to rest any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestEnd {
    /// It took too long.
    Expired,
    /// A newcomer needs the place.
    Evicted,
}

/// `Expect: 100-continue`, for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// The body comes by itself, or the client was told to go on.
    None,
    /// The body comes once somebody wants it.
    Waiting,
    /// The response is on its way; nobody can say whether the body comes.
    Declined,
}

impl Link {
    pub(crate) fn new(peer: Peer, host: Rc<Host>, transport: impl Transport) -> Self {
        let (timeouts, now) = (host.timeouts, now());
        let held = HeldForRequest::new(&host.memory);
        Self {
            begun: Cell::new(now),
            unsent: Cell::new((now, 0)),
            answer: Cell::new((0, u64::MAX)),
            peer,
            host,
            expectation: Cell::new(Expectation::None),
            requests: Cell::new(0),
            is_logged: Cell::new(false),
            is_in_flight: Cell::new(false),
            rests_since: Cell::new(0),
            rest_end: Cell::new(None),
            gap: Cell::new(Gap::default()),
            lease: Lease::new(),
            handler_timeout: Cell::new(timeouts.handler),
            waiting: Cell::new(0),
            awaits_client: Cell::new(false),
            reads: Meter::new(timeouts.body),
            kept_credit: Cell::new(None),
            writes: Meter::new(timeouts.write),
            sent: Cell::new(0),
            taken: Cell::new(0),
            timeout: Cell::new(None),
            is_gone: Cell::new(false),
            watch: Cell::new(None),
            output: RefCell::default(),
            is_being_written: Cell::new(false),
            turn_over: Cell::new(None),
            chunk: Cell::new(None),
            vain_calls: Cell::new(0),
            protocol: OnceCell::new(),
            held,
            written: Cell::new(0),
            leaves_before_park: Cell::new(false),
            transport: Box::new(transport),
        }
    }

    /// A request goes to its handler.
    #[inline]
    pub(crate) fn begin_request(&self) {
        self.host.counters().requests.bump();
        self.host.counters().in_flight.bump();
        self.is_in_flight.set(true);
        self.is_logged.set(false);
        self.is_gone.set(false);
        self.timeout.set(None);
        self.begun.set(now());
    }

    /// Its body is to come, of a head of that many bytes.
    pub(crate) fn begin_body(&self, head_bytes: usize) {
        let credit = self.kept_credit.take().unwrap_or(self.reads.credit());
        self.reads.go_on(self.host.timeouts.body, credit);
        // A head is worth as much as a body, or small ones would use the credit up.
        self.reads.moved(head_bytes);
        self.vain_calls.set(0);
    }

    /// The body at hand has a pace of its own.
    pub(crate) fn set_body_pace(&self, pace: Pace) {
        self.kept_credit.set(self.kept_credit.get().or(Some(self.reads.credit())));
        self.reads.restart(pace);
    }

    /// It is over, if one was in flight: answered, or never to be.
    #[inline]
    pub(crate) fn end_request(&self, is_answered: bool) {
        if self.is_in_flight.replace(false) {
            self.held.release();
            let counters = self.host.counters();
            counters.in_flight.lower();
            if is_answered {
                counters.answered.bump();
                self.note_answer();
            } else {
                counters.unanswered.bump();
            }
        }
    }

    /// A handler is about to have so many bytes more of its request's body in memory; false if the
    /// server has no room for them, which is counted and told.
    #[must_use]
    pub(crate) fn try_hold(&self, bytes: usize) -> bool {
        let fits = self.held.try_add_to_body(bytes);
        if !fits {
            self.host.note_short_of_memory(&self.peer);
        }
        fits
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.is_in_flight.get()
    }

    /// For a request that never was one.
    pub(crate) fn restart_clock(&self) {
        self.begun.set(now());
    }

    /// In which sweep of its shard the connection began to rest; `None` while it works.
    pub(crate) fn rests_since(&self) -> Option<u32> {
        Some(self.rests_since.get()).filter(|&since| since != 0)
    }

    /// Its rest is to end, and the connection with it. Its fiber has to be woken for that.
    pub(crate) fn end_rest(&self, why: RestEnd) {
        self.rest_end.set(Some(why));
    }

    /// Why its rest is to end, if it is.
    pub(crate) fn rest_end(&self) -> Option<RestEnd> {
        self.rest_end.get()
    }

    /// Whether no request has come yet.
    pub(crate) fn is_new(&self) -> bool {
        self.requests.get() == 0
    }

    /// The other protocol's, once it is that.
    pub(crate) fn protocol(&self) -> Option<&Rc<Protocol>> {
        self.protocol.get()
    }

    /// Its handler's time, or that of another protocol, is over.
    pub(crate) fn end_handler(&self) {
        self.lease.end();
    }

    /// Of a connection that came a moment ago: until when its first request is waited for, though
    /// the server ends. It has been on its way since the client connected.
    pub(crate) fn first_request_until(&self) -> Option<Instant> {
        let until = self.begun.get() + FIRST_REQUEST_TIME;
        (self.requests.get() == 0 && until > now()).then_some(until)
    }

    /// How long the request at hand has taken.
    pub(crate) fn request_time(&self) -> Duration {
        clock().saturating_duration_since(self.begun.get())
    }

    /// A response is made, and has left or waits for others.
    #[inline]
    fn note_answer(&self) {
        let (since, count) = self.unsent.get();
        self.unsent.set((if count == 0 { self.begun.get() } else { since }, count + 1));
        if self.output.borrow().is_empty() {
            self.note_sent();
        }
    }

    /// All that was made has left.
    #[inline]
    fn note_sent(&self) {
        let (since, count) = self.unsent.get();
        if count > 0 {
            self.unsent.set((since, 0));
            self.host.record_latency(since, count.into());
        }
    }

    /// A response begins, and will be sent.
    #[inline]
    pub(crate) fn begin_response(&self, status: StatusCode) {
        self.host.counters().respond(status);
        self.propose_response(status);
    }

    /// A response begins, and may be taken back; whoever sends it counts it.
    #[inline]
    pub(crate) fn propose_response(&self, status: StatusCode) {
        self.answer.set((status.as_u16(), u64::MAX));
    }

    /// Its head is in the output, which is that long now.
    #[inline]
    pub(crate) fn end_response_head(&self, output_bytes: usize) {
        let (status, _) = self.answer.get();
        self.answer.set((status, self.written.get() + output_bytes as u64));
    }

    pub(crate) fn output(&self) -> RefMut<'_, Vec<u8>> {
        self.output.borrow_mut()
    }

    /// Whether [`flush_before_park`](Self::flush_before_park) still has to be arranged for; it is
    /// from now on.
    pub(crate) fn arrange_flush(&self) -> bool {
        !self.leaves_before_park.replace(true)
    }

    /// How many bytes the client has been sent, those that wait included.
    pub(crate) fn position(&self) -> u64 {
        self.written.get() + self.output.borrow().len() as u64
    }

    /// Takes back what was put into the output since it was at that position, if nothing of it has
    /// left.
    pub(crate) fn take_back(&self, position: u64) -> bool {
        let Some(kept) = position.checked_sub(self.written.get()) else {
            return false;
        };
        self.chunk.set(None);
        self.output.borrow_mut().truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        true
    }

    /// Puts data of a chunked body into the output.
    pub(crate) fn fill_chunk(&self, data: &[u8]) {
        let mut output = self.output.borrow_mut();
        if self.chunk.get().is_none() {
            let before = output.len();
            self.chunk.set(Some(begin_chunk(&mut output)));
            self.note_framing(output.len() - before);
        }
        output.extend_from_slice(data);
    }

    /// Ends the chunk that is being filled, if one is.
    #[inline]
    pub(crate) fn end_chunk(&self, output: &mut Vec<u8>) {
        if let Some(start) = self.chunk.take() {
            let before = output.len();
            end_chunk(output, start);
            // The size line may have become shorter than the room for it.
            self.note_framing(output.len().wrapping_sub(before));
        }
    }

    /// So many bytes of the output are no data of the body.
    pub(crate) fn note_framing(&self, bytes: usize) {
        self.answer.update(|(status, body_at)| (status, body_at.wrapping_add(bytes as u64)));
    }

    /// A call of the handler has failed, and so will the next: a loop that does not look at its
    /// errors would keep the thread. It gives way now and then, and does not come back in the end.
    ///
    /// A yield point.
    #[cold]
    pub(crate) fn note_vain_call(&self, is_client_gone: bool) {
        self.vain_calls.update(|count| count.saturating_add(1));
        if self.vain_calls.get() < VAIN_CALLS_MAX {
            return checkpoint();
        }
        if is_client_gone {
            self.is_gone.set(true);
        }
        self.lease.end();
        yield_now();
    }

    /// The handler has not come to a standstill: its time begins anew. That it spends with waiting
    /// for its client is not counted, whichever of its fibers does that.
    pub(crate) fn comes_on(&self) {
        if self.waiting.get() == 0 {
            self.lease.renew(self.handler_time());
        }
    }

    /// What the handler has until it is to write again, or to wait for its client.
    pub(crate) fn handler_time(&self) -> Duration {
        // The lease of one whose client has gone is over, and stays so.
        if self.is_gone.get() { Duration::ZERO } else { self.handler_timeout.get() }
    }

    /// Writes everything out, waiting as long as the client may take.
    ///
    /// A yield point.
    pub(crate) fn flush(&self) -> io::Result<()> {
        if self.output.borrow().is_empty() { Ok(()) } else { self.write_out(&[]) }
    }

    /// As [`flush`](Self::flush), unless another fiber of the handler is at it: what is there will
    /// leave then.
    ///
    /// A yield point.
    pub(crate) fn flush_or_leave(&self) -> io::Result<()> {
        if self.is_being_written.get() { Ok(()) } else { self.flush() }
    }

    /// Writes everything out and then `body`, together and without copying it. If that fails or is
    /// unwound, some of the body may have left. Nobody may add to the output meanwhile.
    ///
    /// A yield point.
    pub(crate) fn flush_with(&self, body: &[u8]) -> io::Result<()> {
        self.write_out(body)
    }

    fn write_out(&self, body: &[u8]) -> io::Result<()> {
        let mut turn = self.take_turn()?;
        while turn.written < self.output.borrow().len() + body.len() {
            let written = turn.written;
            let count = self.write(|transport| {
                let output = &mut *self.output.borrow_mut();
                self.end_chunk(output);
                let rest = output.get(written..).unwrap_or_default();
                match &body[written.saturating_sub(output.len())..] {
                    [] => transport.try_write(rest),
                    body => transport.try_write_vectored(&[IoSlice::new(rest), IoSlice::new(body)]),
                }
            })?;
            if count == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            turn.written += count;
        }
        drop(turn);
        self.note_sent();
        Ok(())
    }

    /// The connection's fiber was given up: its client is not to wait for it.
    pub(crate) fn lose(&self) {
        self.unwatch();
        self.await_client_no_more();
        self.end_request(false);
        self.transport.reset();
    }

    pub(crate) fn await_client_no_more(&self) {
        if self.awaits_client.replace(false) {
            self.host.counters().awaiting_client.lower();
        }
    }

    /// Waits until no other fiber writes.
    fn take_turn(&self) -> io::Result<Turn<'_>> {
        while self.is_being_written.get() {
            let over = self.turn_over.take().unwrap_or_default();
            self.turn_over.set(Some(Rc::clone(&over)));
            over.wait()?;
        }
        self.is_being_written.set(true);
        Ok(Turn { link: self, written: 0 })
    }

    /// Writes some of a file; 0 if it has nothing there.
    ///
    /// A yield point.
    pub(crate) fn send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        let count = self.write(|transport| transport.try_send_file(file, offset, count))?;
        self.note_written(count);
        Ok(count)
    }

    /// Reads at least one byte of a request's body, waiting for it; 0 is the end of the stream.
    ///
    /// A yield point.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // Before anything is read: it may raise, and what was read would be lost.
        checkpoint();
        loop {
            if self.transport.is_drained() {
                self.wait_for_body()?;
            }
            match self.transport.try_read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for_body()?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => {
                    return result.inspect(|&count| {
                        self.reads.moved(count);
                        self.host.counters().bytes_read.add(count as u64);
                    });
                }
            }
        }
    }

    /// Tries to write until some of it has left.
    #[inline]
    fn write(
        &self,
        mut write: impl FnMut(&dyn Transport) -> io::Result<usize>,
    ) -> io::Result<usize> {
        // Before anything is written: it may raise, and the count would be lost.
        checkpoint();
        loop {
            match write(&*self.transport) {
                Ok(count) => {
                    self.sent.set(self.sent.get() + count as u64);
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for_room()?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Bytes have left that were never in the output.
    pub(crate) fn note_written(&self, count: usize) {
        self.host.counters().bytes_written.add(count as u64);
        self.written.set(self.written.get() + count as u64);
    }

    /// What happens when a handler waits: its predecessors' responses leave, and what is there of
    /// its own. An error shows again at the next write.
    pub(crate) fn flush_before_park(&self) {
        self.leaves_before_park.set(false);
        let _ = self.flush_or_leave();
    }
}

/// Output on its way; what was written goes when this is dropped. A handler's deadline may end a
/// write, and what has left must not leave again.
struct Turn<'l> {
    link: &'l Link,
    /// Of the output, and then of what follows it.
    written: usize,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut output = self.link.output.borrow_mut();
        let gone = self.written.min(output.len());
        output.drain(..gone);
        // One that was begun behind what has left.
        self.link.chunk.update(|chunk| chunk.map(|start| start - gone));
        self.link.note_written(self.written);
        self.link.is_being_written.set(false);
        if let Some(over) = self.link.turn_over.take() {
            over.set();
        }
    }
}

/// How many calls of one request may fail at once. Arbitrary: honest code stops at the first,
/// and code that logs each and goes on to the next piece has had its say.
const VAIN_CALLS_MAX: u32 = 1_000;

/// How long a server that ends waits for the first request of a connection, from its accept on.
/// Arbitrary: some slow round trips.
const FIRST_REQUEST_TIME: Duration = Duration::from_secs(1);

/// Pipelined responses leave when they come to this much, at the latest.
pub(crate) const OUTPUT_BYTES_MAX: usize = 64 * 1024;
