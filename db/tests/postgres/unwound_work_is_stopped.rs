//! A fiber that unwinds in the middle of a statement stops the server's work; one that unwinds in a
//! transaction leaves nothing open.

use std::process::Command;
use std::time::Duration;

use straightline_db::postgres::tokio_postgres::SimpleQueryMessage;
use straightline_db::{Pool, PoolConfig};
use straightline_sched as sched;

use crate::server::{self, Server, eventually, on_a_shard, pool, process, running};

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn a_deadline_in_a_query_cancels_it_at_the_server() {
    let server = Server::start();
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let (busy, watcher) = (pool(postgres.clone(), 1), pool(postgres, 1));
        let first = process(&*busy.get()?)?;
        let late = sched::deadline(Duration::from_millis(300), || {
            busy.get()?.query("SELECT pg_sleep(600), 'late'", &[])
        });
        assert!(matches!(late, Err(sched::DeadlineExceeded)));
        let watcher = watcher.get()?;
        eventually("the statement is gone", || running(&watcher, "'late'").unwrap() == 0);
        // The only place is free again, for another connection.
        let second = process(&*busy.get()?)?;
        assert_ne!(first, second, "a late cancel request must not meet another user");
        let stats = busy.stats();
        assert_eq!((stats.aborts, stats.abort_failures, stats.broken), (1, 0, 1), "{stats:?}");
        assert_eq!((stats.in_use, stats.idle, stats.created), (0, 1, 2), "{stats:?}");
        Ok(())
    });
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn a_cancelled_fiber_cancels_its_query() {
    let server = Server::start();
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let (busy, watcher) = (pool(postgres.clone(), 3), pool(postgres, 1));
        let watcher = watcher.get()?;
        let fibers: Vec<_> = (0..3)
            .map(|_| {
                let busy = busy.clone();
                sched::spawn(move || busy.get()?.batch_execute("SELECT pg_sleep(600), 'cancelled'"))
            })
            .collect();
        eventually("all of them run", || running(&watcher, "'cancelled'").unwrap() == 3);
        for fiber in fibers {
            fiber.cancel();
            assert!(fiber.join().unwrap_err().is_cancelled());
        }
        eventually("all of them are gone", || running(&watcher, "'cancelled'").unwrap() == 0);
        eventually("all are counted", || busy.stats().aborts == 3);
        assert_eq!(busy.get()?.query_one("SELECT 1", &[])?.get::<_, i32>(0), 1);
        Ok(())
    });
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn the_end_of_a_shard_cancels_its_queries() {
    let server = Server::start();
    let (postgres, watcher) = (server::postgres(&server), server::postgres(&server));
    on_a_shard(move || {
        let busy = pool(postgres, 1);
        let fiber = sched::spawn(move || busy.get()?.batch_execute("SELECT pg_sleep(600), 'end'"));
        let watch = pool(watcher, 1);
        let client = watch.get()?;
        eventually("it runs", || running(&client, "'end'").unwrap() == 1);
        // What a server does at the end of a drain: it cancels what is left, and the shard ends.
        fiber.cancel();
        let _ = fiber.join();
        Ok(())
    });
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let watch = pool(postgres, 1);
        let client = watch.get()?;
        eventually("it is gone", || running(&client, "'end'").unwrap() == 0);
        Ok(())
    });
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn an_open_transaction_is_not_seen_by_the_next_user() {
    let server = Server::start();
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let pool = pool(postgres, 1);
        pool.get()?.batch_execute("CREATE TABLE notes (text text)")?;
        let first = process(&*pool.get()?)?;
        // The fiber unwinds between two calls, with the transaction open.
        let late = sched::deadline(Duration::from_millis(100), || {
            let mut client = pool.get()?;
            let transaction = client.transaction()?;
            transaction.execute("INSERT INTO notes VALUES ('lost')", &[])?;
            sched::sleep(Duration::from_secs(600));
            transaction.commit()
        });
        assert!(late.is_err());
        // The same, with a transaction that the pool knows nothing about.
        let late = sched::deadline(Duration::from_millis(100), || {
            let client = pool.get()?;
            client.batch_execute("BEGIN; INSERT INTO notes VALUES ('lost too')")?;
            sched::sleep(Duration::from_secs(600));
            client.batch_execute("COMMIT")
        });
        assert!(late.is_err());
        let client = pool.get()?;
        assert_eq!(process(&client)?, first, "nothing was in flight, so it is used again");
        let answer = client.simple_query("SELECT now() = statement_timestamp() FROM notes")?;
        assert_eq!(answer.len(), 2, "no row: {answer:?}");
        let answer = client.simple_query("SELECT now() = statement_timestamp()")?;
        let begins_now = answer.iter().any(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0) == Some("t"),
            _ => false,
        });
        assert!(begins_now, "a transaction began before this statement: {answer:?}");
        assert_eq!(pool.stats().cleaned, 2);
        Ok(())
    });
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn a_result_that_is_not_read_to_its_end_is_stopped() {
    let server = Server::start();
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let pool = pool(postgres, 1);
        {
            let client = pool.get()?;
            let mut rows = client.query_raw("SELECT generate_series(1, 2000000000)", &[])?;
            for number in 1..=3 {
                assert_eq!(rows.next().unwrap()?.get::<_, i32>(0), number);
            }
        }
        assert_eq!(pool.get()?.query_one("SELECT 7", &[])?.get::<_, i32>(0), 7);
        assert_eq!((pool.stats().aborts, pool.stats().abort_failures), (1, 0));
        Ok(())
    });
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn a_server_process_that_stands_still_delays_no_handler_and_keeps_no_place() {
    let server = Server::start();
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let config = PoolConfig::default().connections_max(1);
        let pool = Pool::new(postgres, &config.care_timeout(Duration::from_millis(700)));
        let stuck = process(&*pool.get()?)?;
        signal("STOP", stuck);
        let late =
            sched::deadline(Duration::from_millis(100), || pool.get()?.query_one("SELECT 1", &[]));
        assert!(matches!(late, Err(sched::DeadlineExceeded)));
        assert_eq!(pool.stats().in_use, 0, "the handler has gone on already");
        // The cancel request has no effect. The place is free when the care has given up.
        let other = process(&*pool.get()?)?;
        assert_ne!(other, stuck);
        assert_eq!((pool.stats().aborts, pool.stats().abort_failures), (0, 1));
        signal("CONT", stuck);
        let client = pool.get()?;
        let alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1";
        eventually("its process ends, for its socket is closed", || {
            client.query_one(alive, &[&stuck]).unwrap().get::<_, i64>(0) == 0
        });
        Ok(())
    });
}

fn signal(name: &str, process: i32) {
    let status = Command::new("kill").args(["-s", name, &process.to_string()]).status();
    assert!(status.expect("kill runs").success());
}
