//! What the tests share: pools, questions about the server, waiting.

use std::time::{Duration, Instant};

use straightline_db::postgres::{Client, Postgres};
use straightline_db::{Error, Pool, PoolConfig, Pooled};
use straightline_sched as sched;

use crate::postgres_server::PATIENCE;
pub(crate) use crate::postgres_server::Server;

pub(crate) fn postgres(server: &Server) -> Postgres {
    Postgres::new(&server.address()).expect("an address")
}

/// Runs a test on a shard.
pub(crate) fn on_a_shard(test: impl FnOnce() -> Result<(), Error> + 'static) {
    sched::run(test).expect("no error");
}

/// A pool with so many connections.
pub(crate) fn pool(postgres: Postgres, connections: usize) -> Pool<Postgres> {
    Pool::new(postgres, &PoolConfig::default().connections_max(connections))
}

/// Waits until `is_so`.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        sched::sleep(Duration::from_millis(10));
    }
}

/// How many statements the server runs whose text contains `text`, except for this question.
pub(crate) fn running(client: &Pooled<Postgres>, text: &str) -> Result<i64, Error> {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE $1";
    Ok(client.query_one(sql, &[&format!("%{text}%")])?.get(0))
}

/// The server's process behind a connection.
pub(crate) fn process(client: &Client) -> Result<i32, Error> {
    Ok(client.query_one("SELECT pg_backend_pid()", &[])?.get(0))
}
