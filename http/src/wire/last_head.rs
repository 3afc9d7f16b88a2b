//! The head that the client sent last, remembered while the connection has its link.

use std::cell::RefCell;
use std::sync::Arc;

use crate::control::{Held, Memory};
use crate::proto::{Head, HeadMemory, HeadParser, Limits, Refusal};

/// What is remembered of the client's heads.
pub(super) struct LastHead {
    known: RefCell<Known>,
}

struct Known {
    memory: HeadMemory,
    /// Counts what the memory takes.
    held: Held,
}

impl LastHead {
    pub(super) fn new(memory: &Arc<Memory>) -> Self {
        Self { known: RefCell::new(Known { memory: HeadMemory::default(), held: memory.none() }) }
    }

    /// See [`HeadParser::parse`]: only what is not as it was in the last head is parsed.
    #[inline]
    pub(super) fn parse(
        &self,
        parser: &mut HeadParser,
        bytes: &[u8],
        limits: &Limits,
        head: &mut Head,
    ) -> Result<bool, Refusal> {
        if parser.is_within_head() {
            return parser.parse(bytes, limits, head); // what is left of it is not worth a look
        }
        let mut known = self.known.borrow_mut();
        if known.memory.recall(bytes, limits, head) {
            return Ok(true);
        }
        let is_complete = parser.parse(bytes, limits, head)?;
        if is_complete && known.memory.learn(bytes, head) {
            let size = known.memory.size();
            known.held.set(size);
        }
        Ok(is_complete)
    }

    /// Forgets the client's heads, and frees their memory.
    #[inline]
    pub(super) fn forget(&self) {
        let mut known = self.known.borrow_mut();
        if known.memory.forget() {
            known.held.set(0);
        }
    }
}
