//! The calls of a client.

use std::io::{Read, Write};

use straightline_db::Error;
use straightline_db::postgres::tokio_postgres::error::SqlState;
use straightline_db::postgres::{Client, Postgres};
use straightline_sched as sched;

use crate::server::{self, Server, on_a_shard, pool, process};

fn count(client: &Client, table: &str) -> Result<i64, Error> {
    Ok(client.query_one(&format!("SELECT count(*) FROM {table}"), &[])?.get(0))
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn rows_come_as_values_and_errors_with_their_code() {
    let server = Server::start();
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let pool = pool(postgres, 2);
        let client = pool.get()?;
        client
            .batch_execute("CREATE TABLE a (id int PRIMARY KEY, name text); CREATE TABLE b ()")?;
        for (id, name) in [(1, "one"), (2, "two"), (3, "three")] {
            assert_eq!(client.execute("INSERT INTO a VALUES ($1, $2)", &[&id, &name])?, 1);
        }
        assert_eq!(client.statements(), 1, "each text is prepared once");
        let rows = client.query("SELECT name FROM a WHERE id > $1 ORDER BY id", &[&1])?;
        let names: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(names, ["two", "three"]);
        let by_id = "SELECT name FROM a WHERE id = $1";
        assert!(client.query_opt(by_id, &[&9])?.is_none());
        assert!(client.query_one(by_id, &[&9]).is_err());
        let again = client.execute("INSERT INTO a VALUES ($1, $2)", &[&1, &"one"]).unwrap_err();
        assert_eq!(again.sql_state().map(SqlState::code), Some("23505"));
        assert!(again.to_string().contains("duplicate key value"), "{again}");
        assert!(!again.is_disconnect() && !again.is_unavailable());
        let (one, two) = client.run(async |client| {
            let one = client.query_one("SELECT 1", &[]);
            let two = client.query_one("SELECT 2", &[]);
            futures_util::future::try_join(one, two).await
        })?;
        assert_eq!(one.get::<_, i32>(0) + two.get::<_, i32>(0), 3);
        // A table that has changed: the first use fails, and the next one prepares it again.
        client.query("SELECT * FROM a", &[])?;
        client.batch_execute("ALTER TABLE a ADD COLUMN more int")?;
        assert_eq!(
            client.query("SELECT * FROM a", &[]).unwrap_err().sql_state().unwrap().code(),
            "0A000"
        );
        assert_eq!(client.query("SELECT * FROM a", &[])?[0].len(), 3);
        Ok(())
    });
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn fibers_share_a_connection() {
    let server = Server::start();
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let pool = pool(postgres, 1);
        let client = pool.get()?;
        sched::scope(|scope| {
            for number in 0..50_i32 {
                let client = &client;
                scope.spawn(move || {
                    let row = client.query_one("SELECT $1 * 2", &[&number]).unwrap();
                    assert_eq!(row.get::<_, i32>(0), number * 2);
                });
            }
        });
        drop(client);
        assert_eq!((pool.stats().idle, pool.stats().created), (1, 1));
        Ok(())
    });
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn a_transaction_ends_with_its_value() {
    let server = Server::start();
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let pool = pool(postgres, 1);
        let mut client = pool.get()?;
        let first = process(&client)?;
        client.batch_execute("CREATE TABLE a (id int)")?;
        let insert = "INSERT INTO a VALUES (1)";
        let transaction = client.transaction()?;
        transaction.execute(insert, &[])?;
        transaction.commit()?;
        let transaction = client.transaction()?;
        transaction.execute(insert, &[])?;
        transaction.rollback()?;
        let transaction = client.transaction()?;
        transaction.execute(insert, &[])?;
        drop(transaction);
        assert_eq!(count(&client, "a")?, 1, "the drop is a rollback for the same user");
        // A commit after an error says that nothing was changed.
        let transaction = client.transaction()?;
        transaction.execute(insert, &[])?;
        assert!(transaction.batch_execute("SELECT 1 / 0").is_err());
        assert_eq!(transaction.commit().unwrap_err().sql_state().unwrap().code(), "25P02");
        assert_eq!(count(&client, "a")?, 1);
        let transaction = client.transaction()?;
        transaction.execute(insert, &[])?;
        drop(transaction);
        drop(client);
        let client = pool.get()?;
        assert_eq!((process(&client)?, count(&client, "a")?), (first, 1), "and for the next user");
        assert_eq!(pool.stats().cleaned, 1);
        Ok(())
    });
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn tables_are_copied_in_and_out() {
    let server = Server::start();
    let postgres = server::postgres(&server);
    on_a_shard(move || {
        let pool = pool(postgres, 1);
        let client = pool.get()?;
        client.batch_execute("CREATE TABLE squares (number bigint, square bigint)")?;
        let mut copy = client.copy_in("COPY squares FROM STDIN")?;
        for number in 0..50_000_u64 {
            writeln!(copy, "{number}\t{}", number * number).unwrap();
        }
        assert_eq!(copy.finish()?, 50_000);
        let mut text = String::new();
        let mut copy = client.copy_out("COPY squares TO STDOUT (FORMAT csv)")?;
        copy.read_to_string(&mut text).unwrap();
        drop(copy);
        assert_eq!((text.lines().count(), text.lines().last()), (50_000, Some("49999,2499900001")));
        let mut sum = 0;
        for row in client.query_raw("SELECT number FROM squares", &[])? {
            sum += row?.get::<_, i64>(0);
        }
        assert_eq!(sum, 49_999 * 25_000);
        let mut copy = client.copy_in("COPY squares FROM STDIN")?;
        copy.write_all(b"not a number\n").unwrap();
        assert!(copy.finish().is_err());
        // Not finished: nothing is copied, and the connection is not used again.
        let mut copy = client.copy_in("COPY squares FROM STDIN")?;
        copy.write_all(b"1\t1\n").unwrap();
        drop(copy);
        drop(client);
        assert_eq!(count(&*pool.get()?, "squares")?, 50_000);
        Ok(())
    });
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn a_reset_undoes_what_the_last_user_has_set() {
    let server = Server::start();
    let postgres = Postgres::builder(&server.address()).reset(true).statements_max(1);
    let postgres = postgres.build().unwrap();
    on_a_shard(move || {
        let pool = pool(postgres, 1);
        let client = pool.get()?;
        let first = process(&client)?;
        client.batch_execute("SET timezone = 'Asia/Tokyo'; CREATE TEMP TABLE t (); BEGIN")?;
        drop(client);
        let client = pool.get()?;
        assert_eq!(process(&client)?, first);
        let zone = client.query_one("SHOW timezone", &[])?;
        assert_ne!(zone.get::<_, &str>(0), "Asia/Tokyo");
        assert!(client.query("SELECT * FROM t", &[]).is_err());
        assert_eq!(client.statements(), 1, "the limit");
        Ok(())
    });
}
