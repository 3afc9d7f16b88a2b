//! Where a fiber is, for a program that is to run on several machines.

use std::cell::Cell;
use std::net::IpAddr;

use crate::core::current_id;
use crate::fiber_local;

fiber_local! {
    static inherited HOST: Cell<Option<IpAddr>> = Cell::new(None);
}

/// Runs `body` on that host of the simulation. The fibers and shards that it starts are there as
/// well, and what they connect to sees that address.
///
/// Not a yield point by itself.
///
/// # Panics
///
/// Outside of a fiber.
///
/// ```
/// use straightline_sched::{self as sched, sim};
///
/// sim::run(7, || {
///     let host = "10.0.0.1".parse().unwrap();
///     let fiber = sim::on_host(host, || sched::spawn(sim::host));
///     assert_eq!(fiber.join().unwrap(), Some(host));
///     assert_eq!(sim::host(), None);
/// });
/// ```
pub fn on_host<T>(host: IpAddr, body: impl FnOnce() -> T) -> T {
    let outer = HOST.with(|cell| cell.replace(Some(host)));
    let _restore = Restore(outer);
    body()
}

/// The host that the calling fiber is on, if [`on_host`] says; that one's example shows it.
///
/// Not a yield point.
pub fn host() -> Option<IpAddr> {
    current_id().and_then(|_| HOST.with(Cell::get))
}

struct Restore(Option<IpAddr>);

impl Drop for Restore {
    fn drop(&mut self) {
        HOST.with(|cell| cell.set(self.0));
    }
}
