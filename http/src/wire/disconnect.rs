//! Noticing that a client has gone while its handler works.
//!
//! Nobody reads from the connection then, so a fiber of its own waits for what happens there: one
//! without a stack, as it hardly ever runs. When the client is gone it ends the handler's lease.
//!
//! What this fiber takes of the driver's news about the stream, the connection's own fiber does not
//! get any more; it is not misled, because to arm a stream makes the next read of it try first.

use std::ops::ControlFlow;
use std::rc::Rc;

use straightline_sched::{JoinHandle, spawn_episodes, wake_later};

use super::link::Link;

/// What watches a client, until this is dropped.
pub(crate) struct Watch(JoinHandle<()>);

impl Link {
    /// Has the request's handler end if the client goes away. Once for each request.
    pub(crate) fn watch(self: &Rc<Self>) {
        let watch = self.watch.take();
        let link = Rc::clone(self);
        self.watch.set(watch.or_else(|| {
            Some(Watch(spawn_episodes(move || {
                if link.transport.is_peer_gone() {
                    link.is_gone.set(true);
                    link.lease.end();
                    return ControlFlow::Break(());
                }
                match link.transport.arm_readable() {
                    Ok(true) => {}
                    Ok(false) => wake_later(),
                    // The connection's own fiber will find out what is wrong.
                    Err(_) => return ControlFlow::Break(()),
                }
                ControlFlow::Continue(())
            })))
        }));
    }

    /// The handler is done, or does not want to know.
    #[inline]
    pub(crate) fn unwatch(&self) {
        drop(self.watch.take());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
