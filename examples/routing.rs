//! Notes behind routes: parameters, state, nested routers, middleware for a group, and a host of
//! its own. HEAD, OPTIONS and 405 are the router's own answers.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use straightline::web::{PerShard, RequestExt, Router, get};
use straightline::{HandlerError, Next, Problem, Request, Response, StatusCode, header};
use straightline_examples::{ServerArgs, logger, run, serve};

/// What the handlers share.
struct App {
    /// One for all shards. A lock is not held while a handler waits.
    notes: Mutex<BTreeMap<u64, String>>,
    /// One for each shard, without a lock.
    created: PerShard<Cell<u64>>,
}

impl App {
    fn notes(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn list(_: &mut Request, app: &App) -> String {
    app.notes().iter().map(|(id, text)| format!("{id}: {text}\n")).collect()
}

fn create(request: &mut Request, app: &App) -> Result<Response, HandlerError> {
    let text = String::from_utf8_lossy(&request.body().read_to_vec(NOTE_BYTES_MAX)?).into_owned();
    let mut notes = app.notes();
    let id = notes.last_key_value().map_or(1, |(last, _)| last + 1);
    notes.insert(id, text);
    app.created.with(|created| created.set(created.get() + 1));
    Ok(Response::new(StatusCode::CREATED).header(header::LOCATION, format!("/notes/{id}")))
}

fn show(request: &mut Request, app: &App) -> Result<String, Problem> {
    let id: u64 = request.param("id")?;
    let notes = app.notes();
    let text = notes.get(&id).ok_or(StatusCode::NOT_FOUND)?;
    Ok(format!("{text}\n"))
}

fn remove(request: &mut Request, app: &App) -> Result<StatusCode, Problem> {
    let id: u64 = request.param("id")?;
    app.notes().remove(&id).ok_or(StatusCode::NOT_FOUND)?;
    Ok(StatusCode::NO_CONTENT)
}

fn file(request: &mut Request) -> Result<String, Problem> {
    let path: String = request.param("path")?;
    Ok(format!("the file {path} of {}\n", request.param::<String>("user")?))
}

fn created(_: &mut Request, app: &App) -> String {
    format!("{} by this shard\n", app.created.get().get())
}

/// For clients that know the word.
fn guarded(request: &mut Request, next: Next<'_>) -> Response {
    if request.headers().get("x-word") != Some("sesame") {
        return Response::new(StatusCode::FORBIDDEN).with_body("say the word\n");
    }
    next.run(request).header(header::CACHE_CONTROL, "no-store")
}

fn router(app: App) -> Router<App> {
    let users = Router::new().get("/{user}/files/{*path}", file);
    let status = Router::new().get("/", |_: &mut Request| "all is well\n");
    Router::with_state(app)
        .get("/", |_: &mut Request| "GET /notes, POST /notes, GET /notes/1, DELETE /notes/1\n")
        .route("/notes", get(list).post(create).body_limit(NOTE_BYTES_MAX))
        .route("/notes/{id}", get(show).delete(remove))
        .route("/created", get(created).wrap(guarded))
        .nest("/users", users.wrap(guarded))
        .host("status.localhost", status)
        .fallback(|_: &mut Request| (StatusCode::NOT_FOUND, "there is nothing here\n"))
}

fn main() -> ExitCode {
    run("Keeps notes behind routes.", |args: ServerArgs| {
        let app = App { notes: Mutex::default(), created: PerShard::new(Cell::default) };
        serve(args.server().logger(logger(slog::Level::Info)).build(router(app))?)
    })
}

/// Arbitrary: a page of text.
const NOTE_BYTES_MAX: u64 = 4096;
