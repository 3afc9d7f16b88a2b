//! Fibers do everything that a fiber can do, at random, for a while. In the end nothing is left of
//! them.
//!
//! A run takes two seconds, or `STRAIGHTLINE_TORTURE_SECONDS`. The seed comes from the clock, or
//! from `STRAIGHTLINE_TORTURE_SEED`, and is printed on failure. The order of the fibers also
//! depends on real time, so a run with the same seed is similar, but not the same.

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
    self as sched, Config, Interest, JoinHandle, Report, Reporter, ShardHandle, Source, fiber_local,
};

/// The payload of the torture's own panics. The panic hook does not print them.
struct Wanted;

/// The state of one run, which all its fibers share.
struct World {
    random: Cell<u64>,
    /// Set when the time of the run has ended. Then no fiber begins new work.
    over: Cell<bool>,
    /// The number of fibers that have begun and whose destructors have not run, without those that
    /// `stubborn` counts.
    alive: Cell<u64>,
    /// The number of fibers that swallow every cancel, and of fibers that are abandoned with them.
    stubborn: Cell<u64>,
    /// How many of the stubborn fibers own an `Rc` of this world.
    owners: Cell<u64>,
    /// Threads that borrow a text from a stubborn fiber, and read it when they are asked to.
    readers: RefCell<Vec<Asker>>,
    /// Coroutines that the scheduler does not know, and how many of them are suspended in the
    /// middle of an unwind.
    foreigners: RefCell<Vec<Foreign>>,
    unwinding: Cell<u64>,
    /// Handles of fibers. Any fiber may cancel or join one of them.
    handles: RefCell<Vec<JoinHandle<()>>>,
    inspected: Cell<u64>,
}

type Shared = Rc<World>;

type Foreign = Coroutine<(), (), ()>;

/// The text that a thread should read, a sender that asks the thread to read, and a receiver of the
/// text that it has read.
type Asker = (String, Sender<()>, Receiver<String>);

fiber_local! {
    /// How often the fiber has swallowed an unwind. It stops before the scheduler gives it up.
    static SWALLOWED: Cell<u32> = Cell::new(0);
    static inherited TRACE: RefCell<Vec<u32>> = RefCell::new(Vec::new());
}

