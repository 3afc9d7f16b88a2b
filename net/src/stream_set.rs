//! Streams that another thread may shut down, because the thread that owns them does not answer.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use parking_lot::Mutex;
use slotmap::{DefaultKey, SlotMap};

use crate::raw_fd::RawSocket;
use crate::socket::Socket;

/// A set of streams, to be shut down together from any thread.
///
/// A stream belongs to its shard's thread, and no other thread can close it. When that thread is
/// stuck, its clients would wait for ever. This type ends their connections: each peer reads the
/// end of the stream, and so does the fiber that owns it, once it runs again.
///
/// ```
/// use std::io::Read;
/// use straightline_net::{StreamSet, TcpListener, TcpStream};
/// use straightline_sched as sched;
///
/// let set = StreamSet::new();
/// sched::run({
///     let set = set.clone();
///     move || {
///         let listener = TcpListener::bind("127.0.0.1:0")?;
///         let mut client = TcpStream::connect(listener.local_addr()?)?;
///         let (stream, _) = listener.accept()?;
///         stream.join_set(&set);
///         assert_eq!(set.shut_down(), 1); // usually from another thread
///         assert_eq!(client.read(&mut [0])?, 0);
///         std::io::Result::Ok(())
///     }
/// })?;
/// assert_eq!(set.shut_down(), 0); // the stream has left it
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Default)]
pub struct StreamSet {
    /// The numbers of open descriptors: each stream leaves the set before its descriptor is closed.
    members: Arc<Mutex<SlotMap<DefaultKey, RawSocket>>>,
}

/// A stream's place in a set, until this is dropped.
pub(crate) struct Member {
    set: StreamSet,
    key: DefaultKey,
}

impl StreamSet {
    /// An empty set. Not a yield point.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shuts down both directions of every stream of the set; returns how many streams that were.
    ///
    /// Not a yield point, and it works from any thread. A stream that is being dropped meanwhile
    /// waits until it has finished.
    pub fn shut_down(&self) -> usize {
        let members = self.members.lock();
        members.values().for_each(RawSocket::shut_down);
        members.len()
    }

    pub(crate) fn add<S: AsFd>(&self, stream: &Socket<S>) -> Option<Member> {
        let Socket::System(stream) = stream else { return None };
        let number = RawSocket(stream.as_fd().as_raw_fd());
        let key = self.members.lock().insert(number);
        Some(Member { set: self.clone(), key })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.set.members.lock().remove(self.key);
    }
}

impl fmt::Debug for StreamSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSet").finish_non_exhaustive()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").finish_non_exhaustive()
    }
}
