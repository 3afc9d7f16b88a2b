//! Whatever fibers do in trees of scopes, no fiber of a scope is alive after the scope, and the
//! scope ends in a way that a model without time predicts.
//!
//! The model says which ends are possible. If no fiber is cancelled, exactly one end is possible.
//! If a fiber may be cancelled, the end depends on which fiber runs first.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{OnDrop, run};
use quickcheck::{Arbitrary, Gen, quickcheck};
use straightline_sched::{self as sched, JoinHandle, Scope};

/// A scope: the work of its fibers, and the work of its body after it has started them.
#[derive(Clone, Debug)]
struct Tree {
    fibers: Vec<Work>,
    body: Work,
    /// Whether the body cancels the fibers at its end. It always does if a fiber waits for ever.
    cancels: bool,
}

#[derive(Clone, Debug)]
struct Work {
    steps: Vec<Step>,
    end: End,
}

#[derive(Clone, Debug)]
enum Step {
    Yield(u8),
    Sleep,
    Nested(Tree),
    Uncancellable(u8),
    /// Cancels the fiber with this number, if the scope has one. It may be the calling fiber.
    Cancel(u8),
    /// Runs the steps under a deadline of so many milliseconds, and catches that deadline.
    Deadline(u8, Vec<Step>),
    /// Runs the scope and catches its unwind. Swallows it if it is a panic.
    Catches(Tree),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Returns,
    Panics,
    /// Waits until it is cancelled.
    Waits,
}

/// The possible ends of a scope or a fiber, as a set of bits.
type Ends = u8;
const RETURNED: Ends = 1;
const PANICKED: Ends = 2;
const UNWOUND: Ends = 4;

/// The payload of the test's own panics.
struct Broken;

quickcheck! {
    fn nothing_lives_behind_a_scope_and_it_ends_as_predicted(tree: Tree) -> bool {
        run(move || {
            let before = sched::stats();
            let faults = Rc::new(RefCell::new(Vec::new()));
            let _ = catch_unwind(AssertUnwindSafe(|| run_tree(&tree, false, &faults)));
            let after = sched::stats();
            assert_eq!(*faults.borrow(), Vec::<String>::new());
            assert_eq!((after.fibers, after.abandoned), (before.fibers, 0));
            assert_eq!(after.spawned, after.ended + after.fibers);
        });
        true
    }
}

type Faults = Rc<RefCell<Vec<String>>>;
type Handles = Rc<RefCell<Vec<JoinHandle<()>>>>;

/// Runs a scope and compares it with the model; `cancellable` if the caller may be cancelled.
fn run_tree(tree: &Tree, cancellable: bool, faults: &Faults) {
    let alive = Cell::new(0_u32);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        sched::scope(|s| {
            // The handles are dropped before the scope ends, so a panic of a fiber is raised by the
            // scope.
            let handles = Handles::default();
            for (number, work) in tree.fibers.iter().enumerate() {
                start(
                    s,
                    tree.may_be_cancelled(number, cancellable),
                    work,
                    &alive,
                    &handles,
                    faults,
                );
            }
            work_at(&tree.body, cancellable, &handles, faults);
            if tree.cancels() {
                s.cancel();
            }
        });
    }));
    if alive.get() > 0 {
        faults.borrow_mut().push(format!("{} fibers are alive behind {tree:?}", alive.get()));
    }
    let ended = match &caught {
        Ok(()) => RETURNED,
        Err(payload) if sched::is_cancel(&**payload) => UNWOUND,
        Err(payload) if payload.is::<Broken>() => PANICKED,
        Err(_) => 0,
    };
    let possible = tree.ends(cancellable);
    if ended & possible == 0 {
        let fault = format!("ended with {ended}, and not one of {possible}: {tree:?}");
        faults.borrow_mut().push(fault);
    }
    if let Err(payload) = caught {
        resume_unwind(payload);
    }
}

