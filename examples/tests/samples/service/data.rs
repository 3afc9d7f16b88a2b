//! The API of the sample `service`, and its database: what is kept, and what happens when SQLite
//! cannot do what it is asked.

use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};
use straightline::testing::{Client, TestResponse};

use super::{Folder, TOKEN, admin_of, authorized, post, service, wait_for_requests_in_flight};
use crate::servers::{Server, binary};

#[track_caller]
fn assert_problem(response: &TestResponse, status: u16) {
    response.assert_status(status).assert_header("content-type", "application/problem+json");
    assert_eq!(response.json::<Value>()["status"], status);
    // The reason is for the log.
    assert!(!response.text().contains("database"), "{}", response.text());
}

#[test]
fn notes_are_created_read_replaced_and_removed() {
    let server = Server::start_by(&mut service(), &["--workers", "2"]);
    let client = server.client();
    client.get("/notes").send().assert_status(200).assert_json(&json!([]));
    let created = post(&client, "milk").send();
    created.assert_status(201).assert_header("location", "/notes/1");
    created.assert_json(&json!({"id": 1, "text": "milk"}));
    assert_eq!(created.header("x-request-id").expect("an id").len(), 32);
    post(&client, "bread").send().assert_header("location", "/notes/2");
    let body = json!({"text": "cheese"});
    authorized(client.put("/notes/1")).json(&body).send().assert_status(200);
    client.get("/notes/1").send().assert_json(&json!({"id": 1, "text": "cheese"}));
    let ids = |query: &str| {
        let list: Value = client.get(&format!("/notes{query}")).send().assert_status(200).json();
        list.as_array().expect("an array").iter().map(|note| note["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(""), [1, 2]);
    assert_eq!(ids("?after=1"), [2]);
    assert_eq!(ids("?limit=1"), [1]);
    authorized(client.delete("/notes/2")).send().assert_status(204);
    for gone in [client.get("/notes/2"), authorized(client.delete("/notes/2"))] {
        assert_problem(&gone.send(), 404);
    }
    assert_problem(&authorized(client.put("/notes/2")).json(&body).send(), 404);
}

#[test]
fn what_does_not_fit_is_a_problem() {
    let server = Server::start_by(&mut service(), &["--workers", "1", "--body-bytes", "20000"]);
    let client = server.client();
    let put = |path: &str, body: &Value| authorized(client.put(path)).json(body).send();
    for body in [json!({}), json!({"text": 1}), json!({"text": " "}), json!({"text": "a", "b": 1})]
    {
        assert_problem(&authorized(client.post("/notes")).json(&body).send(), 422);
        assert_problem(&put("/notes/1", &body), 422);
    }
    assert_problem(&post(&client, &"x".repeat(4_001)).send(), 422);
    assert_problem(&post(&client, &"x".repeat(20_000)).send(), 413);
    for path in ["/notes/x", "/notes/1.0", "/elsewhere"] {
        assert_problem(&client.get(path).send(), 404);
    }
    assert_problem(&client.get("/notes?limit=x").send(), 400);
    assert_problem(&client.get("/slow?ms=-1").send(), 400);
    let refused = authorized(client.delete("/notes")).send();
    assert_problem(&refused, 405);
    refused.assert_header("allow", "GET, HEAD, POST, OPTIONS");
}

#[test]
fn clients_that_write_need_the_token() {
    let server = Server::start_by(&mut service(), &["--workers", "1"]);
    let client = server.client();
    let body = json!({"text": "a"});
    assert_problem(&client.post("/notes").json(&body).send(), 401);
    for sent in ["Bearer wrong", &format!("Bearer {TOKEN}x"), &format!("Basic {TOKEN}")] {
        let refused = client.post("/notes").header("authorization", sent).json(&body).send();
        assert_problem(&refused, 401);
        assert!(
            refused.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer"))
        );
    }
    assert_problem(&client.delete("/notes/1").send(), 401);
    client.get("/notes").send().assert_json(&json!([]));
    let server = Server::start("service", &["--workers", "1"]);
    assert_problem(&post(&server.client(), "without a token").send(), 403);
}

#[test]
fn a_restart_keeps_the_notes_and_a_drain_closes_the_database() {
    let folder = Folder::new();
    let mut server = folder.serve(&[]);
    post(&server.client(), "kept").send().assert_status(201);
    server.get("/notes").assert_status(200);
    assert!(server.stop().success());
    let left: Vec<_> = fs::read_dir(&folder.0)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["notes.db"], "no log is left");
    let mut server = folder.serve(&[]);
    server.get("/notes").assert_json(&json!([{"id": 1, "text": "kept"}]));
    // Also a kill keeps what was acknowledged.
    post(&server.client(), "too").send().assert_status(201);
    server.child.kill().expect("it runs");
    server.child.wait().expect("it has ended");
    folder.serve(&[]).get("/notes/2").assert_json(&json!({"id": 2, "text": "too"}));
}

#[test]
fn a_drain_waits_for_a_query() {
    let folder = Folder::new();
    let mut server = folder.serve(&["--admin", "127.0.0.1:0", "--database-timeout", "60s"]);
    let admin = admin_of(&mut server);
    let other = folder.lock();
    let address = server.address().to_owned();
    let waiting = thread::spawn(move || {
        let client = Client::connect(address);
        post(&client, "late").send().assert_status(201);
    });
    wait_for_requests_in_flight(&admin, 1);
    server.signal("TERM");
    while Client::connect(&*admin).get("/readyz").send().status() != 503 {
        thread::yield_now();
    }
    other.execute_batch("ROLLBACK").expect("it has written nothing");
    waiting.join().expect("the note is taken");
    assert!(server.child.wait().expect("it ends").success());
    folder.serve(&[]).get("/notes/1").assert_json(&json!({"id": 1, "text": "late"}));
}

#[test]
fn a_locked_database_is_503_for_writes_and_reads_go_on() {
    let folder = Folder::new();
    let mut server = folder.serve(&["--database-timeout", "100ms"]);
    post(&server.client(), "a").send().assert_status(201);
    let other = folder.lock();
    let client = server.client();
    let refused = post(&client, "b").header("x-request-id", "the-locked-one").send();
    assert_problem(&refused, 503);
    refused.assert_header("retry-after", "1").assert_header("x-request-id", "the-locked-one");
    server.get("/notes/1").assert_status(200);
    let line = server.wait_for_stderr("the-locked-one");
    assert!(line.contains("POST /notes"), "{line}");
    other.execute_batch("ROLLBACK").expect("it has written nothing");
    post(&server.client(), "b").send().assert_status(201);
}

#[test]
fn a_full_disk_is_500_and_nothing_that_was_acknowledged_is_lost() {
    let folder = Folder::new();
    // A limit on the size of files is as good as a full disk. It counts in blocks of 512 bytes or 1
    // KiB; without the signal a write that goes beyond it fails.
    let limited = "trap '' XFSZ; ulimit -f 150; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited]).arg(binary("service")).env("SERVICE_TOKEN", TOKEN);
    let mut server = Server::start_by(&mut command, &["--database", &folder.database()]);
    let client = server.client();
    let text = "x".repeat(4_000);
    let mut acknowledged = 0;
    let refused = (0..1000).find_map(|_| {
        let response = post(&client, &text).send();
        acknowledged += i64::from(response.status() == 201);
        (response.status() != 201).then_some(response)
    });
    assert_problem(&refused.expect("150 KiB are full"), 500);
    client.get("/notes?limit=1").send().assert_status(200);
    assert!(server.stop().success());
    assert!(acknowledged > 0);
    let server = folder.serve(&[]);
    server.get(&format!("/notes/{acknowledged}")).assert_status(200);
}

#[test]
fn a_database_that_cannot_be_opened_any_more_is_500_until_it_can() {
    let folder = Folder::new();
    let data = folder.0.join("data");
    fs::create_dir(&data).expect("a folder");
    let database = data.join("notes.db");
    let flags = ["--database", database.to_str().expect("text")];
    let mut server = Server::start_by(&mut service(), &flags);
    // No reader has a connection yet.
    let away = folder.0.join("away");
    fs::rename(&data, &away).expect("the folder");
    assert_problem(&server.get("/notes"), 500);
    server.wait_for_stderr("unable to open database file");
    fs::rename(&away, &data).expect("the folder");
    server.get("/notes").assert_status(200).assert_json(&json!([]));
    assert!(server.stop().success());
}

#[test]
fn a_database_that_has_become_read_only_is_500_for_writes() {
    let folder = Folder::new();
    let mut server = folder.serve(&[]);
    post(&server.client(), "a").send().assert_status(201);
    // A newer SQLite marks a file that older ones may read and not write by a byte of its head. The
    // new table makes the service read the head again, and the checkpoint puts it into the file.
    let other = rusqlite::Connection::open(folder.database()).expect("the database");
    other.execute_batch("CREATE TABLE other (id); PRAGMA wal_checkpoint(TRUNCATE)").expect("SQL");
    let file = fs::OpenOptions::new().write(true).open(folder.database()).expect("the file");
    file.write_all_at(&[3], 18).expect("it is written");
    assert_problem(&post(&server.client(), "b").send(), 500);
    server.wait_for_stderr("attempt to write a readonly database");
    server.get("/notes/1").assert_status(200);
}
