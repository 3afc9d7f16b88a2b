//! The sample `service`: its admin listener, and its access log, which another program rotates.

use std::fs;
use std::io::BufRead;
use std::path::PathBuf;
use std::{process, thread};

use straightline::testing::Client;

use crate::servers::Server;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("straightline-service-{}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a path of our own");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The address in the line of the admin listener.
fn admin_of(server: &mut Server) -> String {
    let mut line = String::new();
    server.stdout.read_line(&mut line).expect("a line");
    line.trim_end().strip_prefix("admin on http://").expect("an address").to_owned()
}

#[test]
fn a_signal_behind_a_drain_is_not_its_repetition() {
    let mut server = Server::start("service", &["--admin", "127.0.0.1:0", "--workers", "1"]);
    let admin = admin_of(&mut server);
    let address = server.address().to_owned();
    let slow = thread::spawn(move || {
        let response = Client::connect(&*address).get("/slow?ms=1000").send();
        response.status().as_u16()
    });
    let in_flight = || {
        let metrics = Client::connect(&*admin).get("/metrics").send();
        metrics.text().contains("\nstraightline_requests_in_flight 1\n")
    };
    while !in_flight() {
        thread::yield_now();
    }
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
