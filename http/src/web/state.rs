//! Values of handlers without globals: shared ones, and one for each shard.
//!
//! What all shards share is in an `Arc` or in the state of a [`Router`](super::Router), and is
//! `Sync`. What each shard has for itself is in a [`PerShard`], which is `Sync` whatever its values
//! are: no value ever leaves its shard.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use straightline_sched::shard_local;
use straightline_sched::sync::OnceCell;

/// A value for each shard, made at its first use there: a cache, a pool of connections, counters
/// without locks.
///
/// The value need not be `Send`, and needs no lock: its shard has one thread. Chance decides which
/// shard a client's connection reaches, and shards come and go (see
/// [`build_with`](crate::ServerBuilder::build_with)), so keep only caches and pools here. What
/// clients must find again belongs into shared state or a database.
///
/// A `PerShard` is for the life of the program: its values are dropped when their shard ends, the
/// youngest first, on a fiber, and not when the `PerShard` is dropped. In a plain test each request
/// of a `testing::Client` has a shard of its own; within `sched::run` all have the same.
///
/// ```
/// use std::cell::RefCell;
/// use std::collections::HashMap;
/// use straightline::Request;
/// use straightline::web::{PerShard, RequestExt, Router};
///
/// type Cache = RefCell<HashMap<String, String>>;
///
/// struct App {
///     cache: PerShard<Cache>,
/// }
///
/// fn length(request: &mut Request, app: &App) -> String {
///     let name = request.path().to_owned();
///     let cache = app.cache.get();
///     if let Some(known) = cache.borrow().get(&name) {
///         return known.clone();
///     }
///     let made = format!("{} bytes\n", name.len()); // may wait: nothing is borrowed here
///     cache.borrow_mut().insert(name, made.clone());
///     made
/// }
///
/// let app = App { cache: PerShard::new(Cache::default) };
/// let router = Router::with_state(app).get("/{*path}", length);
/// straightline::Server::builder().bind("127.0.0.1:0").build(router)?;
/// # std::io::Result::Ok(())
/// ```
pub struct PerShard<T: 'static> {
    /// Identifies it among the values of a shard.
    number: u64,
    make: Arc<dyn Fn() -> T + Send + Sync>,
}

/// The values of a shard; the youngest is dropped first.
#[derive(Default)]
struct Values(RefCell<Vec<(u64, Rc<dyn Any>)>>);

shard_local! {
    static VALUES: Values = Values::default();
}

impl<T: 'static> PerShard<T> {
    /// Values that `make` makes, on the thread of their shard. It may wait: fibers that ask for the
    /// value meanwhile wait for it. If it unwinds, the next fiber tries again.
    ///
    /// Not a yield point.
    pub fn new(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        Self { number: NUMBERS.fetch_add(1, Ordering::Relaxed), make: Arc::new(make) }
    }

    /// The value of this shard.
    ///
    /// A fiber that unwinds (in a destructor) while another one makes the value gets a value of its
    /// own, because it must not wait.
    ///
    /// # Blocking
    ///
    /// A yield point if another fiber is making the value, and where the function that makes it is
    /// one. Not a yield point if the value exists.
    ///
    /// # Cancellation
    ///
    /// If the function that makes the value unwinds, there is no value, and the next fiber makes
    /// one.
    ///
    /// # Panics
    ///
    /// Outside of a fiber, and when the function asks for the value that it makes.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    /// use straightline::sched;
    /// use straightline::web::PerShard;
    ///
    /// let hits = PerShard::new(|| Cell::new(0));
    /// sched::run(move || {
    ///     hits.get().set(1);
    ///     assert!(Rc::ptr_eq(&hits.get(), &hits.get()));
    ///     assert_eq!(hits.with(Cell::get), 1);
    /// });
    /// ```
    #[must_use]
    pub fn get(&self) -> Rc<T> {
        let Ok(cell) = VALUES.with(|values| values.cell::<T>(self.number)) else {
            return Rc::new((self.make)());
        };
        match cell.get_or_init(|| Rc::new((self.make)())) {
            Ok(value) => Rc::clone(value),
            Err(_unwinding) => Rc::new((self.make)()),
        }
    }

    /// Calls `body` with the value of this shard. It may wait.
    ///
    /// # Blocking
    ///
    /// As [`get`](Self::get), and as `body`.
    ///
    /// # Cancellation
    ///
    /// As [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get), and when `body` does.
    pub fn with<R>(&self, body: impl FnOnce(&T) -> R) -> R {
        body(&self.get())
    }
}

impl<T> Clone for PerShard<T> {
    /// The clone has the same values.
    fn clone(&self) -> Self {
        Self { number: self.number, make: Arc::clone(&self.make) }
    }
}

impl<T> fmt::Debug for PerShard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerShard").finish_non_exhaustive()
    }
}

impl Values {
    /// The cell of that number, empty if this is the first use.
    fn cell<T: 'static>(&self, number: u64) -> Rc<OnceCell<Rc<T>>> {
        let mut list = self.0.borrow_mut();
        let found = list.iter().find(|(other, _)| *other == number);
        if let Some(cell) = found.and_then(|(_, cell)| Rc::clone(cell).downcast().ok()) {
            return cell;
        }
        let cell = Rc::new(OnceCell::new());
        let erased: Rc<dyn Any> = Rc::<OnceCell<Rc<T>>>::clone(&cell);
        list.push((number, erased));
        cell
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        // One at a time: a destructor is code of the program, and may look for a value.
        while let Some(youngest) = self.0.get_mut().pop() {
            drop(youngest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use straightline_sched as sched;

    use super::*;

    #[test]
    fn each_shard_makes_its_value_once_even_if_that_waits() {
        let made = Arc::new(AtomicU64::new(0));
        let values = PerShard::new({
            let made = Arc::clone(&made);
            move || {
                sched::sleep(Duration::from_millis(1));
                made.fetch_add(1, Ordering::Relaxed);
                Rc::new(Cell::new(0_u32))
            }
        });
        for _ in 0..2 {
            let values = values.clone();
            sched::run(move || {
                sched::scope(|scope| {
                    for _ in 0..8 {
                        scope.spawn(|| values.with(|count| count.set(count.get() + 1)));
                    }
                });
                assert_eq!(values.get().get(), 8);
            });
        }
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn values_are_dropped_with_their_shard_the_youngest_first() {
        struct Told(&'static str, Arc<parking_lot::Mutex<Vec<&'static str>>>);

        impl Drop for Told {
            fn drop(&mut self) {
                self.1.lock().push(self.0);
            }
        }

        let dropped: Arc<parking_lot::Mutex<Vec<_>>> = Arc::default();
        let value = |name| {
            let dropped = Arc::clone(&dropped);
            PerShard::new(move || Told(name, Arc::clone(&dropped)))
        };
        let (first, second) = (value("first"), value("second"));
        sched::run(move || {
            assert_eq!((first.get().0, second.get().0), ("first", "second"));
        });
        assert_eq!(*dropped.lock(), ["second", "first"]);
    }
}
