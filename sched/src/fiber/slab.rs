//! Stacks of one size, cut from large mappings.
//!
//! A *chunk* is one mapping. It is cut into slots, each a guard at the low end and a stack above
//! it. The first chunk is small, and each further one as large as all before, so that a million
//! stacks are some twenty chunks. If the system refuses a large mapping, the slab asks for half the
//! size.
//!
//! A slot is *fresh* until it is first handed out, when its guard is made; *held* while a
//! [`FiberStack`] of it exists, in use or in the pool's hot list with its pages; and *cold* when it
//! came back and its pages went to the system. A chunk without a held stack is unmapped, but only
//! after two sweeps have found it so.
//!
//! Slots come from the oldest chunk, so that use gathers there and later chunks become empty.

use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;

use super::memory::{Guards, Region, guard_bytes};
use super::quota::Quotas;
use super::stack::FiberStack;

pub(super) struct Slab {
    /// Every stack's size: `1 << class`.
    class: u8,
    guards: Guards,
    quotas: &'static Quotas,
    /// A stack knows its chunk by the index here.
    chunks: Vec<Option<Chunk>>,
    /// The chunks that have a slot to hand out, cold or fresh.
    open: BTreeSet<u32>,
}

/// Why the youngest chunk could be emptied.
pub(super) struct Youngest {
    pub(super) chunk: u32,
    /// Its stacks in use and in the hot list.
    pub(super) held: usize,
    /// Free slots of the older chunks.
    pub(super) cold_in_others: usize,
}

struct Chunk {
    region: Region,
    slots: usize,
    /// Slots `0..made` have their guards; `made == held + cold.len()`.
    made: usize,
    /// How many of the made slots have a mapping as their guard.
    guard_mappings: usize,
    held: usize,
    cold: Vec<u32>,
    /// No stack of it was held at the last sweep, nor since.
    unused: bool,
}

impl Slab {
    pub(super) fn new(class: u8, guards: Guards, quotas: &'static Quotas) -> Self {
        Self { class, guards, quotas, chunks: Vec::new(), open: BTreeSet::new() }
    }

    /// A stack without resident pages.
    ///
    /// # Errors
    ///
    /// `QuotaExceeded` at the process's limits; otherwise the system's error.
    pub(super) fn take(&mut self) -> io::Result<FiberStack> {
        let index = match self.open.first() {
            Some(index) => *index,
            None => self.grow()?,
        };
        match self.take_of(index) {
            Ok(stack) => Ok(stack),
            // The system has no memory for the guard of a fresh slot; a cold slot has its guard
            // already.
            Err(error) => {
                let has_cold = |index: &&u32| !self.chunk(**index).cold.is_empty();
                let index = self.open.iter().find(has_cold).copied().ok_or(error)?;
                self.take_of(index)
            }
        }
    }

    /// Takes stacks back and gives their pages to the system.
    pub(super) fn cool(&mut self, mut stacks: Vec<FiberStack>) {
        stacks.sort_unstable_by_key(|stack| (stack.chunk(), stack.base_address()));
        // One call gives back the pages of neighbours.
        let mut run: Option<(u32, Range<usize>)> = None;
        for stack in stacks {
            let (index, range) = (stack.chunk(), self.usable_of(&stack));
            self.record_cold(index, &range);
            run = match run {
                Some((same, before))
                    if same == index && before.end + guard_bytes() == range.start =>
                {
                    Some((index, before.start..range.end))
                }
                before => {
                    self.discard_cold(before);
                    Some((index, range))
                }
            };
        }
        self.discard_cold(run);
    }

    /// Takes back stacks that will not be used again.
    pub(super) fn forget_held(&mut self, stacks: &[FiberStack]) {
        for stack in stacks {
            self.chunk_mut(stack.chunk()).held -= 1;
        }
    }

    /// Gives the pages of a free stack to the system, except the topmost `keep_bytes`.
    pub(super) fn trim(&self, stack: &FiberStack, keep_bytes: usize) {
        let range = self.usable_of(stack);
        let lower = range.start..range.end.saturating_sub(keep_bytes).max(range.start);
        // SAFETY: the owner of the stack does not run on it, and data that is left on a stack on
        // which no code runs is not used.
        unsafe { self.chunk(stack.chunk()).region.discard(lower) };
    }

