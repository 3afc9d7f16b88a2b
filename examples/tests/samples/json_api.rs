//! The sample `json_api`, over its socket: the API, what of it survives a kill, and its page.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;

use serde_json::{Value, json};
use straightline::Method;
use straightline::testing::{Client, TestResponse};

use crate::servers::{Server, binary, output};

mod page;

/// A folder for a database, which is removed with everything in it.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("straightline-json-api-{}-{number}", process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder for temporary files");
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn database(&self) -> String {
        self.path.join("todos.db").to_str().expect("a path in UTF-8").to_owned()
    }

    pub(crate) fn serve(&self) -> Server {
        Server::start("json_api", &["--workers", "2", "--database", &self.database()])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn send(client: &Client, method: &str, path: &str, body: &Value) -> TestResponse {
    let method: Method = method.parse().expect("a method");
    client.request(method, path).json(body).send()
}

#[track_caller]
fn assert_problem(response: &TestResponse, status: u16, context: &str) {
    let content_type = response.header("content-type");
    assert_eq!(
        (response.status().as_u16(), content_type.as_deref()),
        (status, Some("application/problem+json")),
        "{context}: {}",
        response.text()
    );
    assert_eq!(response.json::<Value>()["status"], status, "{context}");
}

#[test]
fn todos_are_created_changed_and_removed() {
    let folder = Folder::new();
    let server = folder.serve();
    let client = server.client();
    client.get("/todos").send().assert_status(200).assert_json(&json!([]));
    let milk = json!({"id": 1, "title": "buy milk", "done": false});
    send(&client, "POST", "/todos", &json!({"title": "buy milk"}))
        .assert_status(201)
        .assert_header("location", "/todos/1")
        .assert_header("content-type", "application/json")
        .assert_json(&milk);
    client.get("/todos/1").send().assert_status(200).assert_json(&milk);
    let head = client.head("/todos/1").send();
    head.assert_status(200).assert_text("").assert_header("content-length", "40");
    let odd = "é \u{0} \"<script>\u{2028}";
    let bread = send(&client, "POST", "/todos", &json!({"title": odd}));
    bread.assert_json(&json!({"id": 2, "title": odd, "done": false}));

    let done = json!({"id": 1, "title": "buy milk", "done": true});
    send(&client, "PATCH", "/todos/1", &json!({"done": true})).assert_json(&done);
    send(&client, "PATCH", "/todos/1", &json!({})).assert_status(200).assert_json(&done);
    let cheese = json!({"id": 1, "title": "cheese", "done": true});
    send(&client, "PATCH", "/todos/1", &json!({"title": "cheese"})).assert_json(&cheese);
    send(&client, "PUT", "/todos/1", &json!({"title": "buy milk", "done": false}))
        .assert_status(200)
        .assert_json(&milk);

    client.delete("/todos/2").send().assert_status(204).assert_text("");
    for method in ["GET", "DELETE"] {
        let gone = client.request(method.parse().expect("a method"), "/todos/2").send();
        assert_problem(&gone, 404, method);
    }
    for (method, body) in [("PATCH", json!({})), ("PUT", json!({"title": "a", "done": true}))] {
        assert_problem(&send(&client, method, "/todos/2", &body), 404, method);
    }
    send(&client, "POST", "/todos", &json!({"title": "an id is not used again"}))
        .assert_header("location", "/todos/3");
}

#[test]
fn the_list_has_parts() {
    let folder = Folder::new();
    let server = folder.serve();
    let client = server.client();
    for number in 1..=5 {
        send(&client, "POST", "/todos", &json!({"title": number.to_string()})).assert_status(201);
    }
    let ids = |query: &str| {
        let list: Value = client.get(&format!("/todos{query}")).send().assert_status(200).json();
        let todos = list.as_array().expect("an array").clone();
        todos.iter().map(|todo| todo["id"].as_i64().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(ids(""), [1, 2, 3, 4, 5]);
    assert_eq!(ids("?limit=2"), [1, 2]);
    assert_eq!(ids("?limit=2&offset=3"), [4, 5]);
    assert!(ids("?offset=4294967295").is_empty());
    assert!(ids("?limit=0").is_empty());
    let wrong = [
        "limit=-1",
        "limit=",
        "limit",
        "limit=1.5",
        "limit=1e3",
        "limit=ten",
        "limit=1001",
        "limit=99999999999999999999",
        "limit=1&limit=2",
        "offset=-1",
        "offset=",
        "offset=x",
        "offset=18446744073709551616",
        "offset=%ff",
        "limit=1%00",
    ];
    for query in wrong {
        assert_problem(&client.get(&format!("/todos?{query}")).send(), 400, query);
    }
}

#[test]
fn what_does_not_fit_is_a_problem() {
    let folder = Folder::new();
    let server = folder.serve();
    let client = server.client();
    send(&client, "POST", "/todos", &json!({"title": "a"})).assert_status(201);
    let long = "x".repeat(1001);
    let cases = [
        ("POST", "/todos", json!({}), 422),
        ("POST", "/todos", json!({"title": 5}), 422),
        ("POST", "/todos", json!({"title": null}), 422),
        ("POST", "/todos", json!({"title": ""}), 422),
        ("POST", "/todos", json!({"title": " \t\n"}), 422),
        ("POST", "/todos", json!({"title": long}), 422),
        ("POST", "/todos", json!({"title": "a", "done": true}), 422),
        ("POST", "/todos", json!({"title": "a", "id": 7}), 422),
        ("POST", "/todos", json!(["a"]), 422),
        ("PUT", "/todos/1", json!(["a", true]), 422),
        ("POST", "/todos", json!("a"), 422),
        ("POST", "/todos", json!({"title": "x".repeat(20_000)}), 413),
        ("PUT", "/todos/1", json!({"title": "b"}), 422),
        ("PUT", "/todos/1", json!({"done": true}), 422),
        ("PUT", "/todos/1", json!({"title": "b", "done": 1}), 422),
        ("PUT", "/todos/1", json!({"id": 1, "title": "b", "done": true}), 422),
        ("PATCH", "/todos/1", json!({"done": "true"}), 422),
        ("PATCH", "/todos/1", json!({"done": null}), 422),
        ("PATCH", "/todos/1", json!({"title": null}), 422),
        ("PATCH", "/todos/1", json!({"colour": "red"}), 422),
    ];
    for (method, path, body, status) in cases {
        assert_problem(
            &send(&client, method, path, &body),
            status,
            &format!("{method} {body:.80}"),
        );
    }
    for path in ["/todos/abc", "/todos/0", "/todos/-1", "/todos/9223372036854775808", "/todos/1.0"]
    {
        assert_problem(&client.get(path).send(), 404, path);
    }
    assert_problem(&client.get("/elsewhere").send(), 404, "elsewhere");
    let raw = |content_type: &str, body: &str| {
        client.post("/todos").header("content-type", content_type).body(body).send()
    };
    assert_problem(&raw("text/plain", "{\"title\":\"a\"}"), 415, "text");
    assert_problem(&client.post("/todos").body("{\"title\":\"a\"}").send(), 415, "no type");
    for body in ["", "{", "{\"title\":\"a\"} x", "title=a", "\u{feff}{}"] {
        assert_problem(&raw("application/json", body), 400, body);
    }
    assert_problem(&raw("application/json", &"[".repeat(10_000)), 400, "deep");
    for (path, allow) in [
        ("/todos", "GET, HEAD, POST, OPTIONS"),
        ("/todos/1", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
    ] {
        let refused = client.request(Method::from_bytes(b"LINK").expect("a method"), path).send();
        assert_problem(&refused, 405, path);
        refused.assert_header("allow", allow);
        client.options(path).send().assert_status(204).assert_header("allow", allow);
    }
    client.get("/todos").send().assert_json(&json!([{"id": 1, "title": "a", "done": false}]));
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = Folder::new();
    let acknowledged = Mutex::new(BTreeSet::new());
    for round in 0..3 {
        let mut server = folder.serve();
        let (sender, enough) = mpsc::channel();
        thread::scope(|scope| {
            for thread in 0..4 {
                let (address, sender) = (server.address().to_owned(), sender.clone());
                let acknowledged = &acknowledged;
                scope.spawn(move || {
                    let client = Client::connect(address);
                    for number in 0.. {
                        let title = format!("{round} {thread} {number}");
                        let post = client.post("/todos").json(&json!({"title": title}));
                        // The kill may come at any moment, also while the response is sent.
                        let Ok(response) = post.try_send() else { return };
                        response.assert_status(201);
                        let id = response.json::<Value>()["id"].as_i64().expect("a number");
                        let mut all = acknowledged.lock().expect("no panic");
                        assert!(all.insert((id, title)), "an id is used once");
                        let _ = sender.send(());
                    }
                });
            }
            enough.iter().take(40).for_each(drop);
            server.child.kill().expect("it runs");
            server.child.wait().expect("it has ended");
        });
    }
    let server = folder.serve();
    let client = server.client();
    let mut found = BTreeSet::new();
    loop {
        let list: Value = client.get(&format!("/todos?offset={}", found.len())).send().json();
        let list = list.as_array().expect("an array");
        if list.is_empty() {
            break;
        }
        for todo in list {
            let id = todo["id"].as_i64().expect("a number");
            found.insert((id, todo["title"].as_str().expect("text").to_owned()));
        }
    }
    let acknowledged = acknowledged.into_inner().expect("no panic");
    assert!(acknowledged.len() >= 120);
    assert!(acknowledged.is_subset(&found), "a todo was lost");
}

#[test]
fn a_create_that_the_disk_did_not_take_is_not_acknowledged() {
    let folder = Folder::new();
    // A limit on the size of files is as good as a full disk. It counts in blocks of 512 bytes or 1
    // KiB; without the signal a write that goes beyond it fails.
    let limited = "trap '' XFSZ; ulimit -f 150; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited]).arg(binary("json_api"));
    let server = Server::start_by(&mut command, &["--database", &folder.database()]);
    let client = server.client();
    let todo = json!({"title": "x".repeat(1000)});
    let mut acknowledged = BTreeSet::new();
    let refused = (0..1000).find_map(|_| {
        let response = client.post("/todos").json(&todo).send();
        if response.status() != 201 {
            return Some(response);
        }
        acknowledged.insert(response.json::<Value>()["id"].as_i64().expect("a number"));
        None
    });
    assert_problem(&refused.expect("150 KiB are full"), 500, "a full disk");
    client.get("/todos?limit=1").send().assert_status(200);
    drop(server);

    let list: Value = folder.serve().get("/todos").json();
    let ids = list.as_array().expect("an array").iter().map(|todo| todo["id"].as_i64());
    let found: BTreeSet<_> = ids.map(|id| id.expect("a number")).collect();
    assert!(!acknowledged.is_empty());
    assert!(acknowledged.is_subset(&found), "a todo was lost");
}

#[test]
fn while_another_program_writes_reads_go_on_and_a_queue_of_writes_ends() {
    let folder = Folder::new();
    let server = folder.serve();
    let todo = json!({"title": "a"});
    send(&server.client(), "POST", "/todos", &todo).assert_status(201);
    let other = rusqlite::Connection::open(folder.database()).expect("the database");
    other.execute_batch("BEGIN IMMEDIATE").expect("no other connection writes");
    thread::scope(|scope| {
        // The time of a write counts from its request, so a second one does not wait as long again.
        for _ in 0..3 {
            scope.spawn(|| {
                let refused = send(&server.client(), "POST", "/todos", &todo);
                assert_problem(&refused, 503, "locked");
                refused.assert_header("retry-after", "1");
            });
        }
        server.get("/todos/1").assert_status(200);
    });
    other.execute_batch("ROLLBACK").expect("it has written nothing");
    send(&server.client(), "POST", "/todos", &todo).assert_status(201);
}

#[test]
fn a_drain_closes_the_database() {
    let folder = Folder::new();
    let mut server = folder.serve();
    let client = server.client();
    send(&client, "POST", "/todos", &json!({"title": "a"})).assert_status(201);
    client.get("/todos").send().assert_status(200);
    assert!(server.stop().success());
    let left: Vec<_> = fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["todos.db"], "no log is left");
    let server = folder.serve();
    let list = server.client().get("/todos").send();
    list.assert_json(&json!([{"id": 1, "title": "a", "done": false}]));
}

#[test]
fn a_file_that_is_no_database_of_this_program_is_reported() {
    let folder = Folder::new();
    let other = folder.path().join("other");
    fs::write(&other, "this is not a database, but a text of some length\n".repeat(100))
        .expect("a file");
    for database in [&*other, folder.path(), Path::new("/nowhere/todos.db")] {
        let path = database.to_str().expect("a path in UTF-8");
        let output = output("json_api", &["--listen", "127.0.0.1:0", "--database", path]);
        let text = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && text.contains(path), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
    let missing = output("json_api", &["--listen", "127.0.0.1:0"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("--database"));
}
