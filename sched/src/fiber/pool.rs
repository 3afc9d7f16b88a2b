//! The pool of stacks, which are mapped once and used many times.
//!
//! A fresh stack costs a guard and page faults (some µs); a stack from the pool costs 10 ns. The
//! pool is last-in first-out, so the next fiber runs on the stack whose pages are in the cache.
//!
//! **Sizes.** A stack's size is rounded up to a power of two, from 32 KiB to 64 GiB, and each size
//! has its own [`Slab`] and its own list. A generous size costs only address space.
//!
//! **Hot and cold.** A stack that was given back waits in the *hot* list with its pages. Giving
//! pages back takes 10 µs for 13 of them, so no request has to do it:
//! - when the list passes a watermark, the oldest stacks become *cold*: they lose all their pages;
//! - when the shard has nothing to do, [`trim`](StackPool::trim) looks at the stacks that were not
//!   used since its last look. It makes those cold that are more than a shard keeps, and removes
//!   from the others the pages below the topmost ones, which every fiber needs. Then it unmaps
//!   chunks without a stack in use. Each call does little, so that an event does not wait for it.
//!
//! **Measuring.** In a pool that measures, no stack is hot: each is handed out without a page, and
//! the pages that it has when it comes back are those that its fiber used.

use std::io;

use super::memory::{Guards, page_bytes};
use super::quota::Quotas;
use super::slab::Slab;
use super::stack::FiberStack;

/// A shard's stacks.
pub(crate) struct StackPool {
    default_bytes: usize,
    /// The index of that size in `classes`.
    default_place: usize,
    /// `None` before the first stack, at which the process's quotas are looked up.
    guards: Option<Guards>,
    quotas: &'static Quotas,
    /// Measures each stack that comes back.
    usage: bool,
    /// Indexed by the size's logarithm, from the smallest.
    classes: [Option<Box<Class>>; CLASSES],
    in_use: usize,
    /// There may be something to trim.
    dirty: bool,
}

/// How many stacks there are, and the address space that they lie in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StackGauges {
    /// Stacks of fibers.
    pub(crate) in_use: usize,
    /// Free stacks with some of their pages.
    pub(crate) hot: usize,
    /// Free stacks without memory.
    pub(crate) cold: usize,
    /// Address space in bytes, whether used or not.
    pub(crate) mapped_bytes: usize,
}

/// The stacks of one size.
struct Class {
    slab: Slab,
    /// The last is the next to be used.
    hot: Vec<FiberStack>,
    /// The first so many were not used since the last trim.
    unused: usize,
    /// The first so many have their topmost pages only; `trimmed <= hot.len()`.
    trimmed: usize,
}

impl StackPool {
    /// A pool for a shard whose fibers have stacks of `default_bytes` unless they ask for others.
    pub(crate) fn new(default_bytes: usize, usage: bool) -> Self {
        Self::with_guards(default_bytes, usage, None, Quotas::of_this_process())
    }

    fn with_guards(
        default_bytes: usize,
        usage: bool,
        guards: Option<Guards>,
        quotas: &'static Quotas,
    ) -> Self {
        let classes = [const { None }; CLASSES];
        // A default that is too large is refused at the first stack.
        let default_place = class_for(default_bytes).map_or(0, place_of);
        Self {
            default_bytes,
            default_place,
            guards,
            quotas,
            usage,
            classes,
            in_use: 0,
            dirty: false,
        }
    }

    /// The size of a fiber's stack unless it asks for another.
    pub(crate) fn default_bytes(&self) -> usize {
        self.default_bytes
    }

    /// A stack of at least that size.
    ///
    /// # Errors
    ///
    /// `QuotaExceeded` at the process's limit of stacks; `InvalidInput` for more than 64 GiB; the
    /// error of the guards if the environment chooses guards that the system does not have;
    /// otherwise the system's error.
    pub(crate) fn take(&mut self, stack_bytes: usize) -> io::Result<FiberStack> {
        let stack = self.class(stack_bytes)?.take()?;
        self.in_use += 1;
        Ok(stack)
    }

