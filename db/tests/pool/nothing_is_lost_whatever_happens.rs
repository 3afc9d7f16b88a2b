//! Random users of a random server: no connection is used twice at a time, none is lost, and no
//! fiber waits in vain.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use straightline_db::{Pool, PoolConfig};
use straightline_sched::sim::Random;
use straightline_sched::{self as sched, sim};

use crate::fake::{Fake, World, pool};

/// A use of the pool, drawn from the seed.
#[derive(Clone, Debug)]
struct Use {
    begin: Duration,
    deadline: Duration,
    work: Duration,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Return,
    LeaveDirty,
    Break,
    Panic,
}

fn millis(random: &mut Random, max: u64) -> Duration {
    Duration::from_millis(random.below(max))
}

fn draw(random: &mut Random) -> Vec<Use> {
    let count = random.below(60);
    (0..count)
        .map(|_| Use {
            begin: millis(random, 3_000),
            deadline: millis(random, 1_500),
            work: millis(random, 300),
            end: match random.below(10) {
                0 => End::Panic,
                1..3 => End::LeaveDirty,
                3 => End::Break,
                _ => End::Return,
            },
        })
        .collect()
}

/// Changes what the server does, for three seconds.
fn weather(world: &World, mut random: Random) {
    for _ in 0..30 {
        sched::sleep(millis(&mut random, 200));
        let mut time = || match random.below(4) {
            0 => None,
            1 => Some(Duration::from_secs(3_600)),
            _ => Some(Duration::from_millis(random.below(100))),
        };
        world.connect.set(time());
        world.clean.set(time());
        world.abort.set(time());
        let ended = u32::try_from(random.below(20)).unwrap();
        world.ended.borrow_mut().push(ended);
    }
}

fn use_once(pool: &Pool<Fake>, users: &RefCell<BTreeSet<u32>>, one: &Use) {
    /// Takes the number out of the set, also by an unwind.
    struct User<'u>(&'u RefCell<BTreeSet<u32>>, u32);
    impl Drop for User<'_> {
        fn drop(&mut self) {
            self.0.borrow_mut().remove(&self.1);
        }
    }
    sched::sleep(one.begin);
    let _ = sched::deadline(one.deadline, || {
        let Ok(mut connection) = pool.get() else { return };
        assert!(users.borrow_mut().insert(connection.number), "two users of one connection");
        let _user = User(users, connection.number);
        connection.ask(one.work);
        match one.end {
            End::Return => {}
            End::LeaveDirty => connection.is_dirty = true,
            End::Break => connection.is_broken = true,
            End::Panic => std::panic::resume_unwind(Box::new("a handler panics")),
        }
    });
}

#[test]
fn every_place_is_free_again_when_all_is_over() {
    sim::check(|| {
        let world = World::new();
        let config = PoolConfig::default()
            .connections_max(3)
            .acquire_timeout(Duration::from_secs(1))
            .connect_timeout(Duration::from_millis(500))
            .care_timeout(Duration::from_millis(500))
            .idle_timeout(Some(Duration::from_secs(2)));
        let pool = pool(&world, &config);
        let users = Rc::new(RefCell::new(BTreeSet::new()));
        let clouds = sched::spawn({
            let (world, random) = (Rc::clone(&world), sim::fork_random());
            move || weather(&world, random)
        });
        let fibers: Vec<_> = sim::plan(draw)
            .into_iter()
            .map(|one| {
                let (pool, users) = (pool.clone(), Rc::clone(&users));
                sched::spawn(move || use_once(&pool, &users, &one))
            })
            .collect();
        for fiber in fibers {
            let _ = fiber.join(); // some panic on purpose
        }
        clouds.join().unwrap();
        assert!(world.open_max.get() <= 3);
        assert!(users.borrow().is_empty());
        let soon = Some(Duration::from_millis(1));
        world.connect.set(soon);
        world.clean.set(soon);
        world.abort.set(soon);
        sched::sleep(Duration::from_secs(1)); // what hung is given up
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.waiting), (0, 0), "{stats:?}");
        let all = [(); 3].map(|()| pool.get().expect("all places can be had"));
        assert_eq!((world.open.get(), pool.stats().in_use), (3, 3));
        drop(all);
        sched::sleep(Duration::from_secs(3));
        assert_eq!((world.open.get(), pool.stats().idle), (0, 0));
        assert_eq!(config.stats(), pool.stats());
    });
}