fn start<'scope>(
    s: &'scope Scope<'scope, '_>,
    cancellable: bool,
    work: &'scope Work,
    alive: &'scope Cell<u32>,
    handles: &Handles,
    faults: &Faults,
) {
    let (siblings, faults) = (Rc::clone(handles), Rc::clone(faults));
    let handle = s.spawn(move || {
        alive.set(alive.get() + 1);
        let _over = OnDrop(|| alive.set(alive.get() - 1));
        work_at(work, cancellable, &siblings, &faults);
    });
    handles.borrow_mut().push(handle);
}

fn work_at(work: &Work, cancellable: bool, siblings: &Handles, faults: &Faults) {
    take_steps(&work.steps, cancellable, siblings, faults);
    match work.end {
        End::Returns => {}
        End::Panics => resume_unwind(Box::new(Broken)),
        End::Waits => loop {
            sched::park();
        },
    }
}

fn take_steps(steps: &[Step], cancellable: bool, siblings: &Handles, faults: &Faults) {
    for step in steps {
        match step {
            Step::Yield(times) => (0..*times).for_each(|_| sched::yield_now()),
            Step::Sleep => sched::sleep(Duration::from_micros(300)),
            Step::Nested(tree) => run_tree(tree, cancellable, faults),
            Step::Uncancellable(times) => {
                sched::uncancellable(|| (0..*times).for_each(|_| sched::yield_now()));
            }
            Step::Cancel(number) => {
                if let Some(fiber) = siblings.borrow().get(usize::from(*number)) {
                    fiber.cancel();
                }
            }
            Step::Deadline(ms, steps) => {
                let duration = Duration::from_millis((*ms).into());
                let _ = sched::deadline(duration, || take_steps(steps, true, siblings, faults));
            }
            Step::Catches(tree) => {
                let nested = AssertUnwindSafe(|| run_tree(tree, cancellable, faults));
                if let Err(payload) = catch_unwind(nested)
                    && sched::is_cancel(&*payload)
                {
                    resume_unwind(payload);
                }
            }
        }
    }
}

// The model.

impl Tree {
    fn ends(&self, cancellable: bool) -> Ends {
        let body = self.body.ends(cancellable);
        let mut ends = body & (PANICKED | UNWOUND);
        if body & RETURNED > 0 {
            let fibers = self.fibers.iter().enumerate();
            let fibers: Vec<_> = fibers
                .map(|(number, work)| work.ends(self.may_be_cancelled(number, cancellable)))
                .collect();
            if fibers.iter().any(|ends| ends & PANICKED > 0) {
                ends |= PANICKED;
            }
            if fibers.iter().all(|ends| ends & !PANICKED > 0) {
                ends |= RETURNED;
            }
        }
        // The scope may be cancelled while it waits for its fibers.
        if cancellable && !self.fibers.is_empty() { ends | UNWOUND } else { ends }
    }

    /// Whether the fiber with this number may be cancelled.
    fn may_be_cancelled(&self, number: usize, cancellable: bool) -> bool {
        let panics = |work: &Work| work.ends(true) & PANICKED > 0;
        let others = self.fibers.iter().enumerate().filter(|(other, _)| *other != number);
        let cancels = |work: &Work| cancels(&work.steps, number);
        cancellable
            || self.cancels()
            || self.body.ends(false) & !RETURNED > 0
            || others.into_iter().any(|(_, work)| panics(work))
            || cancels(&self.body)
            || self.fibers.iter().any(cancels)
    }

    fn cancels(&self) -> bool {
        self.cancels || self.fibers.iter().any(|work| work.end == End::Waits)
    }
}

fn cancels(steps: &[Step], number: usize) -> bool {
    steps.iter().any(|step| match step {
        Step::Cancel(other) => usize::from(*other) == number,
        Step::Deadline(_, steps) => cancels(steps, number),
        _ => false,
    })
}

