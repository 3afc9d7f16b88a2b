//! The sample `postgres`, over its socket, with a PostgreSQL server that the test starts.
//!
//! The tests are ignored by default, because they need the package `postgresql`: `scripts/test
//! --services` runs them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::postgres_server::{self, PATIENCE};
use crate::servers::{Server, output};

fn serve(database: &postgres_server::Server, args: &[&str]) -> Server {
    let address = database.address();
    Server::start("postgres", &[&["--database", &address, "--workers", "1"], args].concat())
}

/// The counter of that name, of all shards.
fn counter(server: &Server, name: &str) -> u64 {
    let text = server.get("/pool").text().to_owned();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}: ")));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.trim_end_matches(',').parse().expect("a number")
}

#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a request on a connection of its own, and leaves the answer to the caller.
fn ask(server: &Server, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("sent");
    stream
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn visits_are_kept_and_counted() {
    let database = postgres_server::Server::start();
    let mut server = serve(&database, &["--pool", "3"]);
    let about = server.get("/");
    assert!(about.assert_status(200).text().contains("/visits"), "{about}");
    server.get("/visits").assert_status(200).assert_json(&json!([]));
    thread::scope(|scope| {
        // More clients at once than the pool has connections.
        for _ in 0..20 {
            scope.spawn(|| {
                let visit = json!({"visitor": "ann"});
                server.client().post("/visits").json(&visit).send().assert_status(201);
            });
        }
    });
    server.get("/total").assert_status(200).assert_text("20\n");
    let visits = server.get("/visits").json::<Value>();
    assert_eq!(visits.as_array().map(Vec::len), Some(20));
    assert!(counter(&server, "created") <= 3);
    let client = server.client();
    client.post("/visits").json(&json!({"visitor": 5})).send().assert_status(422);
    client.post("/visits").body(vec![b'x'; 5000]).send().assert_status(413);
    client.head("/visits").send().assert_status(200).assert_text("");
    client.delete("/visits").send().assert_status(405);
    client.get("/slow").send().assert_status(400);
    client.get("/nowhere").send().assert_status(404);
    assert!(server.stop().success());
    // The tables are there already.
    serve(&database, &[]).get("/total").assert_text("20\n");
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn a_request_that_takes_too_long_stops_the_database() {
    let database = postgres_server::Server::start();
    let server = serve(&database, &["--pool", "1", "--deadline", "300ms"]);
    server.get("/slow?seconds=600").assert_status(504);
    eventually("the cancel request is sent", || counter(&server, "aborts") == 1);
    server.get("/total").assert_status(200);
    assert_eq!(counter(&server, "abort_failures"), 0);
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn a_client_that_goes_away_stops_the_database() {
    let database = postgres_server::Server::start();
    let server = serve(&database, &["--pool", "1", "--deadline", "1h"]);
    let client = ask(&server, "/slow?seconds=600");
    eventually("it is asked", || counter(&server, "in_use") == 1);
    drop(client);
    eventually("the cancel request is sent", || counter(&server, "aborts") == 1);
    server.get("/total").assert_status(200);
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn a_pool_without_a_free_connection_is_a_503() {
    let database = postgres_server::Server::start();
    let server = serve(&database, &["--pool", "1", "--acquire-timeout", "200ms"]);
    let _slow = ask(&server, "/slow?seconds=5");
    eventually("it is asked", || counter(&server, "in_use") == 1);
    server.get("/total").assert_status(503).assert_header("retry-after", "1");
    assert_eq!(counter(&server, "acquire_timeouts"), 1);
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn a_drain_lets_a_request_end() {
    let database = postgres_server::Server::start();
    let mut server = serve(&database, &[]);
    let mut slow = ask(&server, "/slow?seconds=1");
    eventually("it is asked", || counter(&server, "in_use") == 1);
    assert!(server.stop().success());
    let mut answer = String::new();
    slow.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("slept for 1 s\n"), "{answer}");
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test --services"]
fn a_database_that_was_killed_is_used_again() {
    let mut database = postgres_server::Server::start();
    let server = serve(&database, &["--pool", "2"]);
    server.get("/total").assert_status(200);
    let slow = thread::scope(|scope| {
        let slow = scope.spawn(|| server.get("/slow?seconds=600"));
        eventually("it is asked", || counter(&server, "in_use") == 1);
        database.kill();
        slow.join().expect("an answer")
    });
    slow.assert_status(500);
    server.get("/total").assert_status(503);
    database.start_again();
    server.get("/total").assert_status(200).assert_text("0\n");
}

#[test]
fn mistakes_are_reported_in_a_line() {
    let output_of = |args: &[&str]| {
        let output = output("postgres", args);
        (output.status.success(), String::from_utf8(output.stderr).expect("text"))
    };
    let missing = "host=/nowhere user=ann";
    for (args, about) in [
        (&[][..], "--database"),
        (&["--database", "mysql://ann:secret@here"], "cannot be read"),
        (&["--database", missing], "cannot connect to /nowhere/.s.PGSQL.5432: "),
        (&["--database", missing, "--pool", "0"], "0"),
        (&["--database", missing, "--deadline", "soon"], "soon"),
    ] {
        let (is_success, text) = output_of(args);
        assert!(!is_success && text.contains(about), "{args:?}: {text}");
        assert!(!text.contains("panicked") && !text.contains("secret"), "{args:?}: {text}");
    }
    let output = output("postgres", &["--help"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(
        output.status.success() && text.contains("--listen") && text.contains("--pool"),
        "{text}"
    );
}
