//! A REST service: notes as JSON, kept in memory.

use std::sync::{Arc, Mutex};
use std::{env, io};

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

#[derive(Deserialize)]
struct Page {
    limit: Option<usize>,
}

type Notes = Arc<Mutex<Vec<Note>>>;

async fn list(State(notes): State<Notes>, Query(page): Query<Page>) -> Json<Vec<Note>> {
    let notes = notes.lock().unwrap();
    Json(notes.iter().take(page.limit.unwrap_or(20)).cloned().collect())
}

async fn add(State(notes): State<Notes>, Json(note): Json<Note>) -> impl IntoResponse {
    let mut notes = notes.lock().unwrap();
    notes.push(note.clone());
    let location = format!("/notes/{}", notes.len() - 1);
    (StatusCode::CREATED, [(LOCATION, location)], Json(note))
}

async fn one(
    State(notes): State<Notes>,
    Path(number): Path<usize>,
) -> Result<Json<Note>, StatusCode> {
    notes.lock().unwrap().get(number).cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn with_token(request: Request, next: Next) -> Response {
    match request.headers().get(AUTHORIZATION) {
        Some(value) if value == "Bearer secret" => next.run(request).await,
        _ => (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response(),
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(env::args().nth(1).expect("an address")).await?;
    let mut stop = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    let app = Router::new()
        .route("/notes", post(add).layer(from_fn(with_token)).get(list))
        .route("/notes/{number}", get(one))
        .with_state(Notes::default());
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            stop.recv().await;
        })
        .await
}