impl Work {
    fn ends(&self, cancellable: bool) -> Ends {
        let steps = steps_end(&self.steps, cancellable);
        let mut ends = steps & !RETURNED;
        if steps & RETURNED > 0 {
            ends |= match self.end {
                End::Returns => RETURNED,
                End::Panics => PANICKED,
                End::Waits => UNWOUND,
            };
        }
        // The fiber may also be cancelled before it begins, or at any wait.
        if cancellable { ends | UNWOUND } else { ends }
    }
}

fn steps_end(steps: &[Step], cancellable: bool) -> Ends {
    let mut ends = if cancellable { UNWOUND } else { 0 };
    for step in steps {
        let goes_on = match step {
            Step::Nested(tree) => {
                let nested = tree.ends(cancellable);
                ends |= nested & !RETURNED;
                nested & RETURNED > 0
            }
            Step::Deadline(_, steps) => {
                let inner = steps_end(steps, true);
                ends |= inner & PANICKED;
                inner & (RETURNED | UNWOUND) > 0
            }
            Step::Catches(tree) => tree.ends(cancellable) & (RETURNED | PANICKED) > 0,
            Step::Yield(_) | Step::Sleep | Step::Uncancellable(_) | Step::Cancel(_) => true,
        };
        if !goes_on {
            return ends;
        }
    }
    ends | RETURNED
}

// Random trees.

impl Arbitrary for Tree {
    fn arbitrary(g: &mut Gen) -> Self {
        tree(g, DEPTH_MAX)
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let without = |number: usize| {
            let mut tree = self.clone();
            tree.fibers.remove(number);
            tree
        };
        let mut smaller: Vec<_> = (0..self.fibers.len()).map(without).collect();
        for number in 0..self.body.steps.len() {
            let mut tree = self.clone();
            tree.body.steps.remove(number);
            smaller.push(tree);
        }
        for (fiber, work) in self.fibers.iter().enumerate() {
            for number in 0..work.steps.len() {
                let mut tree = self.clone();
                tree.fibers[fiber].steps.remove(number);
                smaller.push(tree);
            }
        }
        Box::new(smaller.into_iter())
    }
}

fn tree(g: &mut Gen, depth: u32) -> Tree {
    let count = u8::arbitrary(g) % 5;
    let fibers =
        (0..count).map(|_| work(g, depth, &[End::Returns, End::Returns, End::Panics, End::Waits]));
    let fibers = fibers.collect();
    let body = work(g, depth, &[End::Returns, End::Returns, End::Returns, End::Panics]);
    Tree { fibers, body, cancels: u8::arbitrary(g) % 8 == 0 }
}

fn work(g: &mut Gen, depth: u32, ends: &[End]) -> Work {
    Work { steps: steps(g, depth), end: *g.choose(ends).expect("there are some") }
}

fn steps(g: &mut Gen, depth: u32) -> Vec<Step> {
    let count = u8::arbitrary(g) % 4;
    (0..count).map(|_| step(g, depth)).collect()
}

fn step(g: &mut Gen, depth: u32) -> Step {
    match u8::arbitrary(g) % if depth > 0 { 10 } else { 5 } {
        0 | 1 => Step::Yield(u8::arbitrary(g) % 4),
        2 => Step::Sleep,
        3 => Step::Uncancellable(u8::arbitrary(g) % 4),
        4 if u8::arbitrary(g) % 2 == 0 => Step::Cancel(u8::arbitrary(g) % 5),
        4 => Step::Yield(1),
        5 | 6 => Step::Nested(tree(g, depth - 1)),
        7 => Step::Deadline(u8::arbitrary(g) % 3, steps(g, depth - 1)),
        _ => Step::Catches(tree(g, depth - 1)),
    }
}

/// How deep scopes nest. The number is arbitrary. Each level makes the trees about four times as
/// large.
const DEPTH_MAX: u32 = 3;
