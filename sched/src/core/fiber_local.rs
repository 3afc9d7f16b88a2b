//! Fiber-locals: a value for each fiber, as `thread_local!` has one for each thread.
//!
//! All fibers of a thread share a thread-local, and its initialiser may not wait (that of
//! `shard_local` may). A value of one request (its logger, its trace id) is a fiber-local; with
//! `inherited`, the fibers that the request spawns begin with a clone of it.

use std::any::Any;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use super::contain::discard;
use super::local;
use super::shard::Shard;
use crate::fiber::{FiberCell, Inherit, Local, Locals, with_running};

/// Declares fiber-locals, as [`std::thread_local!`] declares thread-locals.
///
/// The value is made at the fiber's first use of it and dropped on the fiber when it ends. With
/// `inherited` before the name, a new fiber begins with a clone of its parent's value, if the
/// parent had used it.
///
/// ```
/// use std::cell::{Cell, RefCell};
/// use straightline_sched::{self as sched, fiber_local};
///
/// fiber_local! {
///     static CALLS: Cell<u32> = Cell::new(0);
///     static inherited USER: RefCell<String> = RefCell::new("nobody".into());
/// }
///
/// sched::run(|| {
///     CALLS.with(|calls| calls.set(1));
///     USER.with(|user| user.replace("ann".into()));
///     let child = sched::spawn(|| (CALLS.with(Cell::get), USER.with(RefCell::take)));
///     assert_eq!(child.join().unwrap(), (0, "ann".to_string())); // its own clone
/// });
/// ```
#[macro_export]
macro_rules! fiber_local {
    () => {};
    ($(#[$meta:meta])* $visibility:vis static inherited $name:ident : $type:ty = $init:expr
        $(; $($rest:tt)*)?) => {
        $(#[$meta])*
        $visibility static $name: $crate::FiberLocal<$type> =
            $crate::FiberLocal::inherited(|| $init);
        $($crate::fiber_local!($($rest)*);)?
    };
    ($(#[$meta:meta])* $visibility:vis static $name:ident : $type:ty = $init:expr
        $(; $($rest:tt)*)?) => {
        $(#[$meta])*
        $visibility static $name: $crate::FiberLocal<$type> = $crate::FiberLocal::new(|| $init);
        $($crate::fiber_local!($($rest)*);)?
    };
}

/// Runs `body` with fiber-locals of its own, as if the calling fiber had spawned a fiber for it: it
/// begins with clones of the inherited ones, and its values are dropped when it is over. For a
/// fiber that does one piece of work after the other, where no piece may see the values of another.
///
/// Not a yield point itself, but the values' destructors may wait.
///
/// # Panics
///
/// When `body` does, and outside of a fiber.
///
/// ```
/// use std::cell::RefCell;
/// use straightline_sched::{self as sched, fiber_local};
///
/// fiber_local! {
///     static inherited TENANT: RefCell<String> = RefCell::new("nobody".into());
///     static USER: RefCell<String> = RefCell::new("nobody".into());
/// }
///
/// sched::run(|| {
///     TENANT.with(|name| name.replace("acme".into()));
///     USER.with(|name| name.replace("root".into()));
///     sched::with_own_locals(|| {
///         assert_eq!(TENANT.with(RefCell::take), "acme");
///         assert_eq!(USER.with(|name| name.replace("ann".into())), "nobody");
///     });
///     assert_eq!(TENANT.with(RefCell::take), "acme");
///     assert_eq!(USER.with(RefCell::take), "root");
/// });
/// ```
pub fn with_own_locals<T>(body: impl FnOnce() -> T) -> T {
    with_own_locals_unless(body, |_| false)
}

/// As [`with_own_locals`], but if `is_last` says so of the value of `body`, its values stay: until
/// the end of the fiber, or its next call.
fn with_own_locals_unless<T>(body: impl FnOnce() -> T, is_last: impl FnOnce(&T) -> bool) -> T {
    let fiber = local::with(Shard::current);
    let outer = has_locals(&fiber).then(|| replace_locals(&fiber, inherited(&fiber)));
    let outcome = catch_unwind(AssertUnwindSafe(body));
    if outcome.as_ref().is_ok_and(is_last) {
        discard_all(outer.unwrap_or_default());
    } else {
        if has_locals(&fiber) {
            drop_locals(&fiber);
        }
        if let Some(outer) = outer {
            replace_locals(&fiber, outer);
        }
    }
    outcome.unwrap_or_else(|payload| resume_unwind(payload))
}

/// As [`with_own_locals`], for a fiber that ends if `body` unwinds, and also if `is_last` says so
/// of the value of `body`: the end of the fiber drops the values then.
#[doc(hidden)]
#[inline]
pub fn with_own_locals_or_end<T>(body: impl FnOnce() -> T, is_last: impl FnOnce(&T) -> bool) -> T {
    if with_running(has_locals) != Some(false) {
        return with_own_locals_unless(body, is_last);
    }
    let value = body();
    if with_running(has_locals) == Some(true) && !is_last(&value) {
        drop_locals(&local::with(Shard::current));
    }
    value
}

/// The key of a fiber-local; declared by [`fiber_local!`].
pub struct FiberLocal<T: 'static> {
    init: fn() -> T,
    inherit: Option<Inherit>,
}

impl<T: 'static> FiberLocal<T> {
    /// For [`fiber_local!`]: the address of a key identifies it, so it must be a `static`.
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> Self {
        Self { init, inherit: None }
    }

    /// Calls `body` with the fiber's value, which is made first if this is its first use.
    ///
    /// Not a yield point, unless `body` or the initial value's expression is.
    ///
    /// # Panics
    ///
    /// Outside of a fiber.
    pub fn with<R>(&'static self, body: impl FnOnce(&T) -> R) -> R {
        let fiber = local::with(Shard::current);
        let value = self.get(&fiber).unwrap_or_else(|| {
            // No borrow is held: the expression may use other fiber-locals, or wait.
            let value: Rc<dyn Any> = Rc::new((self.init)());
            put_local(
                &fiber,
                Local { key: self.key(), value: Rc::clone(&value), inherit: self.inherit },
            );
            value
        });
        match value.downcast_ref() {
            Some(value) => body(value),
            None => unreachable!("a fiber-local of another type at the same address"),
        }
    }

    /// As [`with`](Self::with), unless the fiber has no value yet: then it makes none.
    #[cfg(feature = "tracing")]
    pub(crate) fn with_existing<R>(&'static self, body: impl FnOnce(&T) -> Option<R>) -> Option<R> {
        let fiber = local::with(Shard::current);
        self.get(&fiber)?.downcast_ref().and_then(body)
    }

    fn get(&'static self, fiber: &FiberCell) -> Option<Rc<dyn Any>> {
        let locals = fiber.cold()?.locals.borrow();
        let found = locals.iter().find(|local| local.key == self.key())?;
        Some(Rc::clone(&found.value))
    }

    fn key(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<T: Clone + 'static> FiberLocal<T> {
    /// For [`fiber_local!`].
    #[doc(hidden)]
    pub const fn inherited(init: fn() -> T) -> Self {
        Self { init, inherit: Some(clone_of::<T>) }
    }
}

impl<T> fmt::Debug for FiberLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FiberLocal")
            .field("inherited", &self.inherit.is_some())
            .finish_non_exhaustive()
    }
}

fn clone_of<T: Clone + 'static>(value: &dyn Any) -> Rc<dyn Any> {
    match value.downcast_ref::<T>() {
        Some(value) => Rc::new(value.clone()),
        None => unreachable!("the value was stored with its own type's function"),
    }
}

