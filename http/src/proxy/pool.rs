//! The idle connections of a shard, and memory that its connections use again.
//!
//! The connection that was used last is taken first: it is the least likely to have been closed by
//! its upstream, and those that are not needed become old and are closed. Each connection of the
//! pool has nothing to be read and no request in flight.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use straightline_net::Transport;
use straightline_sched::now;

use super::connection::{INPUT_BYTES, UpstreamConnection};
use super::upstreams::Upstreams;

/// The idle connections of one shard.
pub(super) struct Pool {
    upstreams: Arc<Upstreams>,
    /// For each upstream; the one that was used last is at the back.
    idle: Vec<RefCell<VecDeque<Idle>>>,
    idle_max: usize,
    idle_time: Duration,
    buffers: RefCell<Vec<Vec<u8>>>,
    /// Memory for the head of a request.
    head: Cell<Vec<u8>>,
    /// The shard is draining: no connection is kept.
    is_closed: Cell<bool>,
    /// A fiber looks after the pool.
    is_kept: Cell<bool>,
}

struct Idle {
    stream: Box<dyn Transport>,
    since: Instant,
}

impl Pool {
    pub(super) fn new(upstreams: &Arc<Upstreams>, idle_max: usize, idle_time: Duration) -> Self {
        Self {
            idle: upstreams.all().iter().map(|_| RefCell::default()).collect(),
            upstreams: Arc::clone(upstreams),
            idle_max,
            idle_time,
            buffers: RefCell::default(),
            head: Cell::default(),
            is_closed: Cell::new(false),
            is_kept: Cell::new(false),
        }
    }

    /// An idle connection to that upstream on which nothing has arrived. Not a yield point.
    pub(super) fn take(&self, index: usize) -> Option<UpstreamConnection> {
        let now = now();
        loop {
            // The borrow ends here: to drop a stream may be code of the program.
            let idle = self.idle[index].borrow_mut().pop_back()?;
            self.upstreams.all()[index].counted.idle.fetch_sub(1, Ordering::Relaxed);
            let is_old = now.saturating_duration_since(idle.since) >= self.idle_time;
            if !is_old && is_quiet(&*idle.stream) {
                let mut connection = UpstreamConnection::new(idle.stream, self.buffer());
                connection.input.expect_nothing();
                return Some(connection);
            }
        }
    }

    /// The connection is idle from now on. Not a yield point.
    pub(super) fn put(&self, index: usize, connection: UpstreamConnection) {
        debug_assert!(connection.input.is_empty(), "bytes behind a response");
        let UpstreamConnection { stream, input } = connection;
        self.give_buffer(input.into_buffer());
        let mut idle = self.idle[index].borrow_mut();
        if self.is_closed.get() || idle.len() >= self.idle_max {
            drop(idle);
            return drop(stream);
        }
        idle.push_back(Idle { stream, since: now() });
        self.upstreams.all()[index].counted.idle.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes the connections that have been idle for too long, and those that their upstreams have
    /// closed; returns how many are left. Not a yield point.
    pub(super) fn sweep(&self) -> usize {
        let now = now();
        let mut left = 0;
        for (index, idle) in self.idle.iter().enumerate() {
            let (mut kept, mut over) = (VecDeque::new(), Vec::new());
            let all = std::mem::take(&mut *idle.borrow_mut());
            for idle in all {
                let is_old = now.saturating_duration_since(idle.since) >= self.idle_time;
                if self.is_closed.get() || is_old || idle.stream.is_peer_gone() {
                    over.push(idle);
                } else {
                    kept.push_back(idle);
                }
            }
            left += kept.len();
            *idle.borrow_mut() = kept;
            let counted = &self.upstreams.all()[index].counted;
            counted.idle.fetch_sub(over.len(), Ordering::Relaxed);
        }
        left
    }

    /// No connection is kept from now on. Not a yield point.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        self.sweep();
    }

    /// Whether the caller is to look after the pool; [`Self::leave`] says that it no longer does.
    pub(super) fn keep(&self) -> bool {
        !self.is_closed.get() && !self.is_kept.replace(true)
    }

    pub(super) fn leave(&self) {
        self.is_kept.set(false);
    }

    /// Memory of an earlier connection, or none.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps memory for another connection.
    pub(super) fn give_buffer(&self, buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() < BUFFERS_MAX && buffer.len() <= INPUT_BYTES {
            buffers.push(buffer);
        }
    }

    /// Memory for the head of a request, empty.
    pub(super) fn take_head(&self) -> Vec<u8> {
        let mut head = self.head.take();
        head.clear();
        head
    }

    /// Gives it back.
    pub(super) fn give_head(&self, head: Vec<u8>) {
        if head.capacity() <= INPUT_BYTES {
            self.head.set(head);
        }
    }

    /// A new connection over that stream.
    pub(super) fn connection(&self, stream: Box<dyn Transport>) -> UpstreamConnection {
        UpstreamConnection::new(stream, self.buffer())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether nothing has arrived on an idle connection, neither bytes nor its end. Bytes would be
/// taken for the response to the next request. Only a read can tell: of bytes behind a read that
/// filled its buffer no event comes.
fn is_quiet(stream: &dyn Transport) -> bool {
    let read = stream.try_read(&mut [0]);
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// How many buffers a shard keeps. Arbitrary: 2 MiB.
const BUFFERS_MAX: usize = 64;
