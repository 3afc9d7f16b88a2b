//! The stream of a connection.
//!
//! Nearly every connection is TCP, and a request makes five calls of its stream. So a TCP stream is
//! called directly, and every other stream through its table of functions. Code off the hot path
//! sees a [`Transport`], whichever it is.

use std::any::Any;
use std::io;
use std::ops::Deref;

use straightline_net::{TcpStream, Transport};
use straightline_sched::Interest;

/// The stream of a connection.
pub(crate) enum ClientStream {
    Tcp(TcpStream),
    Other(Box<dyn Transport>),
}

impl ClientStream {
    pub(crate) fn new(stream: impl Transport) -> Self {
        let mut stream = Some(stream);
        let as_tcp = (&mut stream as &mut dyn Any).downcast_mut::<Option<TcpStream>>();
        match (as_tcp.and_then(Option::take), stream) {
            (Some(stream), _) => Self::Tcp(stream),
            (None, Some(stream)) => Self::Other(Box::new(stream)),
            (None, None) => unreachable!("only a TCP stream is taken out"),
        }
    }

    #[inline]
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
            Self::Other(stream) => stream.try_read(buffer),
        }
    }

    #[inline]
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Other(stream) => stream.try_write(bytes),
        }
    }

    #[inline]
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        match self {
            Self::Tcp(_) => Ok(()), // it has no buffer
            Self::Other(stream) => stream.try_flush(),
        }
    }

    #[inline]
    pub(crate) fn is_drained(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_drained(),
            Self::Other(stream) => stream.is_drained(),
        }
    }

    #[inline]
    pub(crate) fn arm(&self, interest: Interest) -> io::Result<bool> {
        match self {
            Self::Tcp(stream) => stream.arm(interest),
            Self::Other(stream) => stream.arm(interest),
        }
    }
}

impl Deref for ClientStream {
    type Target = dyn Transport;

    #[inline]
    fn deref(&self) -> &Self::Target {
        match self {
            Self::Tcp(stream) => stream,
            Self::Other(stream) => &**stream,
        }
    }
}
