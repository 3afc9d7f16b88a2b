//! The types of [`std::net`], on straightline's fibers.
//!
//! The names and the behaviour are those of [`std::net`] and [`std::os::unix::net`], with one
//! difference: where a std call blocks the thread, the call here blocks the fiber only. Streams
//! implement [`Read`](std::io::Read) and [`Write`](std::io::Write), also for shared references. So
//! code that is generic over these traits runs on a fiber unchanged.
//!
//! ```
//! use std::io::{Read, Write};
//! use straightline_net::{TcpListener, TcpStream};
//! use straightline_sched as sched;
//!
//! sched::run(|| {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let address = listener.local_addr()?;
//!     let echo = sched::spawn(move || {
//!         let (stream, _peer) = listener.accept()?;
//!         std::io::copy(&mut &stream, &mut &stream)
//!     });
//!     let mut client = TcpStream::connect(address)?;
//!     client.write_all(b"straight")?;
//!     client.shutdown(std::net::Shutdown::Write)?;
//!     let mut answer = String::new();
//!     client.read_to_string(&mut answer)?;
//!     assert_eq!(answer, "straight");
//!     assert_eq!(echo.join().unwrap()?, 8);
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! A listener or stream can be made on any thread. It belongs to the thread whose fiber first waits
//! for it. Outside of a fiber nothing can wait: a call that would have to wait is an error, and a
//! call that need not wait succeeds. To move a socket to another shard, take the type of the
//! standard library out of it (`into_std`) and wrap that on the other shard. A listener can also
//! move before it belongs to a shard ([`BoundTcpListener`]).
//!
//! Inside a [simulation](straightline_sched::sim) the same types are sockets of an in-memory
//! network, see [`sim`].
//!
//! Do not connect in the initialiser of a lazy `thread_local!` or `LazyLock`, and do not wait in
//! any other closure that ties state to its thread: other fibers of the thread run meanwhile and
//! find that state half-made. [`straightline_sched::guide::hazards`] describes the consequences,
//! and has more of what not to do on a fiber. For a client that all fibers of a thread share, take
//! a [`shard_local!`](straightline_sched::shard_local!).
//!
//! A [`MemoryStream`] is a stream without a socket, for tests and for streams that a program makes
//! itself.
//!
//! The system's resolver resolves names. It blocks, so it runs on other threads ([`lookup_host`]).
//! An IP address needs no resolver and no other thread.

#![deny(unsafe_code)]

mod accept_queue;
#[allow(unsafe_code)]
mod ascii;
mod bind_error;
mod bound;
#[cfg(any(feature = "tokio-io", feature = "futures-io"))]
pub mod compat;
mod connect;
pub mod inherit;
mod io;
mod listen;
mod lookup;
mod memory;
mod nonblocking;
#[allow(unsafe_code)]
mod raw_fd;
pub mod sim;
mod socket;
mod split;
mod stream_set;
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod sys;
mod tcp;
mod timeouts;
mod transport;
mod udp;
mod unix;

#[doc(hidden)]
pub use ascii::ascii_text;
pub use bound::{BoundListener, BoundTcpListener, BoundUnixListener};
pub use listen::{Keepalive, ListenOptions};
pub use lookup::{Addresses, ToSocketAddrs, lookup_host};
pub use memory::MemoryStream;
pub use split::{ReadHalf, WriteHalf, split};
pub use stream_set::StreamSet;
pub use tcp::{TcpListener, TcpStream};
pub use transport::Transport;
pub use udp::UdpSocket;
pub use unix::{UnixListener, UnixStream};
