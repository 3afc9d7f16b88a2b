//! A connection that the server ends is replaced, also when the whole server is killed under load.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use straightline_db::postgres::Postgres;
use straightline_db::{Error, Pool, PoolConfig};
use straightline_sched::{self as sched, sync::Flag};

use crate::server::{self, Server, eventually, on_a_shard, pool, process};

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn a_connection_that_the_server_ends_is_replaced() {
    let server = Server::start();
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let (ours, killer) = (pool(postgres.clone(), 2), pool(postgres, 1));
        let killer = killer.get()?;
        let end =
            |process: i32| killer.query_one("SELECT pg_terminate_backend($1, 10000)", &[&process]);
        // While it is idle: the next user gets another one, and sees no error.
        let idle = process(&*ours.get()?)?;
        assert!(end(idle)?.get::<_, bool>(0));
        eventually("the end has come", || ours.get().unwrap().execute("SELECT 1", &[]).is_ok());
        assert_ne!(process(&*ours.get()?)?, idle);
        // While it is used: its user gets the error, and the next user another connection.
        let client = ours.get()?;
        let used = process(&client)?;
        assert!(end(used)?.get::<_, bool>(0));
        let error = client.query("SELECT pg_sleep(1)", &[]).unwrap_err();
        assert!(error.is_disconnect(), "{error:?}");
        drop(client);
        assert_ne!(process(&*ours.get()?)?, used);
        assert_eq!((ours.stats().created, ours.stats().broken), (3, 2));
        Ok(())
    });
}

/// What the requests of a load have seen.
#[derive(Default)]
struct Seen {
    good: Cell<u32>,
    bad: RefCell<Vec<Error>>,
    late: Cell<u32>,
}

fn request(pool: &Pool<Postgres>, seen: &Seen) {
    let asked = sched::deadline(Duration::from_secs(5), || {
        let client = pool.get()?;
        client.query_one("SELECT 1 FROM pg_sleep(0.002)", &[]).map(drop)
    });
    match asked {
        Ok(Ok(())) => seen.good.set(seen.good.get() + 1),
        Ok(Err(error)) => seen.bad.borrow_mut().push(error),
        Err(_) => seen.late.set(seen.late.get() + 1),
    }
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn the_pool_recovers_when_the_server_was_killed_under_load() {
    let mut server = Server::start();
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let config = PoolConfig::default().connections_max(4);
        let pool = Pool::new(postgres, &config);
        let (seen, stop) = (Rc::new(Seen::default()), Rc::new(Flag::new()));
        let load = |_| {
            let (pool, seen, stop) = (pool.clone(), Rc::clone(&seen), Rc::clone(&stop));
            sched::spawn(move || {
                while !stop.is_set() {
                    request(&pool, &seen);
                    sched::sleep(Duration::from_millis(2)); // a client thinks
                }
            })
        };
        let fibers: Vec<_> = (0..16).map(load).collect();
        eventually("all is well", || seen.good.get() >= 100);
        for _ in 0..2 {
            let bad = seen.bad.borrow().len();
            // In between nothing of the shard runs: the sockets are found closed afterwards.
            server.kill();
            eventually("requests fail", || seen.bad.borrow().len() > bad + 16);
            server.start_again();
            let good = seen.good.get();
            eventually("all is well again", || seen.good.get() >= good + 100);
        }
        stop.set();
        for fiber in fibers {
            fiber.join().unwrap(); // none hangs
        }
        for error in seen.bad.borrow().iter() {
            assert!(
                error.is_disconnect() || error.is_unavailable() || says_starting(error),
                "{error:?}"
            );
        }
        assert_eq!(seen.late.get(), 0, "a server that is gone is an error at once");
        let stats = pool.stats();
        assert_eq!((stats.in_use, stats.waiting), (0, 0), "{stats:?}");
        assert!((1..=4).contains(&stats.idle), "{stats:?}");
        assert!(stats.broken <= 8 + stats.aborts + stats.abort_failures, "{stats:?}");
        let bad = seen.bad.borrow();
        let told = bad.iter().find(|error| matches!(error, Error::Connect { .. }));
        let told = told.expect("a connect has failed").to_string();
        assert!(told.contains("/.s.PGSQL.5432: "), "the address is told: {told}");
        Ok(())
    });
}

/// A server that recovers says that it cannot answer yet (SQLSTATE 57P03).
fn says_starting(error: &Error) -> bool {
    error.to_string().contains("starting up")
}
