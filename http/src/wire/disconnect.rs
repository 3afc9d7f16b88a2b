//! Notices that a client has disconnected while its handler runs.
//!
//! The connection's own fiber does not read meanwhile. So a second fiber waits for the stream's
//! events; it has no stack while it waits, as it hardly ever runs. When the client is gone, this
//! fiber ends the handler's lease.
//!
//! This fiber may consume an edge that is meant for the connection's fiber. That is safe: arming a
//! stream marks it as not drained, so the next read tries the socket before it waits.

use std::ops::ControlFlow;
use std::time::Duration;

use straightline_net::Transport;
use straightline_sched::{
    DriverKind, Interest, JoinHandle, driver_kind, sleep, spawn_stackless, wake_later,
};

/// Watches a client until this is dropped.
pub(super) struct Watch(JoinHandle<()>);

impl Watch {
    /// Calls `gone` when the client of `stream` has disconnected.
    pub(super) fn start<S: 'static>(
        stream: S,
        transport: fn(&S) -> &dyn Transport,
        gone: fn(&S),
    ) -> Self {
        let mut is_first_look = true;
        Self(spawn_stackless(move || {
            let transport = transport(&stream);
            if transport.is_peer_gone() {
                gone(&stream);
                return ControlFlow::Break(());
            }
            // The data that woke this fiber stays unread. A oneshot driver would report it again at
            // once.
            if !is_first_look && driver_kind() == Some(DriverKind::Polling) {
                sleep(LOOK_AGAIN);
            }
            is_first_look = false;
            match transport.arm(Interest::Read) {
                Ok(true) => {}
                Ok(false) => wake_later(),
                // The connection's own fiber will find the fault.
                Err(_) => return ControlFlow::Break(()),
            }
            ControlFlow::Continue(())
        }))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// How long this fiber pauses between two looks at a client that has sent more than was read.
/// Arbitrary: the handler is cancelled at most this much later, and a look costs some microseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