    /// How many bytes of a free stack take memory, from its top down.
    pub(super) fn resident_bytes(&self, stack: &FiberStack) -> usize {
        let range = self.usable_of(stack);
        let lowest = self.chunk(stack.chunk()).region.first_resident(range.clone());
        lowest.map_or(0, |lowest| range.end - lowest)
    }

    /// Unmaps a chunk that was not used since the sweep before, or several small ones.
    pub(super) fn sweep(&mut self) {
        let mut slots_unmapped = 0;
        for index in 0..self.chunks.len() {
            let Some(chunk) = self.chunks[index].as_mut().filter(|chunk| chunk.held == 0) else {
                continue;
            };
            if !chunk.unused {
                chunk.unused = true;
            } else if slots_unmapped == 0 || slots_unmapped + chunk.slots <= SWEPT_SLOTS {
                slots_unmapped += chunk.slots;
                self.unmap(index);
            }
        }
    }

    /// The last chunk, which is usually the largest.
    pub(super) fn youngest(&self) -> Option<Youngest> {
        let index = self.chunks.iter().rposition(Option::is_some)?;
        let (chunk, others) = (self.chunks[index].as_ref()?, &self.chunks[..index]);
        let cold_in_others = others.iter().flatten().map(|chunk| chunk.cold.len()).sum();
        Some(Youngest { chunk: u32::try_from(index).ok()?, held: chunk.held, cold_in_others })
    }

    /// Whether some chunk has no stack in use, which a [`sweep`](Self::sweep) or two would find.
    pub(super) fn has_unused_chunks(&self) -> bool {
        self.chunks.iter().flatten().any(|chunk| chunk.held == 0)
    }

    pub(super) fn has_cold(&self) -> bool {
        self.chunks.iter().flatten().any(|chunk| !chunk.cold.is_empty())
    }

    pub(super) fn cold(&self) -> usize {
        self.chunks.iter().flatten().map(|chunk| chunk.cold.len()).sum()
    }

    pub(super) fn mapped_bytes(&self) -> usize {
        self.chunks.iter().flatten().map(|chunk| chunk.region.bytes()).sum()
    }

    /// A stack of an open chunk.
    fn take_of(&mut self, index: u32) -> io::Result<FiberStack> {
        let (class, guards, quotas) = (self.class, self.guards, self.quotas);
        let chunk = self.chunk_mut(index);
        let slot = match chunk.cold.pop() {
            Some(slot) => slot as usize,
            None => chunk.make(class, guards, quotas)?,
        };
        chunk.held += 1;
        chunk.unused = false;
        let full = chunk.held == chunk.slots;
        let base = NonZeroUsize::new(chunk.region.start() + chunk.usable(class, slot).end);
        if full {
            self.open.remove(&index);
        }
        let Some(base) = base else { unreachable!("a stack at address zero") };
        Ok(FiberStack::new(base, index, class))
    }

    /// Maps one more chunk, as large as the system allows.
    fn grow(&mut self) -> io::Result<u32> {
        let stride = (1 << self.class) + guard_bytes();
        let bytes_max = match self.guards {
            Guards::Markers => CHUNK_BYTES_MAX,
            Guards::Mappings => CHUNK_BYTES_FIRST,
        };
        let bytes = self.mapped_bytes().max(CHUNK_BYTES_FIRST).min(bytes_max);
        let mut slots = (bytes / stride).max(1);
        let region = loop {
            match self.map(slots * stride) {
                Ok(region) => break region,
                Err(error) if slots == 1 => return Err(error),
                Err(_) => slots /= 2,
            }
        };
        let chunk = Chunk {
            region,
            slots,
            made: 0,
            guard_mappings: 0,
            held: 0,
            cold: Vec::new(),
            unused: false,
        };
        let place = self.chunks.iter().position(Option::is_none).unwrap_or(self.chunks.len());
        if place == self.chunks.len() {
            self.chunks.push(None);
        }
        self.chunks[place] = Some(chunk);
        let index = u32::try_from(place).map_err(io::Error::other)?;
        self.open.insert(index);
        Ok(index)
    }

    fn map(&self, bytes: usize) -> io::Result<Region> {
        self.quotas.address_bytes.take(bytes)?;
        Region::map(bytes).inspect_err(|_| self.quotas.address_bytes.give(bytes))
    }

