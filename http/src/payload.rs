//! The body of a response: in memory, or produced after the handler has returned.

use std::fs::File;
use std::io;

use bytes::Bytes;

use crate::request::Request;
use crate::wire::{BodyWriter, Upgraded};

/// A response's body.
pub(crate) enum Payload {
    Static(&'static [u8]),
    Owned(Vec<u8>),
    Shared(Bytes),
    /// Not in memory.
    Streamed(Box<Streamed>),
}

/// A body that is sent piece by piece once the handler has returned.
pub(crate) enum Streamed {
    /// A function that writes the body, and the length if it is known.
    Writer(Option<u64>, Box<WriteBody>),
    /// The first bytes of a file, and how many.
    File(u64, File),
    /// No body: the connection switches to another protocol.
    Upgrade(Box<RunProtocol>),
}

/// Writes a body; it also gets the request.
pub(crate) type WriteBody = dyn FnOnce(&mut Request, &mut BodyWriter) -> io::Result<()>;

/// Runs another protocol.
pub(crate) type RunProtocol = dyn FnOnce(Upgraded) -> io::Result<()>;

impl Payload {
    /// The body's bytes; empty if the body is not in memory.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
            Self::Streamed(_) => &[],
        }
    }

    /// How many bytes of memory the body owns, which are freed with it.
    pub(crate) fn owned_bytes(&self) -> usize {
        match self {
            Self::Owned(bytes) => bytes.capacity(),
            Self::Shared(bytes) if bytes.is_unique() => bytes.len(),
            _ => 0,
        }
    }

    /// The body's length, if it has a body and the length is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Streamed(streamed) => streamed.length(),
            _ => Some(self.bytes().len() as u64),
        }
    }

    #[inline]
    pub(crate) fn is_streamed(&self) -> bool {
        matches!(self, Self::Streamed(_))
    }
}

impl Streamed {
    /// The body's length, if it is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Writer(length, _) => *length,
            Self::File(length, _) => Some(*length),
            Self::Upgrade(_) => None,
        }
    }
}
