//! Whatever the fibers do, they run in the order of a plain queue. A model predicts this order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use quickcheck::quickcheck;
use straightline_sched as sched;

/// How often a fiber yields after each of its steps.
type Program = Vec<u8>;

/// Which fiber made which step.
type Step = (usize, usize);

quickcheck! {
    fn steps_happen_in_the_models_order(programs: Vec<Program>) -> bool {
        let expected = model(&programs);
        sched::run(move || execute(&programs)) == expected
    }

    fn spawning_late_is_the_same_as_queueing_late(programs: Vec<Program>) -> bool {
        let expected = model_spawned_one_a_turn(&programs);
        sched::run(move || execute_spawned_one_a_turn(&programs)) == expected
    }
}

fn execute(programs: &[Program]) -> Vec<Step> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let fibers: Vec<_> =
        programs.iter().enumerate().map(|(name, program)| start(name, program, &log)).collect();
    for fiber in fibers {
        fiber.join().expect("no fiber panics");
    }
    log.take()
}

fn execute_spawned_one_a_turn(programs: &[Program]) -> Vec<Step> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let mut fibers = Vec::new();
    for (name, program) in programs.iter().enumerate() {
        fibers.push(start(name, program, &log));
        sched::yield_now();
    }
    for fiber in fibers {
        fiber.join().expect("no fiber panics");
    }
    log.take()
}

fn start(name: usize, program: &[u8], log: &Rc<RefCell<Vec<Step>>>) -> sched::JoinHandle<()> {
    let (program, log) = (program.to_vec(), Rc::clone(log));
    sched::spawn(move || {
        for (step, yields) in program.into_iter().enumerate() {
            log.borrow_mut().push((name, step));
            (0..yields % YIELDS_MAX).for_each(|_| sched::yield_now());
        }
    })
}

fn model(programs: &[Program]) -> Vec<Step> {
    let mut queue: VecDeque<_> = programs.iter().enumerate().map(Modelled::new).collect();
    let mut log = Vec::new();
    while let Some(mut fiber) = queue.pop_front() {
        if fiber.run(&mut log) {
            queue.push_back(fiber);
        }
    }
    log
}

/// The root is in the queue too. It spawns one fiber in each of its turns.
fn model_spawned_one_a_turn(programs: &[Program]) -> Vec<Step> {
    let mut to_spawn = programs.iter().enumerate().map(Modelled::new);
    let mut queue = VecDeque::from([None]);
    let mut log = Vec::new();
    while let Some(turn) = queue.pop_front() {
        match turn {
            None => {
                if let Some(fiber) = to_spawn.next() {
                    queue.push_back(Some(fiber));
                    queue.push_back(None);
                }
            }
            Some(mut fiber) => {
                if fiber.run(&mut log) {
                    queue.push_back(Some(fiber));
                }
            }
        }
    }
    log
}

struct Modelled<'p> {
    name: usize,
    program: &'p [u8],
    step: usize,
    yields_left: u8,
}

impl<'p> Modelled<'p> {
    fn new((name, program): (usize, &'p Program)) -> Self {
        Self { name, program, step: 0, yields_left: 0 }
    }

    /// Runs until the next yield; false at the end.
    fn run(&mut self, log: &mut Vec<Step>) -> bool {
        loop {
            if self.yields_left > 0 {
                self.yields_left -= 1;
                return true;
            }
            let Some(yields) = self.program.get(self.step) else {
                return false;
            };
            log.push((self.name, self.step));
            self.step += 1;
            self.yields_left = yields % YIELDS_MAX;
        }
    }
}

/// Keeps the programs short.
const YIELDS_MAX: u8 = 5;
