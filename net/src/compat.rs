//! Streams under the asynchronous traits, for crates that are written against those traits.
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
use std::rc::Rc;
use std::task::{Context, Poll};

use straightline_sched::{Interest, ShardBound};

use crate::socket::{recv, send, send_vectored};
use crate::{MemoryStream, TcpStream, UnixStream};

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

/// A stream that can be polled, under an [`AsyncStream`]: the sockets of this crate,
/// [`MemoryStream`], `straightline::Upgraded`, and references to them. In a [`ShardBound`] it is
/// `Send` and `Sync` for crates that ask for that. A stream of your own implements it as well.
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
///
/// ```
/// use std::io::{self, IoSlice};
/// use std::task::{Context, Poll};
/// use straightline_net::UnixStream;
/// use straightline_net::compat::Stream;
///
/// /// A stream that counts what is read.
/// struct Counting(UnixStream, std::cell::Cell<u64>);
///
/// impl Stream for Counting {
///     fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
///         let read = Stream::poll_read(&self.0, cx, buffer);
///         read.map_ok(|count| {
///             self.1.set(self.1.get() + count as u64);
///             count
///         })
///     }
///
///     fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
///         Stream::poll_write(&self.0, cx, bytes)
///     }
///
///     fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
///         Stream::poll_shutdown(&self.0, cx)
///     }
/// }
/// ```
pub trait Stream {
    /// Reads, or arranges that the task is woken when it can. Of several tasks that poll, the last
    /// one is woken.
    ///
    /// # Errors
    ///
    /// The stream's error, but neither `WouldBlock` nor `Interrupted`.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes, or arranges that the task is woken when it can.
    ///
    /// # Errors
    ///
    /// As [`poll_read`](Self::poll_read).
    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// As [`poll_write`](Self::poll_write), from several slices; by default from the first that is
    /// not empty.
    ///
    /// # Errors
    ///
    /// As [`poll_read`](Self::poll_read).
    fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = buffers.iter().find(|buffer| !buffer.is_empty());
        self.poll_write(cx, first.map_or(&[], |buffer| buffer))
    }

    /// Sends what was written and not sent; by default there is nothing.
    ///
    /// # Errors
    ///
    /// As [`poll_read`](Self::poll_read).
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Tells the peer that nothing more will be written. Succeeds if the peer was quicker.
    ///
    /// # Errors
    ///
    /// As [`poll_read`](Self::poll_read).
    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

macro_rules! impl_socket {
    ($stream:ty) => {
        impl Stream for $stream {
            fn poll_read(
                &self,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.io.poll_read(cx, buffer.len(), |stream| recv(stream, buffer))
            }

            fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                self.io.poll_write(cx, |stream| send(stream, bytes))
            }

            fn poll_write_vectored(
                &self,
                cx: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.io.poll_write(cx, |stream| send_vectored(stream, buffers))
            }

            fn poll_shutdown(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(match self.shutdown(Shutdown::Write) {
                    // The peer was quicker, and has closed both directions.
                    Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
                    result => result,
                })
            }
        }
    };
}

impl_socket!(TcpStream);
impl_socket!(UnixStream);

/// On another shard each call is an error.
impl<S: Stream + 'static> Stream for ShardBound<S> {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.try_get()?.poll_read(cx, buffer)
    }

    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.try_get()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.try_get()?.poll_write_vectored(cx, buffers)
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.try_get()?.poll_flush(cx)
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.try_get()?.poll_shutdown(cx)
    }
}

impl Stream for MemoryStream {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_io(Interest::Read, cx, || self.try_read(buffer))
    }

    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_io(Interest::Write, cx, || self.try_write(bytes))
    }

    fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_io(Interest::Write, cx, || self.try_write_vectored(buffers))
    }

    fn poll_shutdown(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }
}

macro_rules! impl_pointer {
    ($pointer:ty) => {
        impl<S: Stream + ?Sized> Stream for $pointer {
            fn poll_read(
                &self,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                (**self).poll_read(cx, buffer)
            }

            fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                (**self).poll_write(cx, bytes)
            }

            fn poll_write_vectored(
                &self,
                cx: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                (**self).poll_write_vectored(cx, buffers)
            }

            fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_flush(cx)
            }

            fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_shutdown(cx)
            }
        }
    };
}

impl_pointer!(&S);
impl_pointer!(Rc<S>);

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
            .poll_read(cx, buffer.initialize_unfilled())
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
        self.stream.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_shutdown(cx)
    }
}

#[cfg(feature = "futures-io")]
impl<S: Stream> futures_io::AsyncRead for AsyncStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_read(cx, buffer)
    }
}

#[cfg(feature = "futures-io")]
impl<S: Stream> futures_io::AsyncWrite for AsyncStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_write_vectored(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_shutdown(cx)
    }
}