    /// As [`take`](Self::take), of the default size: usually the stack that was given back last.
    #[inline]
    pub(crate) fn take_default(&mut self) -> io::Result<FiberStack> {
        if let Some(class) = &mut self.classes[self.default_place]
            && let Some(stack) = class.take_hot()
        {
            self.in_use += 1;
            return Ok(stack);
        }
        self.take(self.default_bytes)
    }

    /// Makes sure that the next [`take`](Self::take) of that size succeeds.
    pub(crate) fn reserve(&mut self, stack_bytes: usize) -> io::Result<()> {
        self.dirty = true;
        self.class(stack_bytes)?.reserve()
    }

    /// Takes a stack back. In a usage returns how many bytes of it were used, in pages.
    pub(crate) fn give(&mut self, stack: FiberStack) -> Option<usize> {
        let usage = self.usage;
        let Some(class) = &mut self.classes[place_of(stack.class())] else {
            unreachable!("a stack of another pool");
        };
        self.in_use -= 1;
        self.dirty = true;
        if usage {
            let used = class.slab.resident_bytes(&stack);
            class.slab.cool(vec![stack]);
            return Some(used);
        }
        class.give(stack);
        None
    }

    /// Whether [`trim`](Self::trim) may find something to do.
    #[inline]
    pub(crate) fn wants_trim(&self) -> bool {
        self.dirty
    }

    /// Gives the system some of the memory that was not used since the last call. Worth a call
    /// every 100 ms or so while [`wants_trim`](Self::wants_trim); takes about a millisecond at
    /// most.
    pub(crate) fn trim(&mut self) {
        self.dirty = false;
        for class in self.classes.iter_mut().flatten() {
            self.dirty |= class.trim();
        }
    }

    /// The gauges.
    pub(crate) fn gauges(&self) -> StackGauges {
        let mut gauges = StackGauges { in_use: self.in_use, ..StackGauges::default() };
        for class in self.classes.iter().flatten() {
            gauges.hot += class.hot.len();
            gauges.cold += class.slab.cold();
            gauges.mapped_bytes += class.slab.mapped_bytes();
        }
        gauges
    }

    /// The class of the smallest size that is large enough.
    fn class(&mut self, stack_bytes: usize) -> io::Result<&mut Class> {
        let guards = self.guards.map_or_else(Guards::of_this_process, Ok)?;
        self.guards = Some(guards);
        let (class, quotas) = (class_for(stack_bytes)?, self.quotas);
        let make = || Box::new(Class::new(Slab::new(class, guards, quotas)));
        Ok(self.classes[place_of(class)].get_or_insert_with(make))
    }
}

impl Class {
    fn new(slab: Slab) -> Self {
        Self { slab, hot: Vec::new(), unused: 0, trimmed: 0 }
    }

    fn take(&mut self) -> io::Result<FiberStack> {
        match self.take_hot() {
            Some(stack) => Ok(stack),
            None => self.slab.take(),
        }
    }

    fn take_hot(&mut self) -> Option<FiberStack> {
        let stack = self.hot.pop()?;
        self.unused = self.unused.min(self.hot.len());
        self.trimmed = self.trimmed.min(self.hot.len());
        Some(stack)
    }

    fn reserve(&mut self) -> io::Result<()> {
        if self.hot.is_empty() && !self.slab.has_cold() {
            let stack = self.slab.take()?;
            self.slab.cool(vec![stack]);
        }
        Ok(())
    }

    fn give(&mut self, stack: FiberStack) {
        self.hot.push(stack);
        if self.hot.len() > HOT_WATERMARK {
            self.cool(COOL_AT_ONCE);
        }
    }

    /// Makes the first `count` stacks of the hot list cold.
    fn cool(&mut self, count: usize) {
        self.slab.cool(self.hot.drain(..count).collect());
        self.unused = self.unused.saturating_sub(count);
        self.trimmed = self.trimmed.saturating_sub(count);
    }