    /// Unmaps a chunk of which no stack is held.
    fn unmap(&mut self, index: usize) {
        let Some(mut chunk) = self.chunks[index].take() else { return };
        assert_eq!(chunk.held, 0, "a chunk is unmapped under a stack");
        let bytes = chunk.region.bytes();
        // SAFETY: no stack of the chunk is held.
        match unsafe { chunk.region.unmap() } {
            Ok(()) => {
                self.open.retain(|open| *open as usize != index);
                self.quotas.address_bytes.give(bytes);
                self.quotas.guard_mappings.give(chunk.guard_mappings);
            }
            // To cut a mapping in two takes one more mapping, and there may be none. Try again
            // later.
            Err(region) => {
                chunk.region = region;
                chunk.unused = false;
                self.chunks[index] = Some(chunk);
            }
        }
    }

    fn record_cold(&mut self, index: u32, range: &Range<usize>) {
        let slot = range.start / ((1 << self.class) + guard_bytes());
        let chunk = self.chunk_mut(index);
        chunk.cold.push(u32::try_from(slot).unwrap_or_else(|_| unreachable!("slots fit")));
        chunk.held -= 1;
        self.open.insert(index);
    }

    fn discard_cold(&self, run: Option<(u32, Range<usize>)>) {
        if let Some((index, range)) = run {
            // SAFETY: the slots were given back, and `cool`, which borrows the slab, hands none
            // out: no code uses them.
            unsafe { self.chunk(index).region.discard(range) };
        }
    }

    /// Where a stack lies in its chunk's region.
    fn usable_of(&self, stack: &FiberStack) -> Range<usize> {
        debug_assert_eq!(stack.class(), self.class, "a stack of another slab");
        let end = stack.base_address() - self.chunk(stack.chunk()).region.start();
        end - (1 << self.class)..end
    }

    fn chunk(&self, index: u32) -> &Chunk {
        match &self.chunks[index as usize] {
            Some(chunk) => chunk,
            None => unreachable!("a stack of an unmapped chunk"),
        }
    }

    fn chunk_mut(&mut self, index: u32) -> &mut Chunk {
        match &mut self.chunks[index as usize] {
            Some(chunk) => chunk,
            None => unreachable!("a stack of an unmapped chunk"),
        }
    }
}

impl Chunk {
    /// Puts a guard under the next fresh slot.
    fn make(&mut self, class: u8, guards: Guards, quotas: &Quotas) -> io::Result<usize> {
        let slot = self.made;
        debug_assert!(slot < self.slots, "a full chunk counts as open");
        let usable = self.usable(class, slot);
        let guard = usable.start - guard_bytes()..usable.start;
        if guards == Guards::Mappings || !self.mark(guard.clone())? {
            quotas.guard_mappings.take(1)?;
            // SAFETY: the slot was never handed out.
            let guarded = unsafe { self.region.guard(guard, Guards::Mappings) };
            guarded.inspect_err(|_| quotas.guard_mappings.give(1))?;
            self.guard_mappings += 1;
        }
        self.made += 1;
        Ok(slot)
    }

    /// Marks a guard; refused if the memory has been locked since the process began.
    fn mark(&self, guard: Range<usize>) -> io::Result<bool> {
        // SAFETY: the slot was never handed out.
        match unsafe { self.region.guard(guard, Guards::Markers) } {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where a slot's stack lies in the region, above its guard.
    fn usable(&self, class: u8, slot: usize) -> Range<usize> {
        let start = slot * ((1 << class) + guard_bytes()) + guard_bytes();
        debug_assert!(start + (1 << class) <= self.region.bytes());
        start..start + (1 << class)
    }
}

impl Drop for Slab {
    /// A stack with the frames of a given-up fiber stays mapped.
    fn drop(&mut self) {
        for index in 0..self.chunks.len() {
            if self.chunks[index].as_ref().is_some_and(|chunk| chunk.held == 0) {
                self.unmap(index);
            }
        }
    }
}

/// The first chunk's size, unless a single stack is larger. It is the size of all chunks where each
/// stack is a mapping or two anyway, or where the process may have its memory locked, which makes a
/// whole chunk resident. Arbitrary: a small program's fibers fit, and its page tables are few.
const CHUNK_BYTES_FIRST: usize = 4 << 20;

/// To unmap so many takes about a millisecond if each has a mapping for its guard.
const SWEPT_SLOTS: usize = 1024;

/// Unless a single stack is larger. Arbitrary: 32 TiB are then 8,192 mappings.
const CHUNK_BYTES_MAX: usize = 4 << 30;