/// Sets a value; the former value is dropped at the end.
fn put_local(fiber: &FiberCell, local: Local) {
    fiber.cold_mut().locals.borrow_mut().push(local);
}

#[inline]
fn has_locals(fiber: &FiberCell) -> bool {
    fiber.cold().is_some_and(|cold| !cold.locals.borrow().is_empty())
}

/// Replaces the fiber's values; returns the former ones.
#[cold]
fn replace_locals(fiber: &FiberCell, locals: Locals) -> Locals {
    fiber.cold_mut().locals.replace(locals)
}

/// The values with which a fiber begins that this fiber spawns.
pub(super) fn inherited(fiber: &FiberCell) -> Locals {
    let Some(cold) = fiber.cold() else { return Locals::new() };
    // Values are cloned without a borrow: a `clone` may use fiber-locals itself.
    let inherited: Vec<_> = (cold.locals.borrow().iter())
        .filter_map(|local| Some((local.key, Rc::clone(&local.value), local.inherit?)))
        .collect();
    let clones = inherited.into_iter().map(|(key, value, inherit)| Local {
        key,
        value: inherit(&*value),
        inherit: Some(inherit),
    });
    clones.collect()
}

/// At the fiber's end, on its own stack: the values' destructors may wait.
pub(super) fn drop_locals(fiber: &FiberCell) {
    // A destructor may use a fiber-local again, and so make a new value: a few rounds.
    for _ in 0..LOCALS_ROUNDS_MAX {
        let Some(locals) = fiber.cold().map(|cold| cold.locals.take()) else { return };
        if locals.is_empty() {
            return;
        }
        discard_all(locals);
    }
    // If they stayed in the fiber's record, they could be dropped on another stack.
    let left = fiber.cold().map(|cold| cold.locals.take());
    left.into_iter().flatten().for_each(mem::forget);
}

