//! One stack: where it lies, and the right to run on it.
//!
//! A [`slab`](super::slab) makes stacks, and the [`pool`](super::pool) hands them out. Both know
//! the chunk and the size class that a stack carries; the rest of the crate sees its bounds only.

use std::num::NonZeroUsize;

use corosensei::stack::{Stack, StackPointer};

use super::memory::guard_bytes;

/// What a fiber runs on, and the right to run on it. One that is forgotten stays mapped for ever.
#[derive(Debug)]
pub(crate) struct FiberStack {
    base: NonZeroUsize,
    chunk: u32,
    class: u8,
}

/// Where a stack lies, for whoever has to recognise an address.
///
/// In one word: the base is a multiple of the page, so the size's logarithm fits below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StackBounds(usize);

impl StackBounds {
    /// The end: a stack grows down from here.
    pub(crate) fn base(self) -> usize {
        self.0 & !SIZE_BITS
    }

    pub(crate) fn bytes(self) -> usize {
        1 << (self.0 & SIZE_BITS)
    }

    /// Whether less than `bytes` of it are left below `address`. (A sanitizer keeps locals
    /// elsewhere: what is not on the stack says nothing.)
    pub(super) fn ends_within(self, bytes: usize, address: usize) -> bool {
        let end = self.base() - self.bytes();
        (end..end + bytes).contains(&address)
    }
}

impl FiberStack {
    pub(super) fn new(base: NonZeroUsize, chunk: u32, class: u8) -> Self {
        Self { base, chunk, class }
    }

    /// Its size; the guard is not part of it.
    pub(crate) fn bytes(&self) -> usize {
        1 << self.class
    }

    pub(crate) fn bounds(&self) -> StackBounds {
        StackBounds(self.base.get() | usize::from(self.class))
    }

    pub(super) fn base_address(&self) -> usize {
        self.base.get()
    }

    pub(super) fn chunk(&self) -> u32 {
        self.chunk
    }

    pub(super) fn class(&self) -> u8 {
        self.class
    }
}

// SAFETY: only a slab makes a stack: memory that is mapped, of at least `STACK_BYTES_MIN`, that
// nobody else has, with a guard below it. It is unmapped only after it was given back, and not at
// all if it never is. Both ends are multiples of the page, and so of the alignment.
unsafe impl Stack for FiberStack {
    fn base(&self) -> StackPointer {
        self.base
    }

    fn limit(&self) -> StackPointer {
        let limit = self.base.get() - self.bytes() - guard_bytes();
        // A region is never mapped at zero; if it were, the guard's second byte would do.
        NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN)
    }
}

/// Fewer than those of the smallest page.
const SIZE_BITS: usize = 0xff;
