//! What a server tells its application of faults.

use std::io;

use straightline_sched::Report;

use super::address::Peer;
use super::capacity::Full;
use super::shared::Phase;
use super::timeouts::Timeout;
use crate::proto::Refusal;

/// Told of every fault, as it happens; each method does nothing by default.
///
/// The calls come from the shards' threads, on the fiber that met the fault, and should be short:
/// count, send to a channel. They may not wait, and may not panic.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use straightline::{Hooks, Peer, Refusal, Request, Server};
///
/// #[derive(Default)]
/// struct Watch {
///     refused: AtomicU64,
/// }
///
/// impl Hooks for Watch {
///     fn refused(&self, peer: &Peer, refusal: Refusal) {
///         self.refused.fetch_add(1, Ordering::Relaxed);
///         eprintln!("{peer}: {:?} at byte {}", refusal.kind, refusal.offset);
///     }
/// }
///
/// let server = Server::builder().bind("127.0.0.1:0").hooks(Watch::default());
/// server.build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
pub trait Hooks: Send + Sync + 'static {
    /// A connection was accepted.
    fn connection_opened(&self, peer: &Peer) {
        let _ = peer;
    }

    /// A connection is over, whatever else was told of it.
    fn connection_closed(&self, peer: &Peer) {
        let _ = peer;
    }

    /// A connection was turned away at the door.
    fn turned_away(&self, peer: &Peer, why: Full) {
        let _ = (peer, why);
    }

    /// A request got a 503, as too many are in flight.
    fn overloaded(&self, peer: &Peer) {
        let _ = peer;
    }

    /// Some time was over. What came of it says [`Timeouts`](crate::Timeouts).
    fn timed_out(&self, peer: &Peer, timeout: Timeout) {
        let _ = (peer, timeout);
    }

    /// A handler was ended, because its time was over or its client gone.
    fn handler_cancelled(&self, peer: &Peer) {
        let _ = peer;
    }

    /// A request was refused; the client was told so if it still listens.
    fn refused(&self, peer: &Peer, refusal: Refusal) {
        let _ = (peer, refusal);
    }

    /// A handler panicked. The place is known unless the program has a panic hook that does not
    /// call the one before it.
    fn handler_panicked(&self, peer: &Peer, message: &str, place: Option<&str>) {
        let _ = (peer, message, place);
    }

    /// A handler could not complete the body of its response, or returned one that it may not.
    fn response_failed(&self, peer: &Peer, error: &io::Error) {
        let _ = (peer, error);
    }

    /// A connection broke, or the client ended it in the middle of a request.
    fn connection_failed(&self, peer: &Peer, error: &io::Error) {
        let _ = (peer, error);
    }

    /// A connection could not be accepted.
    fn accept_failed(&self, error: &io::Error) {
        let _ = error;
    }

    /// A fiber misbehaves: it keeps its thread, or goes on though it was cancelled. Called from the
    /// thread that watches the shards, or from the shard's own.
    fn reported(&self, report: &Report) {
        let _ = report;
    }

    /// A stuck shard's listeners were taken over by a new one, which is the given number of them,
    /// and its clients disconnected; or, with `None`, there may be no more of them. Called from
    /// the thread that watches the shards.
    fn shard_replaced(&self, replacement: Option<u64>) {
        let _ = replacement;
    }

    /// A stop has come this far.
    fn shutdown(&self, phase: Phase) {
        let _ = phase;
    }
}

/// Nobody is told.
#[derive(Debug)]
pub(super) struct NoHooks;

impl Hooks for NoHooks {}