#[test]
fn nothing_is_left() {
    let default_hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Wanted>() {
            default_hook(info);
        }
    }));
    let seconds = variable("STRAIGHTLINE_TORTURE_SECONDS").unwrap_or(2);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let seed = variable("STRAIGHTLINE_TORTURE_SEED").unwrap_or(clock);
    println!("STRAIGHTLINE_TORTURE_SEED={seed}"); // shown if the test fails

    sched::run(|| ()); // opens descriptors once
    let before = descriptors();
    let reports = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&reports);
    let reporter = Reporter::new(move |report| {
        if let Report::Abandoned(..) = report {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let config = Config::default().with_reporter(reporter);
    let (sender, receiver) = channel();
    // The thread does not end, since fibers are abandoned on it.
    std::thread::spawn(move || {
        let time = Duration::from_secs(seconds);
        let torture = || sched::run_with(config, move || torture(seed, time));
        sender.send(catch_unwind(AssertUnwindSafe(torture)))
    });
    let (stubborn, readers) = match receiver.recv().expect("a result or a panic") {
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

/// Runs fibers for `time`, and checks that nothing is left. Returns how many fibers were abandoned,
/// and the threads that still borrow from them.
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
    let sender = send_from_another_thread(ShardHandle::current(), Arc::clone(&stop));
    while !world.over.get() {
        while sched::stats().fibers < FIBERS_WANTED {
            start(&world);
        }
        // The root runs again after each turn of the other fibers.
        sched::yield_now();
    }
    assert!(left_behind::fork(), "the child's job has not run");
    stop.store(true, Ordering::Relaxed);
    // This join blocks the shard's thread. The other thread does not wait for the shard, because it
    // only sends.
    sender.join().expect("no panic");
    end(&world);
    (world.stubborn.get(), world.readers.take())
}

/// Waits for the fibers, and cancels those that have a handle.
fn end(world: &Shared) {
    // A coroutine ends when it is dropped, in the middle of its work.
    while let Some(foreign) = world.foreigner() {
        drop(foreign);
    }
    assert_eq!(world.unwinding.get(), 0);
    let mut turns = 0_u64;
    while sched::stats().fibers > 1 {
        world.handles.take().into_iter().for_each(|fiber| fiber.cancel());
        sched::yield_now();
        turns += 1;
        if turns.is_multiple_of(4_096) && sched::stats().ready == 1 {
            std::thread::sleep(Duration::from_millis(1)); // the other fibers wait for a time
        }
        assert!(turns < 4_096 * 20_000, "these fibers do not end: {:#?}", sched::inspect());
    }
    sched::yield_now(); // wake-ups that came too late leave the run queue
    let stats = sched::stats();
    println!("{stats:?}, inspected {}", world.inspected.get());
    assert_eq!(world.alive.get(), 0, "destructors did not run");
    assert_eq!(stats.spawned, stats.ended + 1);
    assert_eq!(stats.abandoned, world.stubborn.get());
    assert_eq!((stats.timers, stats.sources, stats.ready), (0, 0, 0));
    assert!(world.foreigners.borrow().is_empty());
    assert_eq!(Rc::strong_count(world), 1 + usize::try_from(world.owners.get()).expect("few"));
}

/// Starts a fiber of some kind, which need not be joined.
fn start(world: &Shared) {
    let (own, depth) = (Rc::clone(world), 0);
    let fiber = match world.below(40) {
        0..=3 => activations(own),
        // The stack of a fiber that is abandoned is lost, so there are only a few of them.
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
        // A destructor may make calls that wait. Such a call may raise a cancel if the fiber does
        // not unwind. The destructor makes none while the scheduler cannot know whether the fiber
        // unwinds: see `unwinding`.
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

/// Raises the payload again, except one of the torture's own panics if `swallow` returns true.
fn pass_on(ended: std::thread::Result<()>, swallow: impl FnOnce() -> bool) {
    if let Err(payload) = ended
        && !(payload.is::<Wanted>() && swallow())
    {
        resume_unwind(payload);
    }
}

/// Swallows cancels, deadlines and the torture's own panics, as often as the scheduler allows.
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

/// Swallows every cancel for ever, so this fiber is abandoned when it is cancelled. Its children
/// are not abandoned.
#[allow(clippy::needless_pass_by_value)] // the `Rc` is held for ever, and `owners` counts it
fn stubborn(world: Shared, depth: u32) {
    world.stubborn.set(world.stubborn.get() + 1);
    world.owners.set(world.owners.get() + 1);
    sched::scope(|s| {
        s.spawn(|| live(&world, depth + 1));
        loop {
            let wait = || sched::deadline(Duration::from_millis(1), sched::park);
            if catch_unwind(wait).is_ok() && world.over.get() {
                // The fiber has not been cancelled yet.
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

/// Starts fibers in nested scopes. The innermost fiber is stubborn. It borrows a text from the
/// outermost fiber and lends it to a thread. So all these fibers are abandoned, and the thread can
/// still read the text. (They are not abandoned if they are cancelled before the innermost fiber
/// begins.)
#[allow(clippy::needless_pass_by_value)] // held for ever
fn doomed(world: Shared) {
    let _left = left(&world.owners);
    let text = format!("a lent text, {}", world.below(u64::MAX));
    nest(&world, world.below(4), &text);
}

/// Counts the caller as a fiber that is abandoned. The guard takes that back if the caller ends.
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
                // If the test has failed, it does not ask the thread to read.
                if begins.recv().is_ok() {
                    read.send(text.to_owned()).expect("the test listens");
                }
            });
            let _ = sched::deadline(Duration::from_millis(1), stubborn_for_ever);
        });
    });
}

/// Runs `act` in `depth` nested sections.
fn uncancellable(depth: u64, act: &dyn Fn()) {
    match depth {
        0 => act(),
        _ => sched::uncancellable(|| uncancellable(depth - 1, act)),
    }
}

/// Runs a coroutine in this fiber. It may be resumed in another fiber later, or be dropped in the
/// middle of its work.
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

/// Suspends a coroutine in the middle of an unwind. Until it is resumed, all fibers of the thread
/// seem to unwind.
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
    // The coroutine is resumed and not dropped: a drop while it unwinds would abort the process.
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

fn activations(world: Shared) -> JoinHandle<()> {
    let guard = guard(&world);
    sched::spawn_stackless(move || {
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
        sched::yield_now(); // other fibers use their own values meanwhile
        assert!(trace.borrow().len() >= length, "another fiber changed it");
        trace.borrow_mut().push(u32::try_from(number).expect("below a thousand"));
    });
}

fn inspect(world: &World) {
    let list = sched::inspect_with_backtraces(3);
    world.inspected.set(world.inspected.get() + list.len() as u64);
    assert!(list.len() as u64 == sched::stats().fibers);
}

/// One side sends a few bytes. The other side reads until the end, or until `time` has passed.
fn talk(world: &Shared, time: Duration) {
    let (near, mut far) = UnixStream::pair().expect("a pair of sockets");
    near.set_nonblocking(true).expect("a socket can be");
    let source = Source::new(near);
    let count = usize::try_from(world.below(100)).expect("few");
    // A deadline around both sides may end the writer first.
    let is_whole = &Cell::new(false);
    sched::scope(|s| {
        s.spawn(move || {
            let _guard = guard(world);
            for _ in 0..count {
                sched::checkpoint();
                far.write_all(b"!").expect("there is room, and a reader");
            }
            is_whole.set(true);
            sched::sleep(time / 2);
        });
        let read = || {
            let (mut bytes, mut buffer) = (0, [0; 16]);
            loop {
                match source.inner().read(&mut buffer) {
                    Ok(0) => return assert!(bytes == count || !is_whole.get()),
                    Ok(some) => bytes += some,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        source.wait(Interest::Read).expect("a socket can be registered");
                    }
                    Err(error) => panic!("a read failed: {error}"),
                }
            }
        };
        let _ = sched::deadline(time, read);
        s.cancel();
    });
}

/// Sets a hook that panics now and then, while the fiber opens scopes and waits.
fn hook(world: &Shared, depth: u32) {
    let own = Rc::clone(world);
    let _hook = sched::before_park(Rc::new(move || match own.below(3) {
        0 => panic_any(Wanted),
        1 => sched::yield_now(),
        _ => {}
    }));
    act(world, depth);
}

/// Starts a thread that sends closures to the shard.
fn send_from_another_thread(
    shard: ShardHandle,
    stop: Arc<AtomicBool>,
) -> std::thread::JoinHandle<()> {
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

/// The root starts new fibers while there are fewer. The number is arbitrary, and large enough that
/// fibers of every kind meet.
const FIBERS_WANTED: u64 = 60;

/// With more fibers than this, no fiber begins new work. Each fiber may start others, so their
/// number would explode.
const ALIVE_MAX: u64 = 300;

/// The largest depth of nested scopes. Each level holds a few frames of the levels above.
const DEPTH_MAX: u32 = 4;

/// The largest number of stubborn fibers. Each of them loses a stack.
const STUBBORN_MAX: u64 = 30;
