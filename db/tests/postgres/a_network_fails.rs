//! In simulation: a network that loses packets, cuts connections, and comes back.

use std::rc::Rc;
use std::time::Duration;

use straightline_db::postgres::Postgres;
use straightline_db::{Error, Pool, PoolConfig};
use straightline_net::sim::{Fault, network};
use straightline_sched::{self as sched, sim};

use crate::pretended_server::{Counts, serve};

const SECOND: Duration = Duration::from_secs(1);

fn pool(config: &PoolConfig) -> Pool<Postgres> {
    let postgres = Postgres::new("host=10.0.0.5 user=tester").unwrap();
    Pool::new(postgres, config)
}

fn run(pool: &Pool<Postgres>, millis: u64) -> Result<(), Error> {
    pool.get()?.batch_execute(&millis.to_string())
}

/// Runs a test with a server, which is stopped afterwards.
fn with_server(test: impl Fn(&Rc<Counts>) + 'static) {
    sim::check(move || {
        let counts = Rc::new(Counts::default());
        let server = serve("10.0.0.5:5432", &counts);
        test(&counts);
        server.cancel();
        let _ = server.join();
    });
}

#[test]
fn a_statement_is_cancelled_when_its_fiber_unwinds() {
    with_server(|counts| {
        let pool = pool(&PoolConfig::default().connections_max(1));
        run(&pool, 10).unwrap();
        let start = sched::now();
        assert!(sched::deadline(SECOND, || run(&pool, 3_600_000)).is_err());
        run(&pool, 10).unwrap();
        assert!(sched::now() - start < 2 * SECOND, "nothing waits for the statement");
        assert_eq!((counts.done.get(), counts.cancelled.get(), counts.logins.get()), (2, 1, 2));
        assert_eq!((pool.stats().aborts, pool.stats().abort_failures), (1, 0));
    });
}

#[test]
fn a_partition_costs_a_handler_its_deadline_and_the_pool_nothing() {
    with_server(|counts| {
        let config = PoolConfig::default().connections_max(2);
        let pool = pool(&config.acquire_timeout(SECOND).care_timeout(2 * SECOND));
        run(&pool, 10).unwrap();
        network().isolate("10.0.0.5".parse().unwrap());
        for _ in 0..4 {
            let start = sched::now();
            let result = sched::deadline(3 * SECOND, || run(&pool, 10));
            assert!(!matches!(result, Ok(Ok(()))));
            assert!(sched::now() - start < 3 * SECOND + SECOND / 10);
        }
        network().rejoin("10.0.0.5".parse().unwrap());
        sched::sleep(10 * SECOND); // what was under way is given up
        run(&pool, 10).unwrap();
        assert!(counts.done.get() >= 2);
        assert_eq!((pool.stats().in_use, pool.stats().waiting), (0, 0));
    });
}

#[test]
fn connections_that_the_network_resets_are_replaced() {
    with_server(|counts| {
        let pool = pool(&PoolConfig::default().connections_max(3));
        let three = [(); 3].map(|()| pool.get().unwrap());
        drop(three);
        assert!(network().reset("10.0.0.5:5432".parse().unwrap()) >= 3);
        sched::sleep(SECOND);
        run(&pool, 10).unwrap();
        assert_eq!((pool.stats().broken, counts.logins.get()), (3, 4));
    });
}

#[test]
fn all_is_well_again_when_the_faults_are_over() {
    with_server(|_| {
        let config = PoolConfig::default()
            .connections_max(3)
            .acquire_timeout(SECOND)
            .connect_timeout(SECOND)
            .care_timeout(SECOND);
        let pool = pool(&config);
        network().schedule(sim::plan(|random| Fault::draw(random, 20 * SECOND)));
        let mut random = sim::fork_random();
        let fibers: Vec<_> = (0..40)
            .map(|_| {
                let pool = pool.clone();
                let (begin, work) = (random.below(20_000), random.below(800));
                let deadline = Duration::from_millis(random.below(3_000));
                sched::spawn(move || {
                    sched::sleep(Duration::from_millis(begin));
                    let _ = sched::deadline(deadline, || run(&pool, work));
                })
            })
            .collect();
        for fiber in fibers {
            fiber.join().unwrap();
        }
        sched::sleep(20 * SECOND);
        network().heal_all();
        network().set_descriptors_max(None);
        network().fail_accepts(None);
        network().accept_again("10.0.0.5:5432".parse().unwrap());
        sched::sleep(120 * SECOND);
        // Of the connections that vanished without a word, the first use finds out.
        let again =
            (0..10).find(|_| matches!(sched::deadline(5 * SECOND, || run(&pool, 10)), Ok(Ok(()))));
        assert!(again.is_some(), "{:?}", pool.stats());
        sched::sleep(5 * SECOND);
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.waiting), (0, 0), "{stats:?}");
    });
}
