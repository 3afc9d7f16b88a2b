//! All that fibers can do, at random, for a while; in the end nothing is left of it.
//!
//! Two seconds, or `STRAIGHTLINE_TORTURE_SECONDS`. The seed is of the clock, or
//! `STRAIGHTLINE_TORTURE_SEED`, and is printed on failure; how fibers meet depends on the time that
//! things take, so the same seed is a similar run and not the same one.

#[path = "../common/mod.rs"]
mod common;
mod left_behind;

use std::cell::{Cell, RefCell};
use std::env;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::ops::ControlFlow::{Break, Continue};
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::OnDrop;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use straightline_sched::{
    self as sched, Config, Handle, Interest, JoinHandle, Report, Reporter, Source, fiber_local,
};

/// What the torture's own panics carry: the hook is silent about them.
struct Wanted;

/// The world of one run; each fiber has it.
struct World {
    random: Cell<u64>,
    /// No fiber begins anything any more.
    over: Cell<bool>,
    /// Fibers that have begun and whose destructors have not run, those of `stubborn` excepted.
    alive: Cell<u64>,
    /// Fibers that began to swallow whatever is raised, and those to be given up with them.
    stubborn: Cell<u64>,
    /// How many of these have this world to themselves.
    owners: Cell<u64>,
    /// Threads that read what such a fiber has lent to them, when they are told to.
    readers: RefCell<Vec<Asker>>,
    /// Coroutines that the scheduler knows nothing of, and how many of them are suspended in the
    /// middle of an unwind.
    foreigners: RefCell<Vec<Foreign>>,
    unwinding: Cell<u64>,
    /// Any fiber may cancel or join one of these.
    handles: RefCell<Vec<JoinHandle<()>>>,
    inspected: Cell<u64>,
}

type Shared = Rc<World>;

type Foreign = Coroutine<(), (), ()>;

/// Tells a thread to read, and gets what it has read; with what that should be.
type Asker = (String, Sender<()>, Receiver<String>);

fiber_local! {
    /// How often the fiber has swallowed an unwind: it stops before that is too often.
    static SWALLOWED: Cell<u32> = Cell::new(0);
    static inherited TRACE: RefCell<Vec<u32>> = RefCell::new(Vec::new());
}

#[test]
fn nothing_is_left() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Wanted>() {
            usual(info);
        }
    }));
    let seconds = variable("STRAIGHTLINE_TORTURE_SECONDS").unwrap_or(2);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let seed = variable("STRAIGHTLINE_TORTURE_SEED").unwrap_or(clock);
    println!("STRAIGHTLINE_TORTURE_SEED={seed}"); // shown if the test fails

    sched::run(|| ()).expect("a shard can be made"); // opens what a process opens once
    let before = descriptors();
    let reports = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&reports);
    let reporter = Reporter::new(move |report| {
        if let Report::GivenUp(..) = report {
            told.fetch_add(1, Ordering::Relaxed);
        }
    });
    let config = Config { reporter, ..Config::default() };
    let (tell, told) = channel();
    // The thread does not end, since fibers are given up on it.
    std::thread::spawn(move || {
        let time = Duration::from_secs(seconds);
        let torture = || sched::run_with(config, move || torture(seed, time));
        tell.send(catch_unwind(AssertUnwindSafe(torture)))
    });
    let (stubborn, readers) = match told.recv().expect("an end, whatever it is") {
        Ok(ended) => ended.expect("a shard can be made"),
        Err(payload) => resume_unwind(payload),
    };
    assert_eq!(stubborn, reports.load(Ordering::Relaxed));
    assert_eq!(descriptors(), before, "descriptors are left");
    println!("{} threads read what was lent to them", readers.len());
    for (expected, begin, text) in readers {
        begin.send(()).expect("the thread waits for this");
        assert_eq!(text.recv().expect("the thread reads"), expected);
    }
}