    /// One step of a trim; returns whether there is more to do.
    fn trim(&mut self) -> bool {
        let surplus = self.unused.min(self.hot.len().saturating_sub(HOT_KEPT));
        if surplus > 0 {
            // The stacks of the youngest chunks go first, so that those chunks can be unmapped.
            self.hot[..self.unused].sort_unstable_by_key(|stack| u32::MAX - stack.chunk());
            self.trimmed = 0;
            self.cool(surplus.min(COOLED_BY_TRIM));
        }
        let vacated = self.hot.len() <= HOT_KEPT && self.vacate();
        let until = self.unused.min(self.trimmed + TRIMMED_BY_TRIM);
        for stack in self.hot.get(self.trimmed..until).unwrap_or_default() {
            self.slab.trim(stack, PAGES_KEPT * page_bytes());
        }
        self.trimmed = self.trimmed.max(until);
        self.slab.sweep();
        self.unused = self.hot.len();
        let surplus = self.hot.len() > HOT_KEPT || self.trimmed < self.hot.len();
        vacated || surplus || self.slab.has_unused_chunks()
    }

    /// Empties the youngest chunk if older chunks can take its place: after a peak the list is full
    /// of the peak's last stacks. Returns whether it did.
    fn vacate(&mut self) -> bool {
        let Some(youngest) = self.slab.youngest() else { return false };
        let (unused, used) = self.hot.split_at(self.unused);
        let there = |stack: &&FiberStack| stack.chunk() == youngest.chunk;
        let count = unused.iter().filter(there).count();
        if count == 0 || count < youngest.held || count > youngest.cold_in_others {
            return false;
        }
        debug_assert!(!used.iter().any(|stack| stack.chunk() == youngest.chunk));
        self.hot[..self.unused].sort_by_key(|stack| stack.chunk() != youngest.chunk);
        self.cool(count);
        self.trimmed = 0;
        true
    }
}

impl Drop for Class {
    /// The slab then unmaps chunks without a stack in use.
    fn drop(&mut self) {
        self.slab.forget_held(&std::mem::take(&mut self.hot));
    }
}

/// The logarithm of the smallest size that is large enough.
fn class_for(stack_bytes: usize) -> io::Result<u8> {
    let bytes = stack_bytes.max(STACK_BYTES_MIN).max(page_bytes());
    // For the next power of two; one and not zero for the largest number of all.
    let class = usize::BITS - (bytes - 1).leading_zeros();
    match u8::try_from(class) {
        Ok(class) if class < CLASS_MIN + CLASSES_U8 => Ok(class),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a stack of {stack_bytes} bytes is more than one may ask for"),
        )),
    }
}

fn place_of(class: u8) -> usize {
    usize::from(class - CLASS_MIN)
}

/// A caught panic with a backtrace needs 24 KiB: with smaller stacks a program dies when a user
/// asks for one.
const STACK_BYTES_MIN: usize = 1 << CLASS_MIN;
const CLASS_MIN: u8 = 15;

/// 32 KiB to 64 GiB. Arbitrary above some 64 MiB: to allow larger ones costs nothing.
const CLASSES: usize = 22;
const CLASSES_U8: u8 = 22;

/// Free stacks that an idle shard keeps, of each size. Arbitrary: enough for the bursts of a busy
/// shard, and with their topmost pages no more than 3 MiB.
const HOT_KEPT: usize = 256;

/// The most free stacks that wait for a trim; arbitrary.
const HOT_WATERMARK: usize = 1024;

/// How many stacks become cold at once when the list passes its watermark: neighbours among them
/// share one system call.
const COOL_AT_ONCE: usize = 64;

/// The most work of a trim: some 100 ns for each stack made cold, some µs for each stack trimmed.
const COOLED_BY_TRIM: usize = 256;
const TRIMMED_BY_TRIM: usize = 64;

/// The pages that a free stack keeps: a fiber that parks uses one, a handler two or three.
const PAGES_KEPT: usize = 3;

/// Checks the kind of guards that the environment names.
///
/// # Errors
///
/// `InvalidInput` if there is no such kind, `Unsupported` if the system does not have it.
pub(crate) fn check_guards() -> io::Result<()> {
    Guards::of_this_process().map(drop)
}

#[cfg(test)]
mod tests;
