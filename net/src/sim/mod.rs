//! The network of a simulation: it connects the simulation's sockets, and it can fail.
//!
//! Inside of a [simulation](straightline_sched::sim) the types of this crate are sockets of an
//! in-memory network: the same calls with the same answers as Linux gives, in virtual time. Every
//! address is free to be bound, and each host can reach every other. With [`network`] a test sets
//! what the links between hosts are like, and what fails.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::time::Duration;
//! use straightline_net::sim::{Link, network, on_host};
//! use straightline_net::{TcpListener, TcpStream};
//! use straightline_sched::{self as sched, sim};
//!
//! sim::check(|| {
//!     network().set_link(Link::draw(&mut sim::fork_random())); // any network will do
//!     let listener = TcpListener::bind("10.0.0.1:7").unwrap();
//!     let echo = sched::spawn(move || {
//!         let (stream, _) = listener.accept().unwrap();
//!         std::io::copy(&mut &stream, &mut &stream)
//!     });
//!     let stream = on_host([10, 0, 0, 2].into(), || TcpStream::connect("10.0.0.1:7"));
//!     let mut stream = stream.unwrap();
//!     stream.write_all(b"straight").unwrap();
//!     stream.shutdown(std::net::Shutdown::Write).unwrap();
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer).unwrap();
//!     assert_eq!(answer, "straight");
//!     echo.join().unwrap().unwrap();
//! });
//! ```
//!
//! # What it does
//!
//! **TCP** travels in pieces ([`Link::segment_bytes`]), so that reads come back short; a full
//! buffer at one end stops the writer at the other. Packets arrive in order, and get lost only
//! where a way is cut ([`Network::partition`], [`Network::vanish`]). A connection sends lost
//! packets again, as Linux does, until it gives up. Handshakes, ends, resets and full backlogs are
//! as on Linux, and so are send buffers that grow while they are full
//! ([`Link::send_buffer_bytes_max`]), the moment at which a writer is told of room, and the options
//! of a listener; keepalive probes ([`Keepalive`](crate::Keepalive)) are not simulated. A listener
//! on `[::]` takes IPv4 as well.
//!
//! **Unix sockets** are immediate. Their path is a name in the simulation; no file is made, and it
//! is free again when the listener is closed.
//!
//! **UDP** datagrams overtake each other, and get lost or doubled as the link says. Sending never
//! waits. There is no broadcast and no multicast.
//!
//! **Hosts** are addresses. A fiber is on 127.0.0.1, or on the host that [`on_host`] says, and its
//! connections come from that address. An address of the other version of IP is derived from it.
//!
//! **Names** are those that [`Network::name`] was given.
//!
//! A simulated socket has no descriptor: `as_fd` and `into_std` panic. A socket of the system,
//! wrapped with `from_std`, cannot be waited for in a simulation: its first wait returns an error.
//! A socket that is still open when all fibers have ended is a leak, and makes the simulation fail.
//!
//! # How it is built
//!
//! `table` has all sockets by their keys; `handle` is the program's hold on one. `tcp` has the
//! program's calls on a connection, `segment` what the network does to it, `pipe` one direction of
//! it, and `retransmission` what happens when a packet was lost. `wire` carries packets.
//! `listener`, `unix`, `udp` and `hosts` are what their names say; `link` and `fault` are settings,
//! and `network` applies them.

mod fault;
mod handle;
mod hosts;
mod link;
mod listener;
mod network;
mod pipe;
mod retransmission;
mod segment;
mod table;
mod tcp;
mod udp;
mod unix;
mod wire;

pub use fault::Fault;
pub(crate) use handle::{Bound, Handle};
pub(crate) use hosts::resolve;
pub use link::Link;
pub(crate) use listener::ListenerOptions;
pub use network::{Network, network};
pub use straightline_sched::sim::on_host;
pub use table::Counters;
pub(crate) use udp::not_simulated;