/// Runs for that long, and checks that nothing is left; returns how many fibers were given up, and
/// the threads that still have something of theirs.
fn torture(seed: u64, time: Duration) -> (u64, Vec<Asker>) {
    let world = Rc::new(World {
        random: Cell::new(seed),
        over: Cell::new(false),
        alive: Cell::new(0),
        stubborn: Cell::new(0),
        owners: Cell::new(0),
        readers: RefCell::default(),
        foreigners: RefCell::default(),
        unwinding: Cell::new(0),
        handles: RefCell::default(),
        inspected: Cell::new(0),
    });
    let (clock, me) = (Rc::clone(&world), sched::current());
    drop(sched::spawn(move || {
        sched::sleep(time);
        clock.over.set(true);
        me.unpark();
    }));
    let stop = Arc::new(AtomicBool::new(false));
    let sender = send_from_another_thread(Handle::current(), Arc::clone(&stop));
    while !world.over.get() {
        while sched::stats().fibers_now < FIBERS_WANTED {
            start(&world);
        }
        // Woken by the clock, or by a fiber that has done something.
        sched::yield_now();
    }
    assert!(left_behind::fork(), "a child's job");
    stop.store(true, Ordering::Relaxed);
    // Without a fiber's wait: the thread only sends.
    sender.join().expect("it does not panic");
    end(&world);
    (world.stubborn.get(), world.readers.take())
}

/// Waits for the fibers; the patient ones are cancelled.
fn end(world: &Shared) {
    // Each of them ends when it is dropped, in the middle of whatever it is at.
    while let Some(foreign) = world.foreigner() {
        drop(foreign);
    }
    assert_eq!(world.unwinding.get(), 0);
    let mut turns = 0_u64;
    while sched::stats().fibers_now > 1 {
        world.handles.take().into_iter().for_each(|fiber| fiber.cancel());
        sched::yield_now();
        turns += 1;
        if turns.is_multiple_of(4_096) && sched::stats().ready_now == 1 {
            std::thread::sleep(Duration::from_millis(1)); // to let the time pass that they wait for
        }
        assert!(turns < 4_096 * 20_000, "these do not end: {:#?}", sched::inspect());
    }
    sched::yield_now(); // wake-ups that came too late leave the run queue
    let stats = sched::stats();
    println!("{stats:?}, inspected {}", world.inspected.get());
    assert_eq!(world.alive.get(), 0, "destructors did not run");
    assert_eq!(stats.spawned, stats.ended + 1);
    assert_eq!(stats.given_up, world.stubborn.get());
    assert_eq!((stats.alarms_now, stats.sources_now, stats.ready_now), (0, 0, 0));
    assert!(world.foreigners.borrow().is_empty());
    assert_eq!(Rc::strong_count(world), 1 + usize::try_from(world.owners.get()).expect("few"));
}

/// Starts a fiber of some kind, which need not be joined.
fn start(world: &Shared) {
    let (own, depth) = (Rc::clone(world), 0);
    let fiber = match world.below(40) {
        0..=3 => episodes(own),
        // Their stacks are lost, so there are not many.
        4 if world.stubborn.get() < STUBBORN_MAX => sched::spawn(move || stubborn(own, depth)),
        5 if world.stubborn.get() < STUBBORN_MAX => sched::spawn(move || doomed(own)),
        _ => sched::spawn(move || live(&own, depth)),
    };
    if world.below(2) == 0 {
        world.handles.borrow_mut().push(fiber);
    }
}

/// One fiber's life.
fn live(world: &Shared, depth: u32) {
    let _guard = guard(world);
    for _ in 0..world.below(12) {
        act(world, depth);
    }
}

fn guard(world: &Shared) -> OnDrop<impl FnMut() + use<>> {
    world.alive.set(world.alive.get() + 1);
    let world = Rc::clone(world);
    OnDrop(move || {
        world.alive.set(world.alive.get() - 1);
        // Destructors may make calls that wait, and so raise if the fiber does not unwind yet. Not
        // while the scheduler cannot tell: see `foreign`.
        match world.below(8) {
            _ if world.unwinding.get() > 0 => {}
            1 => sched::sleep(Duration::from_micros(world.below(500))),
            2 if world.alive.get() < ALIVE_MAX => drop(sched::spawn(|| ()).join()),
            3 => TRACE.with(|trace| trace.borrow_mut().push(1)),
            _ => {}
        }
    })
}

