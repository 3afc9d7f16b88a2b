//! Visits in SQLite, whose calls block their thread: they run on a few threads of their own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{env, io};

use rusqlite::Connection;
use straightline::sched::{OffloadConfig, OffloadPool};
use straightline::{HandlerError, Request, Server};

struct Database {
    path: PathBuf,
    threads: OffloadPool,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Database {
    fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?; // readers do not wait for a writer
        connection.execute_batch("CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY)")?;
        let threads = OffloadConfig::default().with_max_threads(4).with_name("sqlite");
        let idle = Arc::new(Mutex::new(vec![connection]));
        Ok(Self { path: path.to_owned(), threads: OffloadPool::new(threads), idle })
    }

    /// Runs `job` on one of the threads, with a connection. The fiber waits; its shard does not.
    fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, HandlerError> {
        let (path, idle) = (self.path.clone(), Arc::clone(&self.idle));
        let done = self.threads.run(move || {
            let connection = idle.lock().unwrap().pop();
            let mut connection = connection.map_or_else(|| Connection::open(path), Ok)?;
            let done = job(&mut connection);
            idle.lock().unwrap().push(connection);
            done
        })?;
        Ok(done?)
    }
}

fn visit(_: &mut Request, database: &Database) -> Result<String, HandlerError> {
    let number = database.with(|connection| {
        connection.execute("INSERT INTO visits DEFAULT VALUES", [])?;
        Ok(connection.last_insert_rowid())
    })?;
    Ok(format!("visitor {number}\n"))
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let path = env::args().nth(2).expect("the path of a database");
    let database = Database::open(Path::new(&path)).map_err(io::Error::other)?;
    let server = Server::builder().bind(address).shutdown_on_signals();
    let server = server.build(move |request: &mut Request| visit(request, &database))?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
