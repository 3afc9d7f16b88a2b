//! A handler that asks PostgreSQL through `tokio-postgres`; each shard has a pool of connections.

use std::cell::RefCell;
use std::{env, io, iter};

use straightline::compat::AsyncStream;
use straightline::net::TcpStream;
use straightline::sched::{self, sync::Semaphore};
use straightline::{HandlerError, Request, Server};
use tokio_postgres::{Client, Config, NoTls};

struct Pool {
    database: String,
    permits: Semaphore,
    idle: RefCell<Vec<Client>>,
}

impl Pool {
    /// Runs `ask` with a connection, for which it may wait.
    fn with<T>(
        &self,
        ask: impl FnOnce(&Client) -> Result<T, HandlerError>,
    ) -> Result<T, HandlerError> {
        let _permit = self.permits.acquire(1)?;
        let mut idle = iter::from_fn(|| self.idle.borrow_mut().pop());
        let client = match idle.find(|client| !client.is_closed()) {
            Some(client) => client,
            None => connect(&self.database)?,
        };
        let answer = ask(&client); // a deadline that unwinds here closes the connection
        self.idle.borrow_mut().push(client);
        answer
    }
}

fn connect(database: &str) -> Result<Client, HandlerError> {
    let stream = AsyncStream::new(TcpStream::connect(database)?);
    let mut config = Config::new();
    let config = config.user("visitors").dbname("postgres");
    let (client, connection) = sched::block_on(config.connect_raw(stream, NoTls))??;
    sched::spawn(|| sched::block_on(connection)); // ends with the client
    Ok(client)
}

fn visit(_: &mut Request, pool: &Pool) -> Result<String, HandlerError> {
    let insert = "INSERT INTO visits DEFAULT VALUES RETURNING id";
    let row = pool.with(|client| Ok(sched::block_on(client.query_one(insert, &[]))??))?;
    Ok(format!("visitor {}\n", row.get::<_, i32>(0)))
}

fn create_table(database: &str) -> Result<(), HandlerError> {
    let table = "CREATE TABLE IF NOT EXISTS visits (id serial)";
    Ok(sched::block_on(connect(database)?.batch_execute(table))??)
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let database = env::args().nth(2).expect("the address of a database");
    let first = database.clone();
    sched::run(move || create_table(&first)).expect("a database");
    let server = Server::builder().bind(address).shutdown_on_signals().build_with(move || {
        let (database, permits, idle) = (database.clone(), Semaphore::new(8), RefCell::default());
        let pool = Pool { database, permits, idle };
        move |request: &mut Request| visit(request, &pool)
    })?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