fn act(world: &Shared, depth: u32) {
    let some_time = Duration::from_micros(world.below(2_000));
    let is_full = world.alive.get() > ALIVE_MAX;
    match world.below(if world.over.get() || is_full { 6 } else { 24 }) {
        1 => sched::sleep(some_time),
        2 => sched::park_timeout(some_time),
        3 => (0..world.below(300)).for_each(|_| sched::checkpoint()),
        4 => locals(world),
        5 => sched::wake_later(),
        6 if world.below(4) == 0 => left_behind::act(world.below(u64::MAX)),
        6 => start(world),
        7 => cancel_one(world),
        8 => join_one(world, some_time),
        9 if world.below(3) == 0 => panic_any(Wanted),
        10 => drop(sched::deadline(some_time, || act(world, depth))),
        11 => drop(sched::deadline(some_time, || live(world, depth))),
        12 => uncancellable(world.below(40), &|| act(world, depth)),
        13 => swallow(|| act(world, depth)),
        14 if world.below(8) == 0 => inspect(world),
        15 | 16 => talk(world, some_time),
        17 => hook(world, depth),
        18 if depth < DEPTH_MAX => try_scope(world, depth),
        22 => foreign(world, depth),
        23 => unwinding(world),
        19.. if depth < DEPTH_MAX => scope(world, depth),
        _ => sched::yield_now(),
    }
}

fn scope(world: &Shared, depth: u32) {
    let lent = Cell::new(0);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        sched::scope(|s| {
            for _ in 0..world.below(4) {
                let child = s.spawn(|| {
                    lent.set(lent.get() + 1);
                    let _over = OnDrop(|| lent.set(lent.get() - 1));
                    live(world, depth + 1);
                });
                match world.below(8) {
                    0 => child.cancel(),
                    1 => drop(child.join()),
                    _ => {}
                }
            }
            live(world, depth + 1);
            if world.below(4) == 0 {
                s.cancel();
            }
        });
    }));
    assert_eq!(lent.get(), 0, "a scope has ended before its fibers");
    pass_on(ended, || world.below(2) == 0);
}

fn try_scope(world: &Shared, depth: u32) {
    let lent = Cell::new(0);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        sched::try_scope(|s| {
            for number in 0..world.below(4) {
                let lent = &lent;
                s.spawn(move || {
                    lent.set(lent.get() + 1);
                    let _over = OnDrop(|| lent.set(lent.get() - 1));
                    live(world, depth + 1);
                    if world.below(3) == 0 { Err(number) } else { Ok(()) }
                });
            }
            if world.below(4) == 0 { Err(u64::MAX) } else { Ok(()) }
        })
    }));
    assert_eq!(lent.get(), 0, "a scope has ended before its fibers");
    pass_on(ended.map(drop), || true);
}

/// Swallows the torture's own panics if asked to, and nothing else.
fn pass_on(ended: std::thread::Result<()>, swallow: impl FnOnce() -> bool) {
    if let Err(payload) = ended
        && !(payload.is::<Wanted>() && swallow())
    {
        resume_unwind(payload);
    }
}

/// Swallows whatever is raised, as long as that is tolerated.
fn swallow(act: impl FnOnce()) {
    match catch_unwind(AssertUnwindSafe(act)) {
        Err(payload) if !sched::is_cancel(&*payload) && !payload.is::<Wanted>() => {
            resume_unwind(payload); // a failed assertion
        }
        Err(payload) if SWALLOWED.with(|count| count.replace(count.get() + 1)) >= 3 => {
            resume_unwind(payload);
        }
        _ => {}
    }
}

