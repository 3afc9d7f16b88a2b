//! A REST service: notes as JSON, kept in memory. A thread for each request that is served at a
//! time.

use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, thread};

use serde::{Deserialize, Serialize};
use signal_hook::{consts::SIGTERM, iterator::Signals};
use tiny_http::{Header, Method, Request, Response, Server};

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

type Notes = Mutex<Vec<Note>>;
type Answer = Response<io::Cursor<Vec<u8>>>;

fn json(value: &impl Serialize) -> Answer {
    let text = serde_json::to_string(value).expect("notes become JSON");
    Response::from_string(text).with_header(field("Content-Type", "application/json"))
}

fn field(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("a valid field")
}

fn error(status: u16) -> Answer {
    Response::from_string("").with_status_code(status)
}

fn list(query: &str, notes: &Notes) -> Answer {
    let limit = match query.split('&').find_map(|pair| pair.strip_prefix("limit=")) {
        Some(text) => text.parse().ok(),
        None => Some(20),
    };
    let Some(limit) = limit else { return error(400) };
    json(&notes.lock().unwrap().iter().take(limit).collect::<Vec<_>>())
}

fn add(request: &mut Request, notes: &Notes) -> Answer {
    let mut body = Vec::new();
    match request.as_reader().take(64 * 1024 + 1).read_to_end(&mut body) {
        Err(_) => return error(400),
        Ok(count) if count > 64 * 1024 => return error(413),
        Ok(_) => {}
    }
    let Ok(note) = serde_json::from_slice::<Note>(&body) else { return error(422) };
    let mut notes = notes.lock().unwrap();
    notes.push(note.clone());
    let location = format!("/notes/{}", notes.len() - 1);
    json(&note).with_status_code(201).with_header(field("Location", &location))
}

fn one(number: &str, notes: &Notes) -> Answer {
    let notes = notes.lock().unwrap();
    match number.parse().ok().and_then(|number: usize| notes.get(number)) {
        Some(note) => json(note),
        None => error(404),
    }
}

fn has_token(request: &Request) -> bool {
    let mut fields = request.headers().iter();
    let token = fields.find(|field| field.field.equiv("Authorization"));
    token.is_some_and(|field| field.value == "Bearer secret")
}

fn answer(request: &mut Request, notes: &Notes) -> Answer {
    let target = request.url().to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    match (request.method(), path) {
        (Method::Get, "/notes") => list(query, notes),
        (Method::Post, "/notes") if has_token(request) => add(request, notes),
        (Method::Post, "/notes") => error(401).with_header(field("WWW-Authenticate", "Bearer")),
        (_, "/notes") => error(405).with_header(field("Allow", "GET, POST")),
        (Method::Get, _) if path.starts_with("/notes/") => one(&path["/notes/".len()..], notes),
        _ => error(404),
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let server = Server::http(address).map_err(io::Error::other)?;
    println!("listening on {}", server.server_addr());
    let (notes, is_over) = (Notes::default(), AtomicBool::new(false));
    let mut stop = Signals::new([SIGTERM])?;
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let Ok(mut request) = server.recv() else { continue };
                    let response = answer(&mut request, &notes);
                    let _ = request.respond(response);
                }
            });
        }
        stop.forever().next();
        is_over.store(true, Ordering::Relaxed);
        (0..64).for_each(|_| server.unblock());
    });
    Ok(())
}
