//! The sample `service`: its settings, its data, what a reload changes, its admin listener and its
//! access log, and the package that a copy of its folder is.

use std::fs;
use std::io::BufRead;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{process, thread};

use serde_json::json;
use straightline::testing::{Client, TestRequest};

use crate::servers::{Server, binary};

mod configuration;
mod data;
mod reload;
mod template;

/// A folder for the files of a test, which is removed with everything in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("straightline-service-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a path of our own");
        Self(path)
    }

    /// The path of a file in the folder.
    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path in UTF-8").to_owned()
    }

    /// Writes a file, and returns its path.
    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.0.join(name), text).expect("a file");
        self.path(name)
    }

    fn database(&self) -> String {
        self.path("notes.db")
    }

    /// The sample with the token, and its database in the folder.
    fn serve(&self, flags: &[&str]) -> Server {
        let own = ["--workers", "2", "--database", &self.database()];
        Server::start_by(&mut service(), &[&own, flags].concat())
    }

    /// Takes the lock of the database, as another program.
    fn lock(&self) -> rusqlite::Connection {
        let other = rusqlite::Connection::open(self.database()).expect("the database");
        other.execute_batch("BEGIN IMMEDIATE").expect("no other connection writes");
        other
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The sample with the token.
fn service() -> Command {
    let mut command = Command::new(binary("service"));
    command.env("SERVICE_TOKEN", TOKEN);
    command
}

/// A request with the token.
fn authorized(request: TestRequest<'_>) -> TestRequest<'_> {
    request.header("authorization", format!("Bearer {TOKEN}"))
}

/// A request that adds a note.
fn post<'c>(client: &'c Client, text: &str) -> TestRequest<'c> {
    authorized(client.post("/notes")).json(&json!({"text": text}))
}

/// The address in the line of the admin listener.
fn admin_of(server: &mut Server) -> String {
    let mut line = String::new();
    server.stdout.read_line(&mut line).expect("a line");
    line.trim_end().strip_prefix("admin on http://").expect("an address").to_owned()
}

/// Waits until so many requests are being answered.
fn wait_for_requests_in_flight(admin: &str, count: usize) {
    let line = format!("\nstraightline_requests_in_flight {count}\n");
    while !Client::connect(admin).get("/metrics").send().text().contains(&line) {
        thread::yield_now();
    }
}

const TOKEN: &str = "correct-horse-battery-staple";

#[test]
fn a_signal_behind_a_drain_is_not_its_repetition() {
    let mut server = Server::start("service", &["--admin", "127.0.0.1:0", "--workers", "1"]);
    let admin = admin_of(&mut server);
    let address = server.address().to_owned();
    let slow = thread::spawn(move || {
        let response = Client::connect(&*address).get("/slow?ms=1000").send();
        response.status().as_u16()
    });
    wait_for_requests_in_flight(&admin, 1);
    Client::connect(&*admin).post("/drain").send().assert_status(202);
    server.signal("TERM");
    assert_eq!(slow.join().expect("a response"), 200);
    assert!(server.child.wait().expect("it ends").success());
}

#[test]
fn its_log_can_be_moved_and_its_admin_listener_drains_it() {
    let folder = Folder::new();
    let (log, moved) = (folder.0.join("access.log"), folder.0.join("access.log.1"));
    let path = log.to_str().expect("text");
    let flags = ["--admin", "127.0.0.1:0", "--access-log", path, "--workers", "1"];
    let mut server = Server::start("service", &flags);
    let admin = admin_of(&mut server);

    server.get("/first").assert_status(404);
    // The log has a thread of its own.
    while !fs::read_to_string(&log).expect("the log is there").ends_with('\n') {
        thread::yield_now();
    }
    fs::rename(&log, &moved).expect("the log is there");
    server.signal("HUP");
    server.wait_for_stderr("SIGHUP: reloaded");
    server.get("/second").assert_status(404);

    Client::connect(&*admin).get("/readyz").send().assert_status(200);
    Client::connect(&*admin).post("/drain").send().assert_status(202);
    assert!(server.child.wait().expect("it ends").success());
    let text = |path| fs::read_to_string(path).expect("a file");
    let (first, second) = (text(&moved), text(&log));
    assert!(first.contains("\"/first\"") && !first.contains("\"/second\""), "{first}");
    assert!(second.contains("\"/second\"") && !second.contains("\"/first\""), "{second}");
}

/// The text between `begin` and `end`.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no {begin}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end}")).0
}

#[test]
fn the_bounds_of_the_deployment_agree_with_its_memory_limit() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kubernetes/");
    let read = |name: &str| fs::read_to_string(folder.to_owned() + name).expect("a file");
    let (manifest, settings) = (read("deployment.yaml"), read("config.yaml"));
    let value = |name: &str| -> u64 {
        between(&settings, &format!("\n    {name} = "), "\n").parse().expect("a number")
    };
    let limit: u64 = between(&manifest, "memory: ", "Mi}\n          securityContext")
        .rsplit(' ')
        .next()
        .and_then(|text| text.parse().ok())
        .expect("a limit in MiB");
    let (connections, in_flight) = (value("connections"), value("in-flight"));
    assert!(in_flight <= connections);
    // The program; at rest, the stack of each, the kernel's buffers; buffers and bodies.
    let mebibytes = |tenths_of_kib: u64| (connections * tenths_of_kib).div_ceil(10 * 1024);
    let sum = 10 + mebibytes(7) + mebibytes(160) + mebibytes(400) + limit / 4;
    assert!(manifest.contains(&format!("{sum} MiB  of {limit}: ")), "{sum} MiB");
    assert!(sum <= limit * 3 / 4, "{sum} of {limit} MiB");

    // The program takes them so.
    let (of_connections, of_in_flight) = (connections.to_string(), in_flight.to_string());
    let bounds = ["--connections", &of_connections, "--in-flight", &of_in_flight];
    let flags = [&["--admin", "127.0.0.1:0", "--workers", "1"][..], &bounds].concat();
    let mut server = Server::start("service", &flags);
    let admin = admin_of(&mut server);
    let settings = Client::connect(&*admin).get("/settings").send();
    let settings = settings.text();
    for (name, expected) in [("connections", connections), ("in_flight", in_flight)] {
        assert!(settings.contains(&format!("capacity.{name} = {expected} (")), "{settings}");
    }
}
