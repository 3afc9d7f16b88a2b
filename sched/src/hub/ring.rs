//! The newest messages of a hub, by number.

use std::collections::VecDeque;
use std::sync::Arc;

/// The newest messages, at most `messages_max`, whose sizes are `bytes_max` in all. The newest one
/// stays even if it is larger.
///
/// Invariant: the message with the number `first + n` is `entries[n]`, and `bytes` is the sum of
/// the sizes, which cannot overflow.
pub(super) struct Ring<T> {
    entries: VecDeque<Entry<T>>,
    /// The number of the oldest message, or of the next one if there is none.
    first: u64,
    bytes: u128,
    bounds: Bounds,
}

/// How much a ring keeps.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// At least 1.
    pub(super) messages_max: usize,
    pub(super) bytes_max: usize,
}

/// A message with its size.
pub(super) struct Entry<T> {
    pub(super) value: Arc<T>,
    pub(super) bytes: usize,
}

/// Messages that a ring has given up. The caller drops them where that may run any code.
#[must_use = "dropping a message may run the user's code"]
pub(super) struct Removed<T>(#[allow(dead_code)] Vec<Entry<T>>); // only its destructor matters

/// What a ring has at a number.
pub(super) enum Found<'r, T> {
    Message(&'r Arc<T>),
    /// There is no such message yet.
    Nothing,
    /// The message is gone, and so are those behind it up to this one, which is the oldest.
    Gone(u64),
}

impl<T> Ring<T> {
    /// Whose first message has the number `first`.
    pub(super) fn new(first: u64, bounds: Bounds) -> Self {
        Self { entries: VecDeque::new(), first, bytes: 0, bounds }
    }

    /// The number of the next message.
    pub(super) fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The number of the oldest message, or of the next one if there is none.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Adds a message, and returns those that had to make room.
    pub(super) fn push(&mut self, entry: Entry<T>) -> Removed<T> {
        self.bytes += entry.bytes as u128;
        self.entries.push_back(entry);
        let mut removed = Vec::new();
        while self.is_too_large() {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.first += 1;
            self.bytes -= oldest.bytes as u128;
            removed.push(oldest);
        }
        Removed(removed)
    }

    fn is_too_large(&self) -> bool {
        let Bounds { messages_max, bytes_max } = self.bounds;
        let count = self.entries.len();
        count > 1 && (count > messages_max || self.bytes > bytes_max as u128)
    }

    /// What it has at the number `id`.
    pub(super) fn at(&self, id: u64) -> Found<'_, T> {
        let Some(position) = id.checked_sub(self.first) else {
            return Found::Gone(self.first);
        };
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        self.entries.get(position).map_or(Found::Nothing, |entry| Found::Message(&entry.value))
    }

    /// Adds what `other` has more, and returns what had to make room.
    pub(super) fn follow(&mut self, other: &Self) -> Removed<T> {
        let mut removed = Vec::new();
        if other.first > self.next() {
            // Everything of its own is older than the oldest of the other.
            removed.extend(self.entries.drain(..));
            (self.first, self.bytes) = (other.first, 0);
        }
        let known = usize::try_from(self.next() - other.first).unwrap_or(usize::MAX);
        for entry in other.entries.iter().skip(known) {
            let copy = Entry { value: Arc::clone(&entry.value), bytes: entry.bytes };
            removed.extend(self.push(copy).0);
        }
        Removed(removed)
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    fn ring(messages_max: usize, bytes_max: usize) -> Ring<u64> {
        Ring::new(1, Bounds { messages_max, bytes_max })
    }

    fn numbers(ring: &Ring<u64>) -> Vec<u64> {
        ring.entries.iter().map(|entry| *entry.value).collect()
    }

    fn add(ring: &mut Ring<u64>, bytes: usize) {
        let value = Arc::new(ring.next());
        drop(ring.push(Entry { value, bytes }));
    }

    #[test]
    fn it_keeps_as_many_messages_as_it_may() {
        let mut ring = ring(3, usize::MAX);
        for (added, kept) in [(1, 1), (2, 2), (3, 3), (4, 3)] {
            add(&mut ring, 0);
            assert_eq!((ring.next(), ring.entries.len()), (added + 1, kept));
        }
        assert!(matches!(ring.at(1), Found::Gone(2)));
        assert!(matches!(ring.at(4), Found::Message(value) if **value == 4));
        assert!(matches!(ring.at(5), Found::Nothing));
    }

    #[test]
    fn it_keeps_as_many_bytes_as_it_may_and_the_newest_message() {
        for (last, kept) in [(49, vec![1, 2]), (50, vec![1, 2]), (51, vec![2]), (200, vec![2])] {
            let mut ring = ring(9, 100);
            add(&mut ring, 50);
            add(&mut ring, last);
            assert_eq!(numbers(&ring), kept, "{last}");
        }
    }

    quickcheck! {
        /// A copy that looks now and then ends with the same messages, and never with others.
        fn a_copy_follows(steps: Vec<(u8, bool)>, messages_max: u8, bytes_max: u8) -> bool {
            let (messages_max, bytes_max) = (usize::from(messages_max) % 8 + 1, bytes_max.into());
            let mut ring = ring(messages_max, bytes_max);
            let mut copy = Ring::new(1, ring.bounds);
            for (bytes, is_look) in steps {
                add(&mut ring, bytes.into());
                if is_look {
                    drop(copy.follow(&ring));
                    if numbers(&copy) != numbers(&ring) || copy.next() != ring.next() {
                        return false;
                    }
                }
            }
            drop(copy.follow(&ring));
            let sum: usize = copy.entries.iter().map(|entry| entry.bytes).sum();
            numbers(&copy) == numbers(&ring)
                && copy.first == ring.first
                && copy.bytes == sum as u128
                && copy.entries.len() <= messages_max
                && (sum <= bytes_max || copy.entries.len() == 1)
        }
    }
}
