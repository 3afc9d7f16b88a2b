//! A stream that begins with a header of the PROXY protocol: it takes the header off, and is the
//! stream behind it from then on.
//!
//! The header comes before everything else, also before the handshake of TLS. So this stream stands
//! directly over the socket, and TLS over this stream: whatever reads first, reads the header. The
//! stream holds a buffer only while the header is not complete, or bytes behind it are unread.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use straightline_net::{StreamSet, Transport};
use straightline_sched::sync::Ready;
use straightline_sched::{Interest, now};

use super::connection_peer::ProxiedPeer;
use crate::proto::{PROXY_HEADER_BYTES_MAX, ProxyHeader, ProxyHeaderError};

/// A stream behind a header.
pub(crate) struct ProxiedStream<S> {
    stream: S,
    peer: Rc<ProxiedPeer>,
    /// How long the header may take.
    timeout: Duration,
    is_header_read: Cell<bool>,
    /// The beginning of the header, or the bytes behind it that have not been read.
    received: RefCell<Vec<u8>>,
}

impl<S: Transport> ProxiedStream<S> {
    pub(crate) fn new(stream: S, peer: Rc<ProxiedPeer>, timeout: Duration) -> Self {
        let (is_header_read, received) = (Cell::new(false), RefCell::default());
        Self { stream, peer, timeout, is_header_read, received }
    }

    /// Whether bytes behind the header are there to be read.
    fn has_unread(&self) -> bool {
        self.is_header_read.get() && !self.received.borrow().is_empty()
    }

    /// Reads the header; `WouldBlock` until it is complete. False if the proxy has closed the
    /// connection and sent nothing.
    #[cold]
    fn read_header(&self) -> io::Result<bool> {
        if let Some(fault) = self.peer.fault() {
            return Err(io::Error::new(ErrorKind::InvalidData, fault));
        }
        let mut received = self.received.borrow_mut();
        loop {
            match ProxyHeader::parse(&received) {
                Ok(Some(header)) => {
                    received.drain(..header.length);
                    self.peer.set_client(header.source);
                    self.is_header_read.set(true);
                    return Ok(true);
                }
                Ok(None) => {}
                Err(fault) => return Err(self.refuse(fault)),
            }
            let mut piece = [0; PIECE_BYTES];
            let room = (PROXY_HEADER_BYTES_MAX - received.len()).min(PIECE_BYTES);
            match self.stream.try_read(&mut piece[..room])? {
                0 if received.is_empty() => return Ok(false),
                0 => return Err(self.refuse(ProxyHeaderError::Truncated)),
                count => received.extend_from_slice(&piece[..count]),
            }
        }
    }

    fn refuse(&self, fault: ProxyHeaderError) -> io::Error {
        self.peer.set_fault(fault);
        let is_late = fault == ProxyHeaderError::Late;
        io::Error::new(if is_late { ErrorKind::TimedOut } else { ErrorKind::InvalidData }, fault)
    }

    /// Reads the bytes behind the header that came with it.
    #[cold]
    fn read_received(&self, buffer: &mut [u8]) -> usize {
        let mut received = self.received.borrow_mut();
        let count = received.len().min(buffer.len());
        buffer[..count].copy_from_slice(&received[..count]);
        received.drain(..count);
        if received.is_empty() {
            mem::take(&mut *received); // its memory is not needed any more
        }
        count
    }
}

impl<S: Transport> Transport for ProxiedStream<S> {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_header_read.get() && !self.read_header()? {
            return Ok(0);
        }
        if self.has_unread() {
            return Ok(self.read_received(buffer));
        }
        self.stream.try_read(buffer)
    }

    fn arm(&self, interest: Interest) -> io::Result<bool> {
        if interest == Interest::Read && self.has_unread() {
            return Ok(false);
        }
        self.stream.arm(interest)
    }

    fn ready(&self, interest: Interest) -> Ready<'_> {
        if interest == Interest::Read && self.has_unread() {
            return Ready::now();
        }
        self.stream.ready(interest)
    }

    /// Waits for the header. Over this stream, TLS does not call it, and bounds the time itself.
    fn handshake(&self) -> io::Result<()> {
        let until = now().checked_add(self.timeout);
        while !self.is_header_read.get() {
            match self.read_header() {
                Ok(true) => {}
                Ok(false) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.stream.wait_until(Interest::Read, until)? {
                        return Err(self.refuse(ProxyHeaderError::Late));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.stream.handshake()
    }

    fn is_drained(&self) -> bool {
        !self.has_unread() && self.stream.is_drained()
    }

    fn wait_until(&self, interest: Interest, until: Option<Instant>) -> io::Result<bool> {
        if interest == Interest::Read && self.has_unread() {
            return Ok(true);
        }
        self.stream.wait_until(interest, until)
    }

    fn poll_ready(&self, interest: Interest, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if interest == Interest::Read && self.has_unread() {
            return Poll::Ready(Ok(()));
        }
        self.stream.poll_ready(interest, cx)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.try_write(bytes)
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.try_write_vectored(slices)
    }

    fn try_send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        self.stream.try_send_file(file, offset, count)
    }

    fn try_flush(&self) -> io::Result<()> {
        self.stream.try_flush()
    }

    fn info(&self) -> Option<&dyn Any> {
        self.stream.info()
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.stream.shutdown_write()
    }

    fn try_close(&self) -> io::Result<()> {
        self.stream.try_close()
    }

    fn unacknowledged(&self) -> Option<u64> {
        self.stream.unacknowledged()
    }

    fn is_peer_gone(&self) -> bool {
        self.stream.is_peer_gone()
    }

    fn reset_on_close(&self) {
        self.stream.reset_on_close();
    }

    fn reset(&self) {
        self.stream.reset();
    }

    fn join_set(&self, set: &StreamSet) {
        self.stream.join_set(set);
    }
}

/// How much is read at once. Arbitrary: a header, and usually the first request behind it.
const PIECE_BYTES: usize = 1024;