/// Drops values that no fiber has any more. A panic of one destructor does not keep the others from
/// running.
fn discard_all(locals: Locals) {
    locals.into_iter().rev().for_each(discard);
}

/// As glibc does with thread-specific data; values that are left after that are leaked, as there.
const LOCALS_ROUNDS_MAX: u32 = 4;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::panic::Location;

    use super::*;
    use crate::fiber::{FiberKey, SpawnInfo, Tick};

    fn fiber() -> FiberCell {
        let spawn_info = SpawnInfo { spawned_at: Location::caller(), spawned_in: Tick::NEVER };
        FiberCell::new(FiberKey::default(), spawn_info, Tick::NEVER)
    }

    fn local<T: 'static>(key: usize, value: T, inherit: Option<Inherit>) -> Local {
        Local { key, value: Rc::new(value), inherit }
    }

    #[test]
    fn what_is_inherited_is_a_clone_of_the_same_type() {
        let parent = fiber();
        put_local(&parent, local(1, String::from("trace"), Some(clone_of::<String>)));
        put_local(&parent, local(2, 5_u8, None));
        put_local(&parent, local(3, vec![1_u32, 2], Some(clone_of::<Vec<u32>>)));
        let inherited = inherited(&parent);
        drop_locals(&parent);
        assert_eq!(inherited.iter().map(|local| local.key).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(inherited[0].value.downcast_ref(), Some(&String::from("trace")));
        assert_eq!(inherited[1].value.downcast_ref(), Some(&vec![1_u32, 2]));
    }

    #[test]
    fn a_fiber_without_values_hands_down_none() {
        let parent = fiber();
        assert!(inherited(&parent).is_empty());
        put_local(&parent, local(1, 5_u8, None));
        assert!(inherited(&parent).is_empty());
        drop_locals(&parent);
    }

    #[test]
    fn the_youngest_is_dropped_first() {
        struct Note(u8, Rc<RefCell<Vec<u8>>>);
        impl Drop for Note {
            fn drop(&mut self) {
                self.1.borrow_mut().push(self.0);
            }
        }
        let (fiber, dropped) = (fiber(), Rc::default());
        for number in 1..=3 {
            put_local(&fiber, local(number.into(), Note(number, Rc::clone(&dropped)), None));
        }
        drop_locals(&fiber);
        assert_eq!(dropped.take(), [3, 2, 1]);
    }
}
