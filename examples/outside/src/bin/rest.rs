//! A REST service: notes as JSON, kept in memory.

use std::sync::Mutex;
use std::{env, io};

use serde::{Deserialize, Serialize};
use straightline::{HandlerError, IntoResponse, Method, Request, Response, Server, StatusCode};

#[derive(Deserialize, Serialize)]
struct Note {
    text: String,
}

fn json(value: &impl Serialize) -> Result<Response, HandlerError> {
    Ok(serde_json::to_vec(value)?.into_response().content_type("application/json"))
}

fn answer(request: &mut Request, notes: &Mutex<Vec<Note>>) -> Result<Response, HandlerError> {
    let number = request.path().strip_prefix("/notes/").and_then(|n| n.parse::<usize>().ok());
    match (request.path(), request.method(), number) {
        ("/notes", &Method::GET, _) => json(&*notes.lock().unwrap()),
        ("/notes", &Method::POST, _) => {
            let body = request.body().read_to_vec(64 * 1024)?;
            let Ok(note) = serde_json::from_slice(&body) else {
                return Ok(StatusCode::UNPROCESSABLE_ENTITY.into_response());
            };
            let mut notes = notes.lock().unwrap();
            notes.push(note);
            let location = format!("/notes/{}", notes.len() - 1);
            Ok(json(notes.last().unwrap())?
                .with_status(StatusCode::CREATED)
                .header("location", location))
        }
        ("/notes", ..) => Ok(Response::method_not_allowed(&[Method::GET, Method::POST])),
        (_, &Method::GET, Some(number)) => match notes.lock().unwrap().get(number) {
            Some(note) => json(note),
            None => Ok(StatusCode::NOT_FOUND.into_response()),
        },
        _ => Ok(StatusCode::NOT_FOUND.into_response()),
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let notes = Mutex::new(Vec::new());
    let server = Server::builder().bind(address).shutdown_on_signals();
    let server = server.build(move |request: &mut Request| answer(request, &notes))?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
