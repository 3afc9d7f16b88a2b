//! The network of a simulation: what the sockets of this crate run over inside of
//! [`sched::sim`](straightline_sched::sim).
//!
//! There the same types and calls reach an in-memory network. Every address is free to be listened
//! on, and a fiber connects from the host that [`on_host`] says, `127.0.0.1` without it. What the
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

use std::cell::Cell;
use std::net::IpAddr;

use straightline_sched::fiber_local;

pub(crate) use address::Name;
pub(crate) use datagram::Datagrams;
pub use fault::Fault;
pub use link::Link;

pub(crate) use lookup::lookup;
pub use network::{Network, NetworkStats, network};
pub(crate) use socket::{BoundListener, DatagramHandle, EndHandle, ListenerHandle};

fiber_local! {
    /// Where the fiber's connections come from.
    static inherited HOST: Cell<Option<IpAddr>> = Cell::new(None);
}

/// Runs `body` on that host of the simulated network: what it and the fibers that it starts connect
/// comes from there.
///
/// Not a yield point by itself.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use straightline_net::sim::on_host;
/// use straightline_net::{TcpListener, TcpStream};
/// use straightline_sched::sim;
///
/// sim::run(7, || {
///     let listener = TcpListener::bind("10.0.0.1:80")?;
///     let client = on_host("10.0.0.2".parse().unwrap(), || TcpStream::connect("10.0.0.1:80"))?;
///     assert_eq!(client.local_addr()?.ip().to_string(), "10.0.0.2");
///     listener.accept().map(drop)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn on_host<T>(host: IpAddr, body: impl FnOnce() -> T) -> T {
    let outer = HOST.with(|cell| cell.replace(Some(host)));
    let _restore = Restore(outer);
    body()
}

/// Where the calling fiber is, if [`on_host`] says.
fn host() -> Option<IpAddr> {
    HOST.with(Cell::get)
}

struct Restore(Option<IpAddr>);

impl Drop for Restore {
    fn drop(&mut self) {
        HOST.with(|cell| cell.set(self.0));
    }
}
