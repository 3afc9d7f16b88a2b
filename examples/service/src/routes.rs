//! The API: notes as JSON. Every client may read them, and clients with the token may write.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use slog::warn;
use straightline::web::middleware::bearer_auth;
use straightline::web::{Json, RequestExt, Router, get};
use straightline::{IntoResponse, Next, Problem, Request, Response, StatusCode, header, sched};

use crate::secret::Secret;
use crate::store::Store;

/// What the handlers share.
pub(crate) struct App {
    pub(crate) store: Store,
    token: RwLock<Option<Secret>>,
}

impl App {
    pub(crate) fn new(store: Store, token: Option<Secret>) -> Self {
        Self { store, token: RwLock::new(token) }
    }

    /// From now on this token counts.
    pub(crate) fn set_token(&self, token: Option<Secret>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    fn token(&self) -> Option<Secret> {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(crate) fn router(app: &Arc<App>) -> Router<App> {
    Router::with_shared_state(Arc::clone(app))
        .get("/", hello)
        .get("/slow", slow)
        .route("/notes", get(list).post(create))
        .route("/notes/{id}", get(show).put(replace).delete(remove))
        .wrap(writes_need_the_token(app))
}

#[derive(Serialize)]
struct Note {
    id: i64,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNote {
    text: Text,
}

/// The text of a note: neither blank nor too long.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Text(String);

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.chars().count() {
            _ if text.trim().is_empty() => Err("a text is not blank".to_owned()),
            count if count > TEXT_CHARS_MAX => {
                Err(format!("a text has at most {TEXT_CHARS_MAX} characters"))
            }
            _ => Ok(Self(text)),
        }
    }
}

/// A page of the list: what follows an id.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    after: i64,
    #[serde(default = "Page::default_limit")]
    limit: u32,
}

impl Page {
    fn default_limit() -> u32 {
        LIMIT_MAX
    }
}

fn list(request: &mut Request, app: &App) -> Result<Json<Vec<Note>>, Problem> {
    let Page { after, limit } = request.query_as()?;
    let limit = limit.min(LIMIT_MAX);
    let notes = app.store.read(move |database| {
        let sql = "SELECT id, text FROM notes WHERE id > ?1 ORDER BY id LIMIT ?2";
        database.prepare_cached(sql)?.query_map(params![after, limit], note)?.collect()
    })?;
    Ok(Json(notes))
}

fn create(request: &mut Request, app: &App) -> Result<impl IntoResponse + use<>, Problem> {
    let NewNote { text: Text(text) } = request.json()?;
    let created = app.store.write(move |database| {
        let sql = "INSERT INTO notes (text) VALUES (?1) RETURNING id, text";
        database.prepare_cached(sql)?.query_row([text], note)
    })?;
    let location = [(header::LOCATION, format!("/notes/{}", created.id))];
    Ok((StatusCode::CREATED, location, Json(created)))
}

fn show(request: &mut Request, app: &App) -> Result<Json<Note>, Problem> {
    let id: i64 = request.param("id")?;
    let found = app.store.read(move |database| {
        let sql = "SELECT id, text FROM notes WHERE id = ?1";
        database.prepare_cached(sql)?.query_row([id], note).optional()
    })?;
    found.map(Json).ok_or_else(|| no_such_note(id))
}

fn replace(request: &mut Request, app: &App) -> Result<Json<Note>, Problem> {
    let id: i64 = request.param("id")?;
    let NewNote { text: Text(text) } = request.json()?;
    let replaced = app.store.write(move |database| {
        let sql = "UPDATE notes SET text = ?2 WHERE id = ?1 RETURNING id, text";
        database.prepare_cached(sql)?.query_row(params![id, text], note).optional()
    })?;
    replaced.map(Json).ok_or_else(|| no_such_note(id))
}

fn remove(request: &mut Request, app: &App) -> Result<StatusCode, Problem> {
    let id: i64 = request.param("id")?;
    let removed = app.store.write(move |database| {
        database.prepare_cached("DELETE FROM notes WHERE id = ?1")?.execute([id])
    })?;
    if removed == 0 { Err(no_such_note(id)) } else { Ok(StatusCode::NO_CONTENT) }
}

fn no_such_note(id: i64) -> Problem {
    Problem::new(StatusCode::NOT_FOUND).with_detail(format!("There is no note {id}."))
}

fn note(row: &Row<'_>) -> rusqlite::Result<Note> {
    Ok(Note { id: row.get(0)?, text: row.get(1)? })
}

fn hello(request: &mut Request, _: &App) -> String {
    format!("hello, {}\n", request.peer())
}

#[derive(Deserialize)]
struct Slow {
    #[serde(default = "Slow::default_ms")]
    ms: u64,
}

impl Slow {
    fn default_ms() -> u64 {
        1_000
    }
}

/// Takes its time, to try timeouts and drains with. A copy of this service does without it.
fn slow(request: &mut Request, _: &App) -> Result<&'static str, Problem> {
    let Slow { ms } = request.query_as()?;
    sched::sleep(Duration::from_millis(ms));
    Ok("slept\n")
}

/// Lets every client read, and clients with the token write. Without a token no client may write.
fn writes_need_the_token(
    app: &Arc<App>,
) -> impl Fn(&mut Request, Next<'_>) -> Result<Response, Problem> + Send + Sync + 'static {
    let app = Arc::clone(app);
    let verify = Arc::clone(&app);
    let authenticated =
        bearer_auth(move |sent| Ok(verify.token().filter(|token| token.is(sent)).map(|_| ())));
    move |request, next| {
        if request.method().is_safe() {
            return Ok(next.run(request));
        }
        if app.token().is_none() {
            let detail = "This service has no token, so no client may write.";
            return Err(Problem::new(StatusCode::FORBIDDEN).with_detail(detail));
        }
        authenticated(request, next)
    }
}

/// Logs answers that are our own faults. The client has the same request id.
pub(crate) fn log_failures(request: &mut Request, next: Next<'_>) -> Response {
    let response = next.run(request);
    if response.status().is_server_error() {
        warn!(sched::logger(), "{} {}", request.method(), request.path();
            "status" => response.status().as_u16(), "request_id" => request.request_id());
    }
    response
}

/// Arbitrary: a page of text.
const TEXT_CHARS_MAX: usize = 4_000;

/// How many notes there are in one response. Arbitrary.
const LIMIT_MAX: u32 = 100;
