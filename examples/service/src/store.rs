//! The database. SQLite blocks its thread, so it has threads of its own: one that writes, and a few
//! that read. Beside the one writer, readers go on: that is what the write-ahead log is for.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use straightline::sched::{OffloadConfig, OffloadPool};
use straightline::{Problem, StatusCode, header};

/// Why the database cannot be used.
type OpenError = Box<dyn Error + Send + Sync>;

pub(crate) struct Store {
    /// `None` if there is but one connection, because the database is in memory.
    reads: Option<Workers>,
    writes: Workers,
}

impl Store {
    /// Opens the file, or makes it, with the newest schema. A request waits for a lock of another
    /// program for `timeout` at most.
    pub(crate) fn open(path: Option<&Path>, timeout: Duration) -> Result<Self, OpenError> {
        let place = Place { path: path.map(Path::to_owned), timeout };
        let mut first = place.open()?;
        migrate(&mut first)?;
        let reads = path.map(|_| Workers::new("reader", READERS, &place));
        let writes = Workers::new("writer", 1, &place);
        lock(&writes.idle).push(first);
        Ok(Self { reads, writes })
    }

    pub(crate) fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        self.reads.as_ref().unwrap_or(&self.writes).run(job)
    }

    /// When this returns `Ok`, the changes are on the disk. The commit is explicit, because SQLite
    /// reports there that a disk is full, and a transaction that is dropped reports nothing.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        self.writes.run(move |connection| {
            let immediate = TransactionBehavior::Immediate;
            let transaction = Transaction::new_unchecked(connection, immediate)?;
            let done = job(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
    }

    /// Closes the connections. The last one moves the log into the file of the database.
    pub(crate) fn close(&self) {
        for workers in self.reads.iter().chain([&self.writes]) {
            workers.threads.close();
            lock(&workers.idle).clear();
        }
    }
}

/// Where the database is.
#[derive(Clone)]
struct Place {
    path: Option<PathBuf>,
    timeout: Duration,
}

impl Place {
    fn open(&self) -> rusqlite::Result<Connection> {
        let connection = match &self.path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        connection.busy_timeout(self.timeout)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A commit returns when it is on the disk.
        connection.pragma_update(None, "synchronous", "full")?;
        Ok(connection)
    }
}

/// Threads, and connections for them. A connection is of one job at a time.
struct Workers {
    threads: OffloadPool,
    place: Place,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Workers {
    fn new(name: &str, threads: usize, place: &Place) -> Self {
        let config = OffloadConfig::default().with_name(name).with_max_threads(threads);
        Self { threads: OffloadPool::new(config), place: place.clone(), idle: Arc::default() }
    }

    /// Runs the job on one of the threads. The fiber waits, and its shard goes on.
    fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let (place, idle) = (self.place.clone(), Arc::clone(&self.idle));
        let asked = Instant::now();
        let done = self.threads.run(move || {
            let connection = lock(&idle).pop();
            let connection = connection.map_or_else(|| place.open(), Ok)?;
            // For the locks of other programs. The wait for a thread counts, so a queue ends.
            connection.busy_timeout(place.timeout.saturating_sub(asked.elapsed()))?;
            let done = job(&connection);
            lock(&idle).push(connection);
            done
        });
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                Err(overloaded().with_source(error))
            }
            // Such as a disk that is full: the log says which, and the client does not read it.
            Ok(Err(error)) => Err(Problem::internal(error)),
            Err(error) => Err(overloaded().with_source(error)),
        }
    }
}

fn lock(idle: &Mutex<Vec<Connection>>) -> MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

fn overloaded() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_header(header::RETRY_AFTER, 1)
}

/// Brings the schema up to date. Its version is the number of migrations that have run.
fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let missing = usize::try_from(version).ok().and_then(|version| MIGRATIONS.get(version..));
    for migration in missing.ok_or("it is from a newer version of this program")? {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", i32::try_from(MIGRATIONS.len())?)?;
    Ok(transaction.commit()?)
}

/// The changes of the schema, in their order. To change it, append one.
const MIGRATIONS: &[&str] = &["CREATE TABLE notes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice, so an old link finds no other note
    text TEXT NOT NULL
) STRICT"];

/// Arbitrary: reads of such a database take the processor, and rarely wait for the disk.
const READERS: usize = 4;
