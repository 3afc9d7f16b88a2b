//! Waiting for the client: how long, and what it is to blame for.
//!
//! A wait for the rest of a body ends when something comes. One for room to write cannot rely on
//! that: the system tells of room when a good part of its buffer is free, which takes a slow client
//! long. So it is looked now and then whether the client takes anything.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use straightline_sched::{Interest, clock};

use super::link::Link;
use super::meter::{Meter, Slow};
use crate::config::Timeout;

impl Link {
    /// A wait that the client is responsible for: it counts against the client's pace and not
    /// against the handler's time.
    #[cold]
    pub(crate) fn wait_for_body(&self) -> io::Result<()> {
        let waiting = Waiting::begin(self, &self.reads);
        let (until, slow) = self.reads.patience(waiting.since, Duration::ZERO);
        let in_time = self.transport.wait_until(Interest::Read, until)?;
        waiting.end(in_time, until);
        match slow {
            _ if in_time => Ok(()),
            Slow::Idle => self.is_too_slow(Timeout::Body),
            Slow::Rate => self.is_too_slow(Timeout::BodyRate),
        }
    }

    /// As [`wait_for_body`](Self::wait_for_body), for room to write.
    #[cold]
    pub(crate) fn wait_for_room(&self) -> io::Result<()> {
        let _held = self.held.while_unsent(self.output().capacity());
        self.note_taken();
        let mut idle_since = clock();
        loop {
            let waiting = Waiting::begin(self, &self.writes);
            let idle_for = waiting.since.saturating_duration_since(idle_since);
            let (until, slow) = self.writes.patience(waiting.since, idle_for);
            let look_at = self.writes.look_at(waiting.since);
            let at = until.into_iter().chain(look_at).min();
            let in_time = self.transport.wait_until(Interest::Write, at)?;
            waiting.end(in_time, until);
            if in_time {
                return Ok(());
            }
            if self.note_taken() {
                idle_since = clock();
            } else if until.is_some_and(|until| until <= clock()) {
                return match slow {
                    Slow::Idle => self.is_too_slow(Timeout::Write),
                    Slow::Rate => self.is_too_slow(Timeout::WriteRate),
                };
            }
        }
    }

    /// Credits the client with what it has taken since the last look, if that is anything.
    fn note_taken(&self) -> bool {
        let unacknowledged = self.transport.unacknowledged().unwrap_or(0);
        let taken = self.sent.get().saturating_sub(unacknowledged);
        // A Unix socket also counts what its buffers take, and so this may go back.
        let more = taken.saturating_sub(self.taken.replace(taken));
        self.writes.moved(usize::try_from(more).unwrap_or(usize::MAX));
        more > 0
    }

    fn is_too_slow(&self, timeout: Timeout) -> io::Result<()> {
        self.timeout.set(Some(timeout));
        Err(io::Error::new(ErrorKind::TimedOut, timeout))
    }
}

/// A wait for the client, however it ends.
struct Waiting<'l> {
    link: &'l Link,
    meter: &'l Meter,
    since: Instant,
    /// The request holds no place meanwhile, see [`Capacity::in_flight`](crate::Capacity).
    is_counted: bool,
}

impl<'l> Waiting<'l> {
    fn begin(link: &'l Link, meter: &'l Meter) -> Self {
        link.waiting.update(|count| count + 1);
        if !link.is_gone.get() {
            link.lease.renew(Duration::MAX);
        }
        let is_counted = link.is_in_flight() && link.waiting.get() == 1;
        if is_counted {
            link.awaits_client.set(true);
            link.host.counters().awaiting_client.bump();
        }
        Self { link, meter, since: clock(), is_counted }
    }

    /// The wait was to last until then at the most, and it was the client that ended it, or not.
    fn end(mut self, in_time: bool, until: Option<Instant>) {
        let now = clock();
        if in_time && until.is_some_and(|until| until <= now) {
            // The server did not look: nobody knows how long the client took.
            self.since = now;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.meter.waited(clock().saturating_duration_since(self.since));
        self.link.waiting.update(|count| count - 1);
        if self.is_counted {
            self.link.await_client_no_more();
        }
        self.link.comes_on();
    }
}
