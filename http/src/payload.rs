//! What a response carries behind its head.

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

/// What is sent piece by piece once the handler has returned.
pub(crate) enum Streamed {
    /// Of that length, if it is known.
    Writer(Option<u64>, Box<WriteBody>),
    /// So many bytes of it.
    File(u64, File),
    /// No body: the connection is another protocol's from here on.
    Upgrade(Box<RunProtocol>),
}

/// Writes a body, with the request at hand.
pub(crate) type WriteBody = dyn FnOnce(&mut Request, &mut BodyWriter) -> io::Result<()>;

/// Speaks another protocol.
pub(crate) type RunProtocol = dyn FnOnce(Upgraded) -> io::Result<()>;

impl Payload {
    /// The body in memory; empty if it is not there.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
            Self::Streamed(_) => &[],
        }
    }

    /// How many bytes of memory are its own, and go with it.
    pub(crate) fn owned_bytes(&self) -> usize {
        match self {
            Self::Owned(bytes) => bytes.capacity(),
            Self::Shared(bytes) if bytes.is_unique() => bytes.len(),
            _ => 0,
        }
    }

    /// Its length, if it has one that is known.
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
    /// Its length, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Writer(length, _) => *length,
            Self::File(length, _) => Some(*length),
            Self::Upgrade(_) => None,
        }
    }
}
