//! Lists drawn from the seed; a failing run is repeated with as few of their elements as possible.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::rc::Rc;

use crate::driver::{Random, World};

/// Draws a list from the seed: of faults, of requests, of anything that the run needs.
///
/// Other draws do not change it. When a run of [`check`](super::check()) fails, elements are left
/// out of its plans as long as it still fails, and the report shows the history of the rest. So an
/// element should make sense without the others.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a simulation.
///
/// ```
/// use straightline_sched::sim;
///
/// sim::run(7, || {
///     let delays = sim::plan(|random| (0..3).map(|_| random.below(100)).collect());
///     assert_eq!(delays.len(), 3);
/// });
/// ```
#[track_caller]
pub fn plan<T: Debug>(draw: impl FnOnce(&mut Random) -> Vec<T>) -> Vec<T> {
    let world = World::expect_current();
    let plans = world.local(Plans::default);
    let list = draw(&mut world.plan_random());
    let first = plans.count.replace(plans.count.get() + list.len());
    let is_left = |index: usize| !plans.left_out.borrow().contains(&index);
    let numbered = (first..).zip(list);
    let list: Vec<T> =
        numbered.filter(|(index, _)| is_left(*index)).map(|(_, element)| element).collect();
    for element in &list {
        world.note(|| format!("plan: {element:?}"));
    }
    list
}

/// The elements of all plans of a simulation, counted in the order in which they were drawn.
#[derive(Default)]
pub(super) struct Plans {
    count: Cell<usize>,
    left_out: RefCell<BTreeSet<usize>>,
}

impl Plans {
    pub(super) fn of(world: &World) -> Rc<Self> {
        world.local(Self::default)
    }

    pub(super) fn leave_out(&self, elements: BTreeSet<usize>) {
        self.left_out.replace(elements);
    }

    pub(super) fn count(&self) -> usize {
        self.count.get()
    }
}