/// Swallows for ever, so it is given up when it is cancelled; its own children are not lost.
#[allow(clippy::needless_pass_by_value)] // held for ever: the count of the owners tells
fn stubborn(world: Shared, depth: u32) {
    world.stubborn.set(world.stubborn.get() + 1);
    world.owners.set(world.owners.get() + 1);
    sched::scope(|s| {
        s.spawn(|| live(&world, depth + 1));
        loop {
            let wait = || sched::deadline(Duration::from_millis(1), sched::park);
            if catch_unwind(wait).is_ok() && world.over.get() {
                // It has not been cancelled so far.
                let _ = catch_unwind(|| sched::deadline(Duration::ZERO, stubborn_for_ever));
            }
        }
    });
}

fn stubborn_for_ever() {
    loop {
        let _ = catch_unwind(sched::park);
    }
}

/// Has fibers in scopes in each other, the innermost of which is stubborn and lends what it borrows
/// from the outermost to a thread. So all of them are given up, and that thread reads on. Unless
/// they are cancelled before that one begins.
#[allow(clippy::needless_pass_by_value)] // held for ever
fn doomed(world: Shared) {
    let _left = left(&world.owners);
    let text = format!("what was lent, {}", world.below(u64::MAX));
    nest(&world, world.below(4), &text);
}

/// Counts the caller as one that is given up, but for one that comes to its end.
fn left(count: &Cell<u64>) -> OnDrop<impl FnMut()> {
    count.set(count.get() + 1);
    OnDrop(|| count.set(count.get() - 1))
}

fn nest(world: &Shared, depth: u64, text: &str) {
    let _left = left(&world.stubborn);
    sched::scope(|s| {
        let own = Rc::clone(world);
        s.spawn(move || live(&own, DEPTH_MAX - 1));
        if depth > 0 {
            s.spawn(|| nest(world, depth - 1, text));
            return live(world, DEPTH_MAX - 1);
        }
        let ((begin, begins), (read, is_read)) = (channel(), channel());
        world.readers.borrow_mut().push((text.to_owned(), begin, is_read));
        std::thread::scope(|threads| {
            threads.spawn(move || {
                // Not told to, if the test has failed.
                if begins.recv().is_ok() {
                    read.send(text.to_owned()).expect("the test listens");
                }
            });
            let _ = sched::deadline(Duration::from_millis(1), stubborn_for_ever);
        });
    });
}

/// In that many sections in each other.
fn uncancellable(depth: u64, act: &dyn Fn()) {
    match depth {
        0 => act(),
        _ => sched::uncancellable(|| uncancellable(depth - 1, act)),
    }
}

/// A coroutine in this fiber, which may go on in another one, or end in the middle of its work.
fn foreign(world: &Shared, depth: u32) {
    let own = Rc::clone(world);
    let mut foreign = world.foreigner().unwrap_or_else(|| {
        Coroutine::new(move |yielder: &Yielder<(), ()>, ()| {
            let _guard = guard(&own);
            for _ in 0..own.below(6) {
                act(&own, depth);
                yielder.suspend(());
            }
        })
    });
    for _ in 0..world.below(4) {
        if matches!(foreign.resume(()), CoroutineResult::Return(())) {
            return;
        }
    }
    if world.below(2) == 0 && !world.over.get() {
        world.foreigners.borrow_mut().push(foreign);
    }
}

/// Suspends a coroutine in the middle of an unwind, so that all others seem to unwind meanwhile.
fn unwinding(world: &Shared) {
    let own = Rc::clone(world);
    let mut foreign: Foreign = Coroutine::new(move |yielder: &Yielder<(), ()>, ()| {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            own.unwinding.set(own.unwinding.get() + 1);
            let _suspends = OnDrop(|| {
                yielder.suspend(());
                own.unwinding.set(own.unwinding.get() - 1);
            });
            panic_any(Wanted);
        }));
        assert!(caught.is_err());
    });
    foreign.resume(());
    // It ends by being resumed: to end it while it unwinds would end the process.
    let _resumes = OnDrop(|| {
        let _ = foreign.resume(());
    });
    let lent = Cell::new(0);
    let scope = || {
        sched::scope(|s| {
            s.spawn(|| {
                lent.set(lent.get() + 1);
                let _over = OnDrop(|| lent.set(lent.get() - 1));
                (0..world.below(4)).for_each(|_| sched::yield_now());
            });
            sched::yield_now();
        });
    };
    let _ = catch_unwind(AssertUnwindSafe(scope));
    assert_eq!(lent.get(), 0, "a scope has ended before its fibers");
}

