//! Noticing that a client has gone while its handler works.
//!
//! Nobody reads from the connection then, so a fiber of its own waits for what happens there: one
//! without a stack, as it hardly ever runs. When the client is gone it ends the handler's lease.
//!
//! What this fiber takes of the driver's news about the stream, the connection's own fiber does not
//! get any more; it is not misled, because to arm a stream makes the next read of it try first.

use std::ops::ControlFlow;

use straightline_sched::{JoinHandle, spawn_episodes, wake_later};

use super::transport::Transport;

/// What watches a client, until this is dropped.
pub(super) struct Watch(JoinHandle<()>);

impl Watch {
    /// Has `gone` called when the client of that stream has gone.
    pub(super) fn start<S: 'static>(
        stream: S,
        transport: fn(&S) -> &dyn Transport,
        gone: fn(&S),
    ) -> Self {
        Self(spawn_episodes(move || {
            let transport = transport(&stream);
            if transport.is_peer_gone() {
                gone(&stream);
                return ControlFlow::Break(());
            }
            match transport.arm_readable() {
                Ok(true) => {}
                Ok(false) => wake_later(),
                // The connection's own fiber will find out what is wrong.
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
