//! A handler that asks PostgreSQL through `straightline-db`; each shard has a pool of connections.

use std::{env, io};

use straightline::{HandlerError, Request, Server, sched};
use straightline_db::postgres::Postgres;
use straightline_db::{Error, Pool, PoolConfig};

fn visit(_: &mut Request, pool: &Pool<Postgres>) -> Result<String, HandlerError> {
    let insert = "INSERT INTO visits DEFAULT VALUES RETURNING id";
    // A deadline that unwinds here has the database stop the statement.
    let row = pool.get()?.query_one(insert, &[])?;
    Ok(format!("visitor {}\n", row.get::<_, i32>(0)))
}

fn create_table(postgres: Postgres) -> Result<(), Error> {
    let table = "CREATE TABLE IF NOT EXISTS visits (id serial)";
    Pool::new(postgres, &PoolConfig::default()).get()?.batch_execute(table)
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let database = env::args().nth(2).expect("the address of a database");
    let database = format!("postgres://visitors@{database}/postgres");
    let postgres = Postgres::new(&database).map_err(io::Error::other)?;
    let first = postgres.clone();
    sched::run(move || create_table(first)).expect("a database");
    let config = PoolConfig::default();
    let server = Server::builder().bind(address).shutdown_on_signals().build_with(move || {
        let pool = Pool::new(postgres.clone(), &config);
        move |request: &mut Request| visit(request, &pool)
    })?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
