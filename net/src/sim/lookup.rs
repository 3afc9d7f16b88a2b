//! Names in a simulation.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use straightline_sched::offload;

use super::state::State;

/// The addresses of `name`. It takes the time of an offloaded job, as the system's resolver does.
pub(crate) fn lookup(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    offload(|| ())?;
    let state = State::current();
    if state.lookups_fail.get() {
        return Err(io::Error::other(
            "failed to lookup address information: Temporary failure in name resolution",
        ));
    }
    let name = name.trim_end_matches('.').to_lowercase();
    let names = state.names.borrow();
    let localhost: &[IpAddr] = &[IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let known = names.get(&name).map(Vec::as_slice);
    let known = known.or_else(|| (name == "localhost").then_some(localhost)).unwrap_or_default();
    if known.is_empty() {
        let message = "failed to lookup address information: Name or service not known";
        return Err(io::Error::other(message));
    }
    Ok(known.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
}