fn episodes(world: Shared) -> JoinHandle<()> {
    let guard = guard(&world);
    sched::spawn_episodes(move || {
        let _held = &guard;
        act(&world, DEPTH_MAX - 1);
        sched::wake_later();
        if world.over.get() || world.below(5) == 0 { Break(()) } else { Continue(()) }
    })
}

fn cancel_one(world: &World) {
    if let Some(fiber) = world.one_handle() {
        fiber.cancel();
    }
}

fn join_one(world: &World, time: Duration) {
    if let Some(fiber) = world.one_handle() {
        // With a deadline: fibers may join each other in circles.
        let _ = sched::deadline(time, || drop(fiber.join()));
    }
}

fn locals(world: &World) {
    let number = world.below(1_000);
    TRACE.with(|trace| {
        let length = trace.borrow().len();
        sched::yield_now(); // the others have their own
        assert!(trace.borrow().len() >= length, "another fiber changed it");
        trace.borrow_mut().push(u32::try_from(number).expect("below a thousand"));
    });
}

fn inspect(world: &World) {
    let list = sched::inspect_with_backtraces(3);
    world.inspected.set(world.inspected.get() + list.len() as u64);
    assert!(list.len() as u64 == sched::stats().fibers_now);
}

/// One side sends a few bytes, the other one reads until the end, or until it has waited enough.
fn talk(world: &Shared, time: Duration) {
    let (near, mut far) = UnixStream::pair().expect("a pair of sockets");
    near.set_nonblocking(true).expect("a socket can be");
    let source = Source::new(near);
    let count = usize::try_from(world.below(100)).expect("few");
    sched::scope(|s| {
        s.spawn(move || {
            let _guard = guard(world);
            for _ in 0..count {
                sched::checkpoint();
                far.write_all(b"!").expect("there is room, and a reader");
            }
            sched::sleep(time / 2);
        });
        let read = || {
            let (mut bytes, mut buffer) = (0, [0; 16]);
            loop {
                match source.inner().read(&mut buffer) {
                    Ok(0) => return assert_eq!(bytes, count),
                    Ok(some) => bytes += some,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        source.wait(Interest::Read).expect("it can be registered");
                    }
                    Err(error) => panic!("a read failed: {error}"),
                }
            }
        };
        let _ = sched::deadline(time, read);
        s.cancel();
    });
}

/// A hook that panics, now and then, while the fiber opens scopes and waits.
fn hook(world: &Shared, depth: u32) {
    let own = Rc::clone(world);
    let _hook = sched::before_park(Rc::new(move || match own.below(3) {
        0 => panic_any(Wanted),
        1 => sched::yield_now(),
        _ => {}
    }));
    act(world, depth);
}

/// What other threads send is run as well.
fn send_from_another_thread(shard: Handle, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let sent = || sched::sleep(Duration::from_micros(500));
            shard.spawn(sent).expect("the shard lives");
            std::thread::sleep(Duration::from_millis(1));
        }
    })
}

impl World {
    /// A random number below `limit` (splitmix64).
    fn below(&self, limit: u64) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }

    fn foreigner(&self) -> Option<Foreign> {
        self.foreigners.borrow_mut().pop()
    }

    fn one_handle(&self) -> Option<JoinHandle<()>> {
        let count = self.handles.borrow().len() as u64;
        let number = usize::try_from(self.below(count)).expect("an index");
        (count > 0).then(|| self.handles.borrow_mut().swap_remove(number))
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// New fibers are started while there are fewer. Arbitrary: enough for every kind to meet.
const FIBERS_WANTED: u64 = 60;

/// Then nothing new is begun: each fiber may start others, and so their number would explode.
const ALIVE_MAX: u64 = 300;

/// Scopes nest no deeper: each level holds a few frames of everything above.
const DEPTH_MAX: u32 = 4;

/// Each of them loses a stack.
const STUBBORN_MAX: u64 = 30;
