//! The host of a fiber, for a program that is to run on several machines.

use std::cell::Cell;
use std::net::IpAddr;

use crate::core::current_id;
use crate::fiber_local;

fiber_local! {
    static inherited HOST: Cell<Option<IpAddr>> = Cell::new(None);
}

/// Runs `body` on that host of the simulation. The fibers and shards that it spawns are on that
/// host as well, and the peers of their connections see its address.
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
#[track_caller]
pub fn on_host<T>(host: IpAddr, body: impl FnOnce() -> T) -> T {
    let outer = HOST.with(|cell| cell.replace(Some(host)));
    let _restore = Restore(outer);
    body()
}

/// The host of the calling fiber, if [`on_host`] set one; its example shows it.
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
