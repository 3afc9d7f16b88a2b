//! A REST service: notes as JSON, kept in memory.

use std::sync::Mutex;
use std::{env, io};

use serde::{Deserialize, Serialize};
use straightline::web::{Json, RequestExt, Router, post};
use straightline::{IntoResponse, Next, Problem, Request, Response, Server, StatusCode, header};

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

#[derive(Deserialize)]
struct Page {
    limit: Option<usize>,
}

type Notes = Mutex<Vec<Note>>;

fn list(request: &mut Request, notes: &Notes) -> Result<Json<Vec<Note>>, Problem> {
    let page: Page = request.query_as()?;
    let notes = notes.lock().unwrap();
    Ok(Json(notes.iter().take(page.limit.unwrap_or(20)).cloned().collect()))
}

fn add(request: &mut Request, notes: &Notes) -> Result<impl IntoResponse, Problem> {
    let note: Note = request.json()?;
    let mut notes = notes.lock().unwrap();
    notes.push(note.clone());
    let location = format!("/notes/{}", notes.len() - 1);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(note)))
}

fn one(request: &mut Request, notes: &Notes) -> Result<Option<Json<Note>>, Problem> {
    let number: usize = request.param("number")?;
    Ok(notes.lock().unwrap().get(number).cloned().map(Json))
}

fn with_token(request: &mut Request, next: Next<'_>) -> Response {
    match request.headers().get(header::AUTHORIZATION) {
        Some("Bearer secret") => next.run(request),
        _ => StatusCode::UNAUTHORIZED.into_response().header(header::WWW_AUTHENTICATE, "Bearer"),
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let app = Router::with_state(Notes::default())
        .get("/notes", list)
        .route("/notes", post(add).wrap(with_token))
        .get("/notes/{number}", one);
    let server = Server::builder().bind(address).shutdown_on_signals().build(app)?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
