//! A handler that asks PostgreSQL through `tokio-postgres`; each shard has a connection.

use std::{env, io};

use straightline::compat::AsyncStream;
use straightline::net::TcpStream;
use straightline::{HandlerError, Request, Server, sched, sched::shard_local};
use tokio_postgres::{Client, Config, NoTls};

shard_local! {
    // If this panics, the client gets a 500, and the next request tries again.
    static DATABASE: Client = connect().expect("a connection to the database");
}

fn connect() -> Result<Client, HandlerError> {
    let stream = AsyncStream::new(TcpStream::connect(env::args().nth(2).unwrap_or_default())?);
    let mut config = Config::new();
    let config = config.user("visitors").dbname("postgres");
    let (client, connection) = sched::block_on(config.connect_raw(stream, NoTls))??;
    sched::spawn(|| sched::block_on(connection));
    let table = "CREATE TABLE IF NOT EXISTS visits (id serial)";
    sched::block_on(client.batch_execute(table))??;
    Ok(client)
}

fn visit(_: &mut Request) -> Result<String, HandlerError> {
    let insert = "INSERT INTO visits DEFAULT VALUES RETURNING id";
    let row = sched::block_on(DATABASE.get()?.query_one(insert, &[]))??;
    Ok(format!("visitor {}\n", row.get::<_, i32>(0)))
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let server = Server::builder().bind(address).shutdown_on_signals().build(visit)?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
