//! The names of routes, each with a number, for the life of the process.
//!
//! The names are constants of a program, or the patterns of its routers, so their number is bounded
//! by the program's source: a router that each shard makes for itself gets the same names again. A
//! number is the place of the route's counters in each shard, so that a request finds them without
//! a look-up by name.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// The name of a route, and its number if it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteLabel {
    pub(crate) name: &'static str,
    number: Option<u32>,
}

impl RouteLabel {
    /// A name whose number is looked up when it is counted.
    #[inline]
    pub(crate) fn of_name(name: &'static str) -> Self {
        Self { name, number: None }
    }

    /// A name with its number; a copy of the name is kept if it is new.
    #[cfg(feature = "router")]
    pub(crate) fn kept(name: &str) -> Self {
        let mut labels = LABELS.lock();
        let (name, number) = labels.find_or_add(name, || Box::leak(name.into()));
        Self { name, number: Some(number) }
    }

    #[inline]
    pub(super) fn known_number(self) -> Option<u32> {
        self.number
    }

    /// The number, looked up in the table of the process.
    pub(super) fn number(self) -> u32 {
        self.number.unwrap_or_else(|| LABELS.lock().find_or_add(self.name, || self.name).1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "router")]
    #[test]
    fn a_name_is_kept_once_and_has_one_number() {
        let first = RouteLabel::kept("/kept/{once}");
        let second = RouteLabel::kept(&"/kept/{once}".to_owned());
        assert!(std::ptr::eq(first.name, second.name));
        assert_eq!(first.number(), second.number());
        assert_eq!(RouteLabel::of_name("/kept/{once}").number(), first.number());
        assert_eq!(names()[first.number() as usize], "/kept/{once}");
        assert_ne!(RouteLabel::of_name("/kept/{twice}").number(), first.number());
    }
}
