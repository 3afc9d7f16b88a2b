//! The names of routes, each with a number, for the life of the process.
//!
//! The names are constants of a program, or the patterns of its routers, so their number is bounded
//! by the program's source: a router that each shard makes for itself gets the same names again. A
//! number is the place of the route's counters in each shard, so that a request finds them without
//! a look-up by name.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// The name of a route, and its place if that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteLabel {
    pub(crate) name: &'static str,
    place: Option<RoutePlace>,
}

/// Where the counters of a route are: in blocks, each twice as long as the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoutePlace {
    pub(super) block: u32,
    pub(super) at: u32,
}

impl RouteLabel {
    /// A name whose number is looked up when it is counted.
    #[inline]
    pub(crate) fn of_name(name: &'static str) -> Self {
        Self { name, place: None }
    }

    /// A name with its number; a copy of the name is kept if it is new.
    #[cfg(feature = "router")]
    pub(crate) fn kept(name: &str) -> Self {
        let mut labels = LABELS.lock();
        let (name, number) = labels.find_or_add(name, || Box::leak(name.into()));
        Self { name, place: Some(RoutePlace::of(number)) }
    }

    #[inline]
    pub(super) fn known_place(self) -> Option<RoutePlace> {
        self.place
    }

    /// The place, looked up in the table of the process.
    pub(super) fn place(self) -> RoutePlace {
        self.place
            .unwrap_or_else(|| RoutePlace::of(LABELS.lock().find_or_add(self.name, || self.name).1))
    }
}

impl RoutePlace {
    fn of(number: u32) -> Self {
        let shifted = u64::from(number) + FIRST_BLOCK;
        let block = shifted.ilog2() - FIRST_BLOCK.ilog2();
        // Below 2^32: the last block of all numbers is no longer.
        let at = u32::try_from(shifted - (FIRST_BLOCK << block)).unwrap_or(u32::MAX);
        Self { block, at }
    }

    pub(super) fn block_len(block: usize) -> u64 {
        FIRST_BLOCK << block
    }

    /// The number of a block's first route.
    pub(super) fn first_of_block(block: usize) -> usize {
        usize::try_from(Self::block_len(block) - FIRST_BLOCK).unwrap_or(usize::MAX)
    }
}

/// All names by their numbers, which begin with 0.
pub(super) fn names() -> Vec<&'static str> {
    LABELS.lock().names.clone()
}

struct Labels {
    numbers: BTreeMap<&'static str, u32>,
    names: Vec<&'static str>,
}

impl Labels {
    fn find_or_add(
        &mut self,
        name: &str,
        keep: impl FnOnce() -> &'static str,
    ) -> (&'static str, u32) {
        if let Some((name, number)) = self.numbers.get_key_value(name) {
            return (name, *number);
        }
        let (name, number) = (keep(), u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.numbers.insert(name, number);
        self.names.push(name);
        (name, number)
    }
}

static LABELS: Mutex<Labels> = Mutex::new(Labels { numbers: BTreeMap::new(), names: Vec::new() });

/// The length of the first block. Arbitrary: the routes of a small service.
const FIRST_BLOCK: u64 = 32;

/// Enough blocks for every number.
pub(super) const BLOCKS: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "router")]
    #[test]
    fn a_name_is_kept_once_and_has_one_number() {
        let first = RouteLabel::kept("/kept/{once}");
        let second = RouteLabel::kept(&["/kept", "/{once}"].concat());
        assert!(std::ptr::eq(first.name, second.name));
        assert_eq!(first.place(), second.place());
        assert_eq!(RouteLabel::of_name("/kept/{once}").place(), first.place());
        assert_ne!(RouteLabel::of_name("/kept/{twice}").place(), first.place());
        let RoutePlace { block, at } = first.place();
        let number = RoutePlace::first_of_block(block as usize) + at as usize;
        assert_eq!(names()[number], "/kept/{once}");
    }

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let place = |number| {
            let RoutePlace { block, at } = RoutePlace::of(number);
            (block as usize, at as usize)
        };
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(31), (0, 31));
        assert_eq!(place(32), (1, 0));
        assert_eq!(place(95), (1, 63));
        assert_eq!(place(96), (2, 0));
        assert!(place(u32::MAX).0 < BLOCKS);
        for number in 0..10_000 {
            let (block, at) = place(number);
            assert_eq!(RoutePlace::first_of_block(block) + at, number as usize);
            assert!((at as u64) < RoutePlace::block_len(block));
        }
    }
}
