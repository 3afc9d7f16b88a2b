//! Many fibers, few connections: the pool serves them in order, and bounds their waits.

use std::cell::RefCell;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use straightline_db::{Error, Pool, PoolConfig};
use straightline_sched as sched;

use crate::server::{self, Server, on_a_shard, pool, process};

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn more_fibers_than_connections_are_served_in_order() {
    let server = Server::start();
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let pool = pool(postgres, 1);
        let first = process(&*pool.get()?)?;
        let order = Rc::new(RefCell::new(Vec::new()));
        let fibers: Vec<_> = (0..50)
            .map(|number| {
                let (pool, order) = (pool.clone(), Rc::clone(&order));
                sched::spawn(move || {
                    let client = pool.get()?;
                    assert_eq!(process(&client)?, first, "the same connection serves all");
                    order.borrow_mut().push(number);
                    Ok::<(), Error>(())
                })
            })
            .collect();
        for fiber in fibers {
            fiber.join().unwrap()?;
        }
        assert!(order.borrow().iter().copied().eq(0..50));
        Ok(())
    });
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn two_shards_have_a_pool_each_and_their_counters_in_common() {
    let server = Server::start();
    let (postgres, config) = (server::postgres(&server), PoolConfig::default().connections_max(2));
    sched::run({
        let postgres = postgres.clone();
        move || pool(postgres, 1).get()?.batch_execute("CREATE TABLE visits (id serial)")
    })
    .unwrap();
    let shards = [(); 2].map(|()| {
        let (postgres, config) = (postgres.clone(), config.clone());
        thread::spawn(move || {
            sched::run(move || {
                let pool = Pool::new(postgres, &config);
                sched::scope(|scope| {
                    for _ in 0..100 {
                        let pool = pool.clone();
                        scope.spawn(move || {
                            let client = pool.get().unwrap();
                            client.execute("INSERT INTO visits DEFAULT VALUES", &[]).unwrap();
                        });
                    }
                });
                assert!(pool.stats().created <= 2);
            });
        })
    });
    shards.into_iter().for_each(|shard| shard.join().unwrap());
    let stats = config.stats();
    assert!((2..=4).contains(&stats.created), "{stats:?}");
    assert_eq!((stats.in_use, stats.idle, stats.waiting), (0, 0, 0), "the shards have ended");
    on_a_shard(move || {
        let count = pool(postgres, 1).get()?.query_one("SELECT count(*) FROM visits", &[])?;
        assert_eq!(count.get::<_, i64>(0), 200);
        Ok(())
    });
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn an_exhausted_pool_is_an_error_or_the_end_of_a_deadline() {
    let server = Server::start();
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let config = PoolConfig::default().connections_max(1);
        let pool = Pool::new(postgres, &config.acquire_timeout(Duration::from_millis(50)));
        let client = pool.get()?;
        let error = pool.get().unwrap_err();
        assert!(matches!(error, Error::AcquireTimeout { waiting: 0, .. }), "{error:?}");
        assert!(error.is_unavailable());
        let late = sched::deadline(Duration::from_millis(10), || pool.get().map(drop));
        assert!(late.is_err());
        drop(client);
        assert_eq!(pool.get()?.query_one("SELECT 1", &[])?.get::<_, i32>(0), 1);
        assert_eq!((pool.stats().acquire_timeouts, pool.stats().aborts), (1, 0));
        Ok(())
    });
}
