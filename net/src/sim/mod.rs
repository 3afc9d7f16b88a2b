//! The network of a simulation: what the sockets of this crate run over inside of
//! [`sched::sim`](straightline_sched::sim).
//!
//! There the same types and calls reach an in-memory network. Every address is free to be listened
//! on, and a fiber connects from the host that [`on_host`](straightline_sched::sim::on_host) says, `127.0.0.1` without it. What the
//! network does to what it carries is set with [`network`]: latency, bandwidth, sizes of buffers and
//! pieces ([`Link`]), partitions, resets, vanishing peers, refused connects, failing accepts. Each
//! can be set at once, at a time by a fiber that sleeps and sets, or be drawn from the seed
//! ([`Link::draw`], [`Fault::draw`]).
//!
//! ```
//! use std::io::{Read, Write};
//! use std::time::Duration;
//! use straightline_net::sim::{Link, network};
//! use straightline_net::{TcpListener, TcpStream};
//! use straightline_sched::{self as sched, sim};
//!
//! sim::run(7, || {
//!     let moon = Duration::from_millis(1_282);
//!     network().set_link(Link { latency: moon..=moon, ..Link::default() });
//!     let listener = TcpListener::bind("10.0.0.1:80")?;
//!     let echo = sched::spawn(move || {
//!         let (mut stream, _) = listener.accept()?;
//!         let mut byte = [0];
//!         stream.read_exact(&mut byte)?;
//!         stream.write_all(&byte)
//!     });
//!     let mut stream = TcpStream::connect("10.0.0.1:80")?;
//!     stream.write_all(b"!")?;
//!     stream.read_exact(&mut [0])?;
//!     assert!(sim::elapsed() >= 4 * moon); // to connect, and to be echoed
//!     echo.join().unwrap()
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # What is different from the system's sockets
//!
//! - A simulated socket has no descriptor: `as_fd` and `into_std` panic.
//! - No file is made where a Unix listener is bound, and its path is free when it is dropped.
//! - No broadcast and no multicast; no urgent data.
//! - A socket that is open at the end is a leak, and makes the simulation fail.
//!
//! Everything else is to be as Linux does it. `net/tests/conformance` runs the same programs over
//! both, and where they differ, the simulation is wrong.

mod address;
mod datagram;
mod fault;
mod link;
mod listener;
mod lookup;
mod network;
mod socket;
mod state;
mod stream;

pub(crate) use address::Name;
pub(crate) use datagram::Datagrams;
pub use fault::Fault;
pub use link::Link;

pub(crate) use lookup::lookup;
pub use network::{Network, NetworkStats, network};
pub(crate) use socket::{BoundListener, DatagramHandle, EndHandle, ListenerHandle};
pub use straightline_sched::sim::on_host;
