//! A chat: a page with rooms and their members, over WebSockets.
//!
//! One fiber does all of a member's conversation. It waits for what the member says and for what
//! the room says. Each room keeps its newest messages for each member, so a member that reads
//! slowly delays no other, and is disconnected when it has missed one.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use straightline::sched::{
    self,
    sync::broadcast::{self, TryRecvError},
};
use straightline::web::{Html, RequestExt, Router};
use straightline::websocket::{CloseCode, Endpoint, Incoming, Message, WebSocket};
use straightline::{IntoResponse, Problem, Request, Response, StatusCode};
use straightline_examples::{ServerArgs, logger, run, serve};

/// The rooms that have members.
#[derive(Clone, Default)]
struct Rooms {
    rooms: Arc<Mutex<BTreeMap<String, Room>>>,
}

struct Room {
    /// The names, by number: two members may have the same name.
    members: BTreeMap<u64, String>,
    next: u64,
    /// How often they have changed: a page ignores a list that is older than the one it has.
    changes: u64,
    news: broadcast::Sender<Message>,
}

/// A member of a room, who leaves it when this is dropped, however the conversation ends.
struct Member {
    rooms: Rooms,
    room: String,
    name: String,
    number: u64,
    news: broadcast::Receiver<Message>,
}

impl Rooms {
    /// No fiber waits while it holds the lock: news are sent behind it, because that is a yield
    /// point.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, room: String, name: String) -> Option<Member> {
        let mut rooms = self.lock();
        if rooms.len() >= ROOMS_MAX && !rooms.contains_key(&room) {
            return None;
        }
        let entry = rooms.entry(room.clone()).or_insert_with(|| Room {
            members: BTreeMap::new(),
            next: 0,
            changes: 0,
            news: broadcast::channel(NEWS_MAX).0,
        });
        if entry.members.len() >= MEMBERS_MAX {
            return None;
        }
        let (number, news) = (entry.next, entry.news.subscribe());
        entry.next += 1;
        entry.members.insert(number, name.clone());
        let members = entry.members();
        drop(rooms);
        members.tell();
        Some(Member { rooms: self.clone(), room, name, number, news })
    }
}

impl Room {
    fn news(&self, what: &serde_json::Value) -> News {
        News { sender: self.news.clone(), message: Message::from(what.to_string()) }
    }

    /// Who is there, behind a change.
    fn members(&mut self) -> News {
        self.changes += 1;
        let members: Vec<_> = self.members.values().collect();
        self.news(&json!({"members": members, "change": self.changes}))
    }
}

/// A message for a room.
struct News {
    sender: broadcast::Sender<Message>,
    message: Message,
}

impl News {
    fn tell(self) {
        let _ = self.sender.send(self.message); // an error says that the room is empty
    }
}

impl Member {
    fn say(&self, text: &str) {
        let said = json!({"name": self.name, "text": text});
        let news = self.rooms.lock().get(&self.room).map(|room| room.news(&said));
        if let Some(news) = news {
            news.tell();
        }
        sched::yield_now(); // the others read before this member says more
    }

    fn converse(&self, mut socket: WebSocket) -> io::Result<()> {
        loop {
            match socket.receive_or(&[&self.news])? {
                Incoming::Message(Message::Text(text)) => self.say(&text),
                Incoming::Message(Message::Binary(_)) => {
                    socket.close(CloseCode::UNSUPPORTED, "only text");
                    return Ok(());
                }
                Incoming::Other(_) => match self.news.try_recv() {
                    Ok(news) => socket.send(news)?,
                    Err(TryRecvError::Empty) => {}
                    Err(_) => {
                        socket.close(CloseCode::POLICY, "you read too slowly");
                        return Ok(());
                    }
                },
                Incoming::Closed => return Ok(()),
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut rooms = self.rooms.lock();
        let Some(room) = rooms.get_mut(&self.room) else { return };
        room.members.remove(&self.number);
        if room.members.is_empty() {
            rooms.remove(&self.room);
            return;
        }
        let members = room.members();
        drop(rooms);
        members.tell();
    }
}

/// `/ws/rooms/{room}?name=…`
fn join(request: &mut Request, rooms: &Rooms, endpoint: &Endpoint) -> Result<Response, Problem> {
    #[derive(serde::Deserialize)]
    struct Query {
        name: String,
    }
    let room: String = request.param("room")?;
    let name = request.query_as::<Query>()?.name;
    if !is_name(&room) || !is_name(&name) {
        let problem = Problem::from(StatusCode::BAD_REQUEST);
        return Err(problem.with_detail("a name has 1 to 40 characters, and is not blank"));
    }
    let rooms = rooms.clone();
    // The member joins when the WebSocket is open, and not for a request that is refused.
    Ok(endpoint.upgrade(request, move |socket| {
        if let Some(member) = rooms.join(room, name) {
            return member.converse(socket);
        }
        socket.close(CloseCode::TRY_AGAIN_LATER, "no room is left");
        Ok(())
    }))
}

/// The rooms and how many members each has.
fn list(rooms: &Rooms) -> Response {
    let rooms = rooms.lock();
    let counts =
        rooms.iter().map(|(name, room)| json!({"name": name, "members": room.members.len()}));
    let list: serde_json::Value = counts.collect();
    drop(rooms);
    list.to_string().into_response().content_type("application/json")
}

fn page(_: &mut Request) -> impl IntoResponse + use<> {
    let policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    let fields = [("content-security-policy", policy), ("x-content-type-options", "nosniff")];
    (fields, Html(include_str!("chat/page.html")))
}

fn script(_: &mut Request) -> impl IntoResponse + use<> {
    ([("content-type", "text/javascript; charset=utf-8")], include_str!("chat/page.js"))
}

fn style(_: &mut Request) -> impl IntoResponse + use<> {
    ([("content-type", "text/css; charset=utf-8")], include_str!("chat/page.css"))
}

fn is_name(text: &str) -> bool {
    (1..=NAME_CHARACTERS_MAX).contains(&text.chars().count()) && !text.trim().is_empty()
}

fn main() -> ExitCode {
    run("A chat with rooms, and a page for it.", |args: ServerArgs| {
        // Only pages of this server may join: that is the default.
        let endpoint = Endpoint::new().message_bytes(MESSAGE_BYTES);
        let rooms = Rooms::default();
        let listed = rooms.clone();
        let router = Router::new()
            .get("/", page)
            .get("/page.js", script)
            .get("/page.css", style)
            .get("/rooms", move |_: &mut Request| list(&listed))
            .get("/ws/rooms/{room}", move |request: &mut Request| join(request, &rooms, &endpoint));
        serve(args.server().logger(logger(slog::Level::Info)).build(router)?)
    })
}

/// Some lines of text.
const MESSAGE_BYTES: usize = 4096;

/// How many messages a member may be behind the others.
const NEWS_MAX: usize = 64;

/// The page lists all members of a room, and each change is sent to all of them.
const MEMBERS_MAX: usize = 200;

const ROOMS_MAX: usize = 1000;

const NAME_CHARACTERS_MAX: usize = 40;
