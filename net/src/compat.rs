//! The streams under the asynchronous traits, for crates that are written against those traits.
//!
//! Features: `tokio-io` (`tokio::io`'s traits; no runtime comes with them) and `futures-io`.
//!
//! [`block_on`](straightline_sched::block_on) runs such a crate on a fiber. Where a stream would
//! block, the poll leaves the *task's* waker with the shard, and not the fiber: a future that
//! `join!` or `FuturesUnordered` polls is polled again only if its own waker is called. No poll
//! waits, so a lock that the caller holds around the poll (`tokio::io::split` has one) does no
//! harm.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use straightline_sched::ShardBound;

use crate::socket::{recv, send, send_vectored};
use crate::{TcpStream, UnixStream};

/// A stream that is polled: `AsyncRead` and `AsyncWrite` of tokio (feature `tokio-io`) and of
/// futures-io (feature `futures-io`).
///
/// Different tasks may poll reading and writing. Of several tasks that poll the same direction, the
/// last one is woken. A stream that is always ready returns `Pending` now and then, so that other
/// fibers run. The stream's timeouts do not apply; the fiber's deadline does.
///
/// # Blocking
///
/// No poll waits; the [`block_on`](straightline_sched::block_on) around it does.
///
/// # Cancellation
///
/// A fiber that is cancelled or past its deadline unwinds out of `block_on` and drops the future.
/// The results of the completed polls say what was read or written.
///
/// ```
/// # #[cfg(feature = "tokio-io")] {
/// use straightline_net::UnixStream;
/// use straightline_net::compat::AsyncStream;
/// use straightline_sched as sched;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// sched::run(|| {
///     let (near, far) = UnixStream::pair()?;
///     let (mut near, mut far) = (AsyncStream::new(near), AsyncStream::new(far));
///     sched::spawn(move || sched::block_on(async move { far.write_all(b"line").await }));
///     let mut text = String::new();
///     sched::block_on(near.read_to_string(&mut text))??;
///     assert_eq!(text, "line");
///     std::io::Result::Ok(())
/// })?;
/// # }
/// # std::io::Result::Ok(())
/// ```
pub struct AsyncStream<S> {
    stream: S,
}

/// [`TcpStream`], [`UnixStream`], and each of them in a [`ShardBound`], which makes the stream
/// `Send` and `Sync` for crates that ask for that.
///
/// ```
/// # #[cfg(feature = "tokio-io")] {
/// use straightline_net::UnixStream;
/// use straightline_net::compat::AsyncStream;
/// use straightline_sched::{self as sched, ShardBound};
/// use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
///
/// /// As the connector of a client may ask for it.
/// async fn greet(mut stream: impl AsyncRead + AsyncWrite + Unpin + Send) -> std::io::Result<u8> {
///     stream.write_all(b"?").await?;
///     stream.read_u8().await
/// }
///
/// sched::run(|| {
///     let (near, far) = UnixStream::pair()?;
///     sched::spawn(move || std::io::Write::write_all(&mut &far, b"!"));
///     let near = AsyncStream::new(ShardBound::new(near));
///     assert_eq!(sched::block_on(greet(near))??, b'!');
///     std::io::Result::Ok(())
/// })?;
/// # }
/// # std::io::Result::Ok(())
/// ```
pub trait Stream: sealed::Poll {}

impl Stream for TcpStream {}

impl Stream for UnixStream {}

impl<S: Stream + 'static> Stream for ShardBound<S> {}

mod sealed {
    use super::{Context, IoSlice, io};

    /// The parts that both sets of traits share.
    pub trait Poll {
        fn poll_recv(
            &self,
            cx: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> super::Poll<io::Result<usize>>;

        fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> super::Poll<io::Result<usize>>;

        fn poll_send_vectored(
            &self,
            cx: &mut Context<'_>,
            buffers: &[IoSlice<'_>],
        ) -> super::Poll<io::Result<usize>>;

        fn end(&self) -> io::Result<()>;
    }
}

macro_rules! impl_poll {
    ($stream:ty) => {
        impl sealed::Poll for $stream {
            fn poll_recv(
                &self,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.io.poll_read(cx, buffer.len(), |stream| recv(stream, buffer))
            }

            fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                self.io.poll_write(cx, |stream| send(stream, bytes))
            }

            fn poll_send_vectored(
                &self,
                cx: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.io.poll_write(cx, |stream| send_vectored(stream, buffers))
            }

            fn end(&self) -> io::Result<()> {
                match self.shutdown(Shutdown::Write) {
                    // The peer was quicker, and has closed both directions.
                    Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
                    result => result,
                }
            }
        }
    };
}

impl_poll!(TcpStream);
impl_poll!(UnixStream);

/// On another shard each call is an error.
impl<S: Stream + 'static> sealed::Poll for ShardBound<S> {
    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.try_get()?.poll_recv(cx, buffer)
    }

    fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.try_get()?.poll_send(cx, bytes)
    }

    fn poll_send_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.try_get()?.poll_send_vectored(cx, buffers)
    }

    fn end(&self) -> io::Result<()> {
        self.try_get()?.end()
    }
}

impl<S: Stream> AsyncStream<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Self {
        Self { stream }
    }

    /// The stream itself.
    pub fn inner(&self) -> &S {
        &self.stream
    }

    /// Gives the stream back.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: fmt::Debug> fmt::Debug for AsyncStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncStream").field(&self.stream).finish()
    }
}

#[cfg(feature = "tokio-io")]
impl<S: Stream> tokio::io::AsyncRead for AsyncStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream
            .poll_recv(cx, buffer.initialize_unfilled())
            .map_ok(|count| buffer.advance(count))
    }
}

#[cfg(feature = "tokio-io")]
impl<S: Stream> tokio::io::AsyncWrite for AsyncStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_send(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_send_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.end())
    }
}

#[cfg(feature = "futures-io")]
impl<S: Stream> futures_io::AsyncRead for AsyncStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_recv(cx, buffer)
    }
}

#[cfg(feature = "futures-io")]
impl<S: Stream> futures_io::AsyncWrite for AsyncStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_send(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_send_vectored(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.end())
    }
}
