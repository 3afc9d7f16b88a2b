//! The sample `routing`, over its socket.

use crate::servers::Server;

#[test]
fn notes_are_kept_behind_routes() {
    let server = Server::start("routing", &["--workers", "2"]);
    let client = server.client();
    client.get("/").send().assert_status(200).assert_contains("POST /notes");
    client.get("/notes").send().assert_status(200).assert_text("");
    client
        .post("/notes")
        .body("milk")
        .send()
        .assert_status(201)
        .assert_header("location", "/notes/1");
    client.get("/notes/1").send().assert_status(200).assert_text("milk\n");
    client.get("/notes").send().assert_text("1: milk\n");
    client.delete("/notes/1").send().assert_status(204);
    client.delete("/notes/1").send().assert_status(404);
    client.get("/notes/one").send().assert_status(404).assert_contains("\"parameter\":\"id\"");
    client.get("/notes/1%2F2").send().assert_status(400);
    client.post("/notes").body(vec![b'x'; 5000]).send().assert_status(413);
    client.post("/notes").body(vec![b'x'; 5000]).chunked().send().assert_status(413);
}

#[test]
fn the_router_answers_head_options_and_other_methods() {
    let server = Server::start("routing", &["--workers", "1"]);
    let client = server.client();
    client.head("/notes").send().assert_status(200).assert_text("");
    let allow = "GET, HEAD, POST, OPTIONS";
    client.options("/notes").send().assert_status(204).assert_header("allow", allow);
    client.put("/notes").send().assert_status(405).assert_header("allow", allow);
    client.put("/elsewhere").send().assert_status(404).assert_text("there is nothing here\n");
    client.options("*").send().assert_status(204);
}

#[test]
fn a_group_has_its_middleware_and_a_host_its_routes() {
    let server = Server::start("routing", &["--workers", "1"]);
    let client = server.client();
    for path in ["/created", "/users/ada/files/a/b", "/users/none"] {
        client.get(path).send().assert_status(403);
    }
    let with_word = |path| client.get(path).header("x-word", "sesame").send();
    with_word("/users/ada/files/a/b%20c")
        .assert_text("the file a/b c of ada\n")
        .assert_header("cache-control", "no-store");
    with_word("/users/none").assert_status(404);
    client.post("/notes").body("milk").send().assert_status(201);
    with_word("/created").assert_text("1 by this shard\n");
    client.get("/").header("host", "status.localhost:80").send().assert_text("all is well\n");
    client.get("/notes").header("host", "status.localhost").send().assert_status(404);
}
