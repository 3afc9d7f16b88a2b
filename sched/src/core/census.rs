//! The question what fibers use of their stacks.

use super::local;
use crate::fiber::census::StackUse;

/// What the fibers of this shard that have ended used of their stacks, by where they were spawned:
/// the greatest use first. Empty unless the shard was made with
/// [`Config::stack_census`](crate::Config::stack_census).
///
/// It measures whole pages, from the top of the stack to the lowest page that was touched. Leave
/// room above what it says: the deepest call may not have happened yet, and a panic that prints a
/// backtrace takes 24 KiB on its own.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of [`run`](crate::run).
///
/// ```
/// use straightline_sched::{self as sched, Config};
///
/// let config = Config { stack_census: true, ..Config::default() };
/// sched::run_with(config, || {
///     for number in 0..3 {
///         let fiber = sched::spawn(move || format!("number {number}"));
///         fiber.join().unwrap();
///     }
///     for site in sched::stack_census() {
///         println!("{}: {} of {}", site.spawned_at, site.used_bytes_max, site.stack_bytes);
///         assert_eq!(site.fibers, 3);
///         assert!(site.used_bytes_max < 64 * 1024);
///     }
///     assert_eq!(sched::stack_census().len(), 1);
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn stack_census() -> Vec<StackUse> {
    local::with(|shard| shard.census.borrow().sorted())
}
