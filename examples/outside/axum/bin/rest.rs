//! A REST service: notes as JSON, kept in memory.

use std::sync::{Arc, Mutex};
use std::{env, io};

use axum::extract::{Path, State};
use axum::http::{StatusCode, header::LOCATION};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Clone, Deserialize, Serialize)]
struct Note {
    text: String,
}

type Notes = Arc<Mutex<Vec<Note>>>;

async fn list(State(notes): State<Notes>) -> Json<Vec<Note>> {
    Json(notes.lock().unwrap().clone())
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

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(env::args().nth(1).expect("an address")).await?;
    let mut stop = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    let app = Router::new()
        .route("/notes", get(list).post(add))
        .route("/notes/{number}", get(one))
        .with_state(Notes::default());
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            stop.recv().await;
        })
        .await
}
