//! A REST API over SQLite, and a page to click through it: `cargo run --release --features sqlite
//! --example json_api -- --database todos.db`, then open <http://127.0.0.1:8080/>.
//!
//! SQLite blocks its thread, so it has threads of its own: one that writes, and a few that read.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params,
};
use serde::{Deserialize, Deserializer, Serialize};
use straightline::sched::{OffloadConfig, OffloadPool};
use straightline::web::{Html, Json, RequestExt, Router, get};
use straightline::{ErrorContext, IntoResponse, Problem, Request, StatusCode, header};
use straightline_examples::{ServerArgs, logger, run, serve};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// The file of the database; it is made if there is none
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
}

#[derive(Serialize)]
struct Todo {
    id: i64,
    title: String,
    done: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTodo {
    title: Title,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeTodo {
    title: Title,
    done: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    #[serde(default, deserialize_with = "not_null")]
    title: Option<Title>,
    #[serde(default, deserialize_with = "not_null")]
    done: Option<bool>,
}

/// A field may be left out, but `null` is no value.
fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The text of a title: neither blank nor too long.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Title(String);

impl TryFrom<String> for Title {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.chars().count() {
            _ if text.trim().is_empty() => Err("a title is not blank".to_owned()),
            count if count > TITLE_CHARS_MAX => {
                Err(format!("a title has at most {TITLE_CHARS_MAX} characters"))
            }
            _ => Ok(Self(text)),
        }
    }
}

/// A part of the list.
#[derive(Deserialize)]
struct Page {
    #[serde(default = "Page::default_limit")]
    limit: u32,
    #[serde(default)]
    offset: u32,
}

impl Page {
    fn default_limit() -> u32 {
        LIMIT_MAX
    }
}

fn list(request: &mut Request, store: &Store) -> Result<Json<Vec<Todo>>, Problem> {
    let Page { limit, offset } = request.query_as()?;
    if limit > LIMIT_MAX {
        return Err(Problem::new(StatusCode::BAD_REQUEST)
            .with_detail(format!("limit: at most {LIMIT_MAX}"))
            .with_member("field", "limit"));
    }
    let todos = store.read(move |database| {
        let sql = "SELECT id, title, done FROM todos ORDER BY id LIMIT ?1 OFFSET ?2";
        database.prepare_cached(sql)?.query_map(params![limit, offset], todo)?.collect()
    })?;
    Ok(Json(todos))
}

fn create(request: &mut Request, store: &Store) -> Result<impl IntoResponse + use<>, Problem> {
    let NewTodo { title: Title(title) } = request.json()?;
    let created = store.write(move |database| {
        let sql = "INSERT INTO todos (title) VALUES (?1) RETURNING id, title, done";
        database.prepare_cached(sql)?.query_row([title], todo)
    })?;
    let location = [(header::LOCATION, format!("/todos/{}", created.id))];
    Ok((StatusCode::CREATED, location, Json(created)))
}

fn show(request: &mut Request, store: &Store) -> Result<Json<Todo>, Problem> {
    let id: i64 = request.param("id")?;
    let found = store.read(move |database| {
        let sql = "SELECT id, title, done FROM todos WHERE id = ?1";
        database.prepare_cached(sql)?.query_row([id], todo).optional()
    })?;
    found.map(Json).ok_or_else(|| no_such_todo(id))
}

fn replace(request: &mut Request, store: &Store) -> Result<Json<Todo>, Problem> {
    let id: i64 = request.param("id")?;
    let WholeTodo { title, done } = request.json()?;
    update(store, id, Changes { title: Some(title), done: Some(done) })
}

fn change(request: &mut Request, store: &Store) -> Result<Json<Todo>, Problem> {
    let id: i64 = request.param("id")?;
    update(store, id, request.json()?)
}

fn update(store: &Store, id: i64, changes: Changes) -> Result<Json<Todo>, Problem> {
    let title = changes.title.map(|Title(title)| title);
    let updated = store.write(move |database| {
        let sql = "UPDATE todos SET title = coalesce(?2, title), done = coalesce(?3, done)
                   WHERE id = ?1 RETURNING id, title, done";
        database.prepare_cached(sql)?.query_row(params![id, title, changes.done], todo).optional()
    })?;
    updated.map(Json).ok_or_else(|| no_such_todo(id))
}

fn remove(request: &mut Request, store: &Store) -> Result<StatusCode, Problem> {
    let id: i64 = request.param("id")?;
    let removed = store.write(move |database| {
        database.prepare_cached("DELETE FROM todos WHERE id = ?1")?.execute([id])
    })?;
    if removed == 0 { Err(no_such_todo(id)) } else { Ok(StatusCode::NO_CONTENT) }
}

fn no_such_todo(id: i64) -> Problem {
    Problem::new(StatusCode::NOT_FOUND).with_detail(format!("There is no todo {id}."))
}

fn todo(row: &Row<'_>) -> rusqlite::Result<Todo> {
    Ok(Todo { id: row.get(0)?, title: row.get(1)?, done: row.get(2)? })
}

/// The page, which loads nothing from elsewhere.
fn page(_: &mut Request) -> impl IntoResponse + use<> {
    let policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    let fields = [("content-security-policy", policy), ("x-content-type-options", "nosniff")];
    (fields, Html(include_str!("json_api/page.html")))
}

fn script(_: &mut Request) -> impl IntoResponse + use<> {
    let content_type = [("content-type", "text/javascript; charset=utf-8")];
    (content_type, include_str!("json_api/page.js"))
}

fn style(_: &mut Request) -> impl IntoResponse + use<> {
    ([("content-type", "text/css; charset=utf-8")], include_str!("json_api/page.css"))
}

/// Why the database cannot be used.
type OpenError = Box<dyn Error + Send + Sync>;

/// The database: threads that run SQLite. Beside its one writer, readers go on (that is what the
/// write-ahead log is for).
struct Store {
    reads: Workers,
    writes: Workers,
}

impl Store {
    /// Opens the file, or makes it, with the newest schema.
    fn open(path: &Path) -> Result<Self, OpenError> {
        let mut first = open(path)?;
        migrate(&mut first)?;
        let writes = Workers::new("writer", 1, path);
        lock(&writes.idle).push(first);
        Ok(Self { reads: Workers::new("reader", READERS, path), writes })
    }

    fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        self.reads.run(job)
    }

    /// When this returns `Ok`, the changes are on the disk. The commit is explicit, because SQLite
    /// reports there that a disk is full, and a statement that is dropped reports nothing.
    fn write<T: Send + 'static>(
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
    fn close(&self) {
        for workers in [&self.reads, &self.writes] {
            workers.threads.close();
            lock(&workers.idle).clear();
        }
    }
}

/// Threads, and connections for them. A connection is of one job at a time.
struct Workers {
    threads: OffloadPool,
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Workers {
    fn new(name: &str, threads: usize, path: &Path) -> Self {
        let config = OffloadConfig::default().with_name(name).with_max_threads(threads);
        Self { threads: OffloadPool::new(config), path: path.to_owned(), idle: Arc::default() }
    }

    /// Runs the job on one of the threads. The fiber waits, and its shard goes on.
    fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let (path, idle) = (self.path.clone(), Arc::clone(&self.idle));
        let asked = Instant::now();
        let done = self.threads.run(move || {
            let connection = lock(&idle).pop();
            let connection = connection.map_or_else(|| open(&path), Ok)?;
            // For the locks of other processes. The wait for a thread counts, so a queue ends.
            connection.busy_timeout(BUSY_TIMEOUT.saturating_sub(asked.elapsed()))?;
            let done = job(&connection);
            lock(&idle).push(connection);
            done
        });
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                Err(overloaded().with_source(error))
            }
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

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A commit returns when it is on the disk.
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}

/// Brings the schema up to date. Its version is the number of migrations that have run.
fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut newest = 0;
    for migration in MIGRATIONS {
        newest += 1;
        if newest > version {
            transaction.execute_batch(migration)?;
        }
    }
    if version > newest {
        return Err("it is from a newer version of this program".into());
    }
    transaction.pragma_update(None, "user_version", newest)?;
    Ok(transaction.commit()?)
}

fn router(store: &Arc<Store>) -> Router<Store> {
    Router::with_shared_state(Arc::clone(store))
        .get("/", page)
        .get("/page.js", script)
        .get("/page.css", style)
        .route("/todos", get(list).post(create).body_limit(BODY_BYTES_MAX))
        .route(
            "/todos/{id}",
            get(show).put(replace).patch(change).delete(remove).body_limit(BODY_BYTES_MAX),
        )
}

fn main() -> ExitCode {
    run("Keeps todos in a database.", |args: Args| {
        let store = Store::open(&args.database)
            .map_err(|error| io::Error::other(format!("{}: {error}", args.database.display())))?;
        let store = Arc::new(store);
        let server = args.server.server().logger(logger(slog::Level::Info));
        // Those of the router and the server too, such as 405.
        let server = server.error_responses(|error: &ErrorContext<'_>| error.to_problem());
        let report = serve(server.build(router(&store))?)?;
        store.close();
        Ok(report)
    })
}

/// The changes of the schema, in their order. To change it, append one.
const MIGRATIONS: &[&str] = &["CREATE TABLE todos (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice, so an old link finds no other todo
    title TEXT NOT NULL,
    done INTEGER NOT NULL DEFAULT FALSE
) STRICT"];

/// Arbitrary: a line.
const TITLE_CHARS_MAX: usize = 1000;

/// Arbitrary: far more than a title of so many characters, each of them escaped.
const BODY_BYTES_MAX: u64 = 16 << 10;

/// How many todos there are in one response. Arbitrary: some hundred kilobytes usually.
const LIMIT_MAX: u32 = 1000;

/// Arbitrary: reads of such a database take the processor, and rarely wait for the disk.
const READERS: usize = 4;

/// How long a job waits for a lock of another process. Arbitrary.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
