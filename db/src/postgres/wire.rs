//! A stream of ours under tokio's traits, as `tokio-postgres` asks for it.
//!
//! It is the adapter of `straightline_net::compat` for any [`Transport`], and it is a type of this
//! crate because it has to implement a trait of `tokio-postgres`. The stream below is a socket, or
//! TLS over one: the box keeps one type for both.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use straightline_net::Transport;
use straightline_sched::{Interest, poll_checkpoint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

pub(super) struct Wire {
    stream: Box<dyn Transport>,
}

impl Wire {
    pub(super) fn new(stream: impl Transport) -> Self {
        Self { stream: Box::new(stream) }
    }

    #[cfg(feature = "tls")]
    pub(super) fn into_stream(self) -> Box<dyn Transport> {
        self.stream
    }

    /// Repeats `attempt` until it need not wait, or arranges that the task is woken.
    fn poll<T>(
        &self,
        interest: Interest,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&(dyn Transport + 'static)) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        ready!(poll_checkpoint(cx));
        loop {
            match attempt(&*self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_ready(interest, cx))?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.initialize_unfilled();
        let read = ready!(self.poll(Interest::Read, cx, |stream| stream.try_read(room)))?;
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(Interest::Write, cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(Interest::Write, cx, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(Interest::Write, cx, Transport::try_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(Interest::Write, cx, |stream| match stream.shutdown_write() {
            // The server was quicker, and has closed both directions.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            result => result,
        })
    }
}

impl TlsStream for Wire {
    /// The certificate of the server is checked, which is what a binding of the channel is for.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}
