//! The hooks that run each time a fiber gives its thread away, and each time it gets it back.
//!
//! A hook knows whether its fiber is suspended: so it is called in turns, whatever is removed from
//! the list while hooks run. No hook is called or dropped while the list is borrowed.

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;

/// Code that runs each time a fiber gives its thread away, and each time it gets it back; see
/// [`on_switch`](crate::on_switch), which has an example.
pub trait SwitchHook {
    /// The fiber has given its thread away: it waits, rests between two activations, or has ended.
    /// Other fibers run next. Not called on a fiber.
    fn on_suspend(&self);

    /// The fiber gets its thread back, after an [`on_suspend`](Self::on_suspend). Not called on a
    /// fiber.
    fn on_resume(&self);
}

/// The hooks of one fiber.
#[derive(Default)]
pub(crate) struct SwitchHooks {
    /// The newest last.
    list: RefCell<Vec<Entry>>,
    next_id: Cell<u64>,
}

struct Entry {
    id: u64,
    hook: Rc<dyn SwitchHook>,
    is_suspended: bool,
}

impl SwitchHooks {
    /// Adds a hook of the running fiber; returns the number by which it is removed.
    pub(crate) fn push(&self, hook: Rc<dyn SwitchHook>) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        self.list.borrow_mut().push(Entry { id, hook, is_suspended: false });
        id
    }

    /// Removes a hook; the caller drops it.
    pub(crate) fn remove(&self, id: u64) -> Option<Rc<dyn SwitchHook>> {
        let mut list = self.list.borrow_mut();
        let own = list.iter().position(|entry| entry.id == id)?;
        Some(list.remove(own).hook)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// The next hook to tell that the fiber was suspended: the newest first.
    pub(crate) fn next_to_suspend(&self) -> Option<Rc<dyn SwitchHook>> {
        let mut list = self.list.borrow_mut();
        let entry = list.iter_mut().rev().find(|entry| !entry.is_suspended)?;
        entry.is_suspended = true;
        Some(Rc::clone(&entry.hook))
    }

    /// The next hook to tell that the fiber is resumed: the oldest first.
    pub(crate) fn next_to_resume(&self) -> Option<Rc<dyn SwitchHook>> {
        let mut list = self.list.borrow_mut();
        let entry = list.iter_mut().find(|entry| entry.is_suspended)?;
        entry.is_suspended = false;
        Some(Rc::clone(&entry.hook))
    }

    /// Removes all of them; the caller drops them.
    pub(crate) fn take(&self) -> impl Iterator<Item = Rc<dyn SwitchHook>> {
        self.list.take().into_iter().map(|entry| entry.hook)
    }

    /// Removes all of them, and drops none: their memory is not freed. The list's own is.
    pub(crate) fn forget(&self) {
        self.list.take().into_iter().for_each(mem::forget);
    }
}
