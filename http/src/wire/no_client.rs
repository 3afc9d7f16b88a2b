//! The transport of a link without a client: nothing is received, and what is written is lost.

use std::io;

use straightline_net::Transport;
use straightline_sched::Interest;
use straightline_sched::sync::Ready;

/// Takes no memory, also in a box.
pub(super) struct NoClient;

impl Transport for NoClient {
    fn try_read(&self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn arm(&self, _: Interest) -> io::Result<bool> {
        Ok(true)
    }

    fn ready(&self, _: Interest) -> Ready<'_> {
        Ready::now()
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }
}
