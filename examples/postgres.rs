//! Visits in a PostgreSQL database: `cargo run --release -p straightline-examples --features
//! postgres --example postgres -- --database postgres://user@localhost/database`.
//!
//! Each shard has a pool of connections. A handler whose deadline passes, or whose client goes
//! away, unwinds, and the database stops what it does for that handler: try
//! `curl -m 1 localhost:8080/slow?seconds=600`, and look into `pg_stat_activity`.

use std::io;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use humantime::parse_duration;
use serde::{Deserialize, Serialize};
use straightline::sched;
use straightline::web::{Json, PerShard, RequestExt, Router, get};
use straightline::{Next, OnDisconnect, Problem, Request, Response, StatusCode, header};
use straightline_db::postgres::{Postgres, Row};
use straightline_db::{Error, Pool, PoolConfig};
use straightline_examples::{ServerArgs, logger, run, serve};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// The database: `postgres://user:password@host/name`, or `host=/run/postgresql user=name`
    #[arg(long, value_name = "URL")]
    database: String,
    /// Connections of each worker
    #[arg(long, value_name = "N", default_value = "8")]
    pool: NonZeroUsize,
    /// How long a request waits for a connection; then it is 503
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    acquire_timeout: Duration,
    /// How long a request may take; then it is 504
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    deadline: Duration,
}

struct App {
    pool: PerShard<Pool<Postgres>>,
    /// The counters of all shards.
    config: PoolConfig,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewVisit {
    visitor: String,
}

#[derive(Serialize)]
struct Visit {
    id: i64,
    visitor: String,
}

#[derive(Deserialize)]
struct Slow {
    seconds: f64,
}

/// A database that cannot be had now is a 503; everything else is a 500 and a line in the log.
fn problem(error: Error) -> Problem {
    if error.is_unavailable() {
        let busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE);
        return busy.with_header(header::RETRY_AFTER, 1).with_source(error);
    }
    Problem::internal(error)
}

/// What there is.
fn about(_: &mut Request, _: &App) -> &'static str {
    "Visits in a PostgreSQL database:\n\n\
     GET  /visits             the newest visits, as JSON\n\
     POST /visits             adds one: {\"visitor\": \"ann\"}\n\
     GET  /total              how many there are\n\
     GET  /slow?seconds=600   waits in the database, until the deadline of the request\n\
     GET  /pool               the counters of the connections\n"
}

fn list(_: &mut Request, app: &App) -> Result<Json<Vec<Visit>>, Problem> {
    let newest = "SELECT id, visitor FROM visits ORDER BY id DESC LIMIT 100";
    let rows = app.pool.get().get().and_then(|client| client.query(newest, &[]));
    let rows = rows.map_err(problem)?;
    let visit = |row: &Row| Visit { id: row.get(0), visitor: row.get(1) };
    Ok(Json(rows.iter().map(visit).collect()))
}

/// Two statements that belong together: a handler that unwinds in between has done neither.
fn create(request: &mut Request, app: &App) -> Result<(StatusCode, Json<Visit>), Problem> {
    let NewVisit { visitor } = request.json()?;
    let stored = |visitor: &str| {
        let mut client = app.pool.get().get()?;
        let transaction = client.transaction()?;
        let insert = "INSERT INTO visits (visitor) VALUES ($1) RETURNING id";
        let id = transaction.query_one(insert, &[&visitor])?.get(0);
        transaction.execute("UPDATE visits_total SET count = count + 1", &[])?;
        transaction.commit()?;
        Ok(id)
    };
    let id = stored(&visitor).map_err(problem)?;
    Ok((StatusCode::CREATED, Json(Visit { id, visitor })))
}

fn total(_: &mut Request, app: &App) -> Result<String, Problem> {
    let sql = "SELECT count FROM visits_total";
    let row = app.pool.get().get().and_then(|client| client.query_one(sql, &[]));
    Ok(format!("{}\n", row.map_err(problem)?.get::<_, i64>(0)))
}

fn slow(request: &mut Request, app: &App) -> Result<String, Problem> {
    let Slow { seconds } = request.query_as()?;
    let slept = app.pool.get().get();
    let slept = slept.and_then(|client| client.execute("SELECT pg_sleep($1)", &[&seconds]));
    slept.map_err(problem)?;
    Ok(format!("slept for {seconds} s\n"))
}

fn counters(_: &mut Request, app: &App) -> String {
    format!("{:#?}\n", app.config.stats())
}

/// Bounds each request. What it waits for ends with it.
fn in_time(request: &mut Request, next: Next<'_>, deadline: Duration) -> Response {
    sched::deadline(deadline, || next.run(request))
        .unwrap_or_else(|_| Response::new(StatusCode::GATEWAY_TIMEOUT).with_body("too late\n"))
}

/// Makes the tables, if the database is there.
fn prepare(postgres: Postgres) -> Result<(), Error> {
    Pool::new(postgres, &PoolConfig::default()).get()?.batch_execute(SCHEMA)
}

fn main() -> ExitCode {
    run("Keeps visits in a PostgreSQL database.", |args: Args| {
        let postgres = Postgres::new(&args.database).map_err(io::Error::other)?;
        let config = PoolConfig::default()
            .connections_max(args.pool.get())
            .acquire_timeout(args.acquire_timeout);
        let first = postgres.clone();
        sched::run(move || prepare(first)).map_err(io::Error::other)?;
        let pool = PerShard::new({
            let config = config.clone();
            move || Pool::new(postgres.clone(), &config)
        });
        let deadline = args.deadline;
        let router = Router::with_state(App { pool, config })
            .get("/", about)
            .route("/visits", get(list).post(create).body_limit(BODY_BYTES_MAX))
            .get("/total", total)
            .get("/slow", slow)
            .get("/pool", counters)
            .wrap(move |request: &mut Request, next: Next<'_>| in_time(request, next, deadline));
        let server = args.server.server().logger(logger(slog::Level::Info));
        serve(server.on_disconnect(OnDisconnect::Cancel).build(router)?)
    })
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS visits (
        id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        visitor text NOT NULL
    );
    CREATE TABLE IF NOT EXISTS visits_total (
        is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
        count bigint NOT NULL
    );
    INSERT INTO visits_total (count) VALUES (0) ON CONFLICT DO NOTHING;";

/// Arbitrary: a name and some characters around it.
const BODY_BYTES_MAX: u64 = 4096;
