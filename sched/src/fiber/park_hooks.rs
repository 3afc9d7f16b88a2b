//! The hooks that a fiber calls before it waits.
//!
//! A hook is called once, the newest first. A hook that was set while another one ran *pauses*: it
//! is called only after the fiber has waited. No hook is called or dropped while the list is
//! borrowed.

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;

#[derive(Default)]
pub(crate) struct ParkHooks {
    /// The newest last.
    list: RefCell<Vec<Hook>>,
    /// A hook runs.
    is_running: Cell<bool>,
}

struct Hook {
    call: Rc<dyn Fn()>,
    pauses: bool,
}

impl ParkHooks {
    pub(crate) fn push(&self, call: Rc<dyn Fn()>) {
        self.list.borrow_mut().push(Hook { call, pauses: self.is_running.get() });
    }

    /// Removes a hook that has not been called yet. If it was set twice, one of the two stays.
    pub(crate) fn remove(&self, call: &Rc<dyn Fn()>) {
        let mut list = self.list.borrow_mut();
        if let Some(own) = list.iter().rposition(|hook| Rc::ptr_eq(&hook.call, call)) {
            list.remove(own);
        }
    }

    /// Whether there is no hook, not even one that pauses.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// Whether a hook is to be called before the fiber's next wait.
    pub(crate) fn is_due(&self) -> bool {
        self.list.borrow().iter().any(|hook| !hook.pauses)
    }

    /// Removes a hook that is to be called before the fiber's next wait, the newest first.
    pub(crate) fn take_due(&self) -> Option<Rc<dyn Fn()>> {
        let mut list = self.list.borrow_mut();
        let newest = list.iter().rposition(|hook| !hook.pauses)?;
        Some(list.remove(newest).call)
    }

    /// The fiber waits now: hooks that were set by hooks are called before its next wait.
    pub(crate) fn end_pause(&self) {
        self.list.borrow_mut().iter_mut().for_each(|hook| hook.pauses = false);
    }

    /// Calls the hook that [`take_due`](Self::take_due) returned.
    pub(crate) fn call(&self, hook: &dyn Fn()) {
        struct Restore<'h>(&'h Cell<bool>, bool);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        // The hook may wait, and another hook may run meanwhile.
        let _restore = Restore(&self.is_running, self.is_running.replace(true));
        hook();
    }

    /// Removes all of them; the caller drops them.
    pub(crate) fn take(&self) -> impl Iterator<Item = Rc<dyn Fn()>> {
        self.list.take().into_iter().map(|hook| hook.call)
    }

    /// Removes all of them, and drops none: their memory is not freed. The list's own is.
    pub(crate) fn forget(&self) {
        self.list.take().into_iter().for_each(mem::forget);
    }
}
