//! What a server tells its application of faults.

use std::io;

use super::address::Peer;
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
    /// A request was refused; the client was told so if it still listens.
    fn refused(&self, peer: &Peer, refusal: Refusal) {
        let _ = (peer, refusal);
    }

    /// A handler panicked.
    fn handler_panicked(&self, peer: &Peer, message: &str) {
        let _ = (peer, message);
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
}

/// Nobody is told.
#[derive(Debug)]
pub(super) struct NoHooks;

impl Hooks for NoHooks {}
