//! The paths without parameters, by their hash: most requests are for one of them.
//!
//! The table is made once, of the program's own paths, so its longest run of taken places does not
//! depend on what clients ask for.

/// Indices of paths.
#[derive(Debug, Default)]
pub(super) struct FixedPaths {
    /// A power of two of places, at least half of them free; none if there are no paths.
    places: Box<[Option<Place>]>,
}

#[derive(Clone, Debug)]
struct Place {
    hash: u64,
    path: Box<[u8]>,
    index: usize,
}

impl FixedPaths {
    /// Of different paths.
    pub(super) fn new<'p>(paths: impl Iterator<Item = (&'p str, usize)>) -> Self {
        let paths: Vec<_> = paths.collect();
        if paths.is_empty() {
            return Self::default();
        }
        let mut places = vec![None; (paths.len() * 2).next_power_of_two()];
        let mask = places.len() - 1;
        for (path, index) in paths {
            let hash = hash(path.as_bytes());
            let mut at = low_bits(hash, mask);
            while places[at].is_some() {
                at = (at + 1) & mask;
            }
            places[at] = Some(Place { hash, path: path.as_bytes().into(), index });
        }
        Self { places: places.into() }
    }

    /// The index of a path.
    #[inline]
    pub(super) fn find(&self, path: &[u8]) -> Option<usize> {
        let mask = self.places.len().checked_sub(1)?;
        let hash = hash(path);
        let mut at = low_bits(hash, mask);
        while let Some(place) = &self.places[at & mask] {
            if place.hash == hash && *place.path == *path {
                return Some(place.index);
            }
            at += 1;
        }
        None
    }
}

/// The place at which the search for a hash begins.
#[allow(clippy::cast_possible_truncation)] // the low bits are meant
#[inline]
fn low_bits(hash: u64, mask: usize) -> usize {
    (hash >> 32) as usize & mask
}

/// Eight bytes at a time, in a few instructions. A client cannot add to the table, so it gains
/// nothing by collisions.
#[inline]
fn hash(path: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    let (Some((first, mut rest)), Some(last)) = (path.split_first_chunk(), path.last_chunk())
    else {
        return path.iter().fold(path.len() as u64, |hash, byte| mix(hash, u64::from(*byte)));
    };
    let mut hash = mix(path.len() as u64, u64::from_le_bytes(*first));
    while rest.len() > 8
        && let Some((word, behind)) = rest.split_first_chunk()
    {
        hash = mix(hash, u64::from_le_bytes(*word));
        rest = behind;
    }
    // Up to eight bytes are left; some of those before them may count twice.
    mix(hash, u64::from_le_bytes(*last))
}

/// Of the golden ratio: its bits are spread evenly.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn each_path_is_found_and_no_other(paths: BTreeSet<String>, others: Vec<String>) -> bool {
            let list: Vec<_> = paths.iter().map(String::as_str).collect();
            let table = FixedPaths::new(list.iter().enumerate().map(|(at, path)| (*path, at)));
            let is_found = |path: &str| {
                table.find(path.as_bytes()) == list.iter().position(|other| *other == path)
            };
            list.iter().all(|path| is_found(path)) && others.iter().all(|path| is_found(path))
        }
    }
}
