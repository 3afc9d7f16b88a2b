//! How much of the process's address space and mappings its stacks may take, over all shards.
//!
//! **Address space.** Stacks may reserve half of `RLIMIT_AS`, or 32 TiB, a quarter of what the
//! hardware has, if no limit is set: a hundred million stacks of the default size.
//!
//! **Mappings.** A guard that is a mapping of its own makes a stack two mappings for the kernel,
//! which allows a process `vm.max_map_count` of them (65,530 by default). When they run out, malloc
//! fails too. So the limit is computed from that number with room to spare. Guards that are markers
//! in the page table take no mapping.
//!
//! A request beyond a limit is an error for its caller, never a panic.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::memory::address_bytes_allowed;

/// The rest of a limit.
#[derive(Debug)]
pub(super) struct Quota {
    used: AtomicUsize,
    max: usize,
    /// The setting behind the limit, for the message.
    limit: &'static str,
}

/// The quotas that every stack counts against.
#[derive(Debug)]
pub(super) struct Quotas {
    pub(super) address_bytes: Quota,
    /// Stacks whose guard is a mapping.
    pub(super) guard_mappings: Quota,
}

impl Quotas {
    pub(super) const fn new(address_bytes: usize, guard_mappings: usize) -> Self {
        Self {
            address_bytes: Quota::new(address_bytes, "bytes of address space for stacks"),
            guard_mappings: Quota::new(guard_mappings, "stacks that vm.max_map_count has room for"),
        }
    }

    pub(super) fn of_this_process() -> &'static Self {
        static QUOTAS: OnceLock<Quotas> = OnceLock::new();
        QUOTAS.get_or_init(|| {
            let maps = std::fs::read_to_string("/proc/sys/vm/max_map_count")
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(MAPS_DEFAULT);
            Self::new(address_bytes_for(address_bytes_allowed()), stacks_for(maps))
        })
    }
}

impl Quota {
    const fn new(max: usize, limit: &'static str) -> Self {
        Self { used: AtomicUsize::new(0), max, limit }
    }

    /// Takes `amount` of it.
    ///
    /// # Errors
    ///
    /// `QuotaExceeded` if less is left; then nothing is taken.
    pub(super) fn take(&self, amount: usize) -> io::Result<()> {
        let more = |used: usize| used.checked_add(amount).filter(|used| *used <= self.max);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!("all {} {} are in use", self.max, self.limit),
            )),
        }
    }

    pub(super) fn give(&self, amount: usize) {
        let used = self.used.fetch_sub(amount, Ordering::Relaxed);
        debug_assert!(used >= amount, "more was given back than had been taken");
    }
}

/// Half of the address space that is allowed.
fn address_bytes_for(allowed: Option<usize>) -> usize {
    let max = usize::try_from(ADDRESS_BYTES_MAX).unwrap_or(usize::MAX / 4);
    allowed.map_or(max, |allowed| max.min(allowed / 2))
}

/// Two mappings a stack; an eighth of all mappings is left to the rest of the process.
fn stacks_for(maps: usize) -> usize {
    (maps - maps / 8) / 2
}

/// The kernel's limit where it cannot be read (Linux's default).
const MAPS_DEFAULT: usize = 65_530;

/// A quarter of the 128 TiB that x86-64 gives a process; 64-bit ARM gives it 256.
const ADDRESS_BYTES_MAX: u64 = 32 << 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_leave_room_for_the_rest_of_the_process() {
        assert_eq!(stacks_for(65_530), 28_669);
        assert_eq!(stacks_for(0), 0);
        assert_eq!(address_bytes_for(Some(1 << 30)), 1 << 29);
        assert_eq!(address_bytes_for(Some(usize::MAX)), address_bytes_for(None));
    }

    #[test]
    fn a_quota_is_refused_at_its_limit_and_not_before() {
        let quota = Quota::new(10, "things");
        quota.take(9).unwrap();
        quota.take(1).unwrap();
        assert_eq!(quota.take(1).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
        assert_eq!(quota.take(usize::MAX).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
        quota.give(2);
        assert!(quota.take(3).is_err());
        quota.take(2).unwrap();
    }
}
