//! Serves a stream that the program gives, instead of a listener.
//!
//! The connection is one of the shard's like any other, with a fiber of its own. So it holds no
//! stack while it is idle, and limits, timeouts, drains and counters hold for it. The caller's
//! fiber only waits for its end.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use straightline_net::Transport;
use straightline_sched::{Fiber, JoinHandle};

use super::accept::{admit, wait_for_room};
use super::beginning::Beginning;
use super::state::ShardState;
use crate::config::{OverloadPolicy, Peer};
use crate::control::ConnectionEnd;

/// Serves a stream until its connection is over.
pub(super) fn serve_stream(
    state: &Rc<ShardState>,
    stream: Box<dyn Transport>,
    peer: Peer,
) -> ConnectionEnd {
    if state.host.capacity.overload_policy == OverloadPolicy::Queue {
        wait_for_room(state);
    }
    if state.slot.has_ended() {
        return ConnectionEnd::Unserved;
    }
    let result = Rc::new(Cell::new(None));
    match admit(stream, peer, state, Beginning::given, Some(Rc::clone(&result))) {
        Ok(fiber) => await_end(state, fiber, &result),
        Err(full) => ConnectionEnd::Rejected(full),
    }
}

fn await_end(
    state: &ShardState,
    fiber: JoinHandle<()>,
    result: &Cell<Option<io::Result<()>>>,
) -> ConnectionEnd {
    // If the caller unwinds from the wait, its connection ends too.
    let connection = CancelOnDrop(fiber.fiber());
    match fiber.join() {
        Ok(()) => match result.take() {
            Some(Err(error)) => ConnectionEnd::Failed(error),
            _ => ConnectionEnd::Closed,
        },
        Err(error) if error.is_cancelled() => ConnectionEnd::ForceClosed,
        Err(error) => {
            state.lose(connection.0.number());
            ConnectionEnd::Failed(io::Error::other(error))
        }
    }
}

/// Cancels a fiber, which does nothing if the fiber has ended.
pub(super) struct CancelOnDrop(pub(super) Fiber);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
