//! What SIGHUP changes in the sample `service`, and what stays if anything is wrong.

use std::fs;
use std::process::Command;

use serde_json::json;
use straightline::testing::Client;

use super::Folder;
use crate::https::{self, curl_to};
use crate::servers::{Server, binary};

/// Adds a note with a token; the status of the answer.
fn status_with(server: &Server, token: &str) -> u16 {
    let client = Client::connect(server.address());
    let request = client.post("/notes").header("authorization", format!("Bearer {token}"));
    request.json(&json!({"text": "a"})).send().status().as_u16()
}

#[test]
fn a_reload_takes_the_token_and_the_level_and_says_what_needs_a_restart() {
    let folder = Folder::new();
    let config = folder.file("a.toml", "token = \"the-first-token-\"\ndrain-timeout = \"1s\"\n");
    let mut command = Command::new(binary("service"));
    command.env("SERVICE_READY_DELAY", "1ms");
    let mut server = Server::start_by(&mut command, &["--config", &config, "--workers", "1"]);
    assert_eq!(status_with(&server, "the-first-token-"), 201);

    folder.file(
        "a.toml",
        "token = \"the-second-token\"\ndrain-timeout = \"2s\"\nready-delay = \"2s\"\n\
         log-level = \"debug\"\nworkers = 7\n",
    );
    server.signal("HUP");
    // The environment and the flags still win over the file.
    let line = server.wait_for_stderr("until a restart");
    assert!(line.ends_with("drain-timeout stays 1s until a restart; it is to be 2s"), "{line}");
    let line = server.wait_for_stderr("SIGHUP");
    assert!(line.ends_with("SIGHUP: reloaded"), "one line alone: {line}");
    assert_eq!(status_with(&server, "the-first-token-"), 401);
    assert_eq!(status_with(&server, "the-second-token"), 201);
    assert!(server.stop().success());
}

#[test]
fn a_reload_with_a_mistake_changes_nothing_and_says_what_is_wrong() {
    let folder = Folder::new();
    let token = folder.file("token", "the-first-token-\n");
    let config = folder.file("a.toml", &format!("token-file = \"{token}\"\n"));
    let mut server = Server::start("service", &["--config", &config, "--workers", "1"]);
    folder.file("token", "the-second-token\n");
    for (text, fault) in [
        (format!("token-file = \"{token}\"\nworkrs = 1\n"), "a.toml:2: workrs: there is no such"),
        ("token-file = \"/nowhere/token\"\n".to_owned(), "/nowhere/token: No such file"),
        ("token-file = ".to_owned(), "a.toml:1: "),
    ] {
        folder.file("a.toml", &text);
        server.signal("HUP");
        server.wait_for_stderr(fault);
        server.wait_for_stderr("SIGHUP: the reload failed: the settings stay as they are");
        assert_eq!(status_with(&server, "the-second-token"), 401);
        assert_eq!(status_with(&server, "the-first-token-"), 201);
    }
    fs::remove_file(&config).expect("the file");
    server.signal("HUP");
    server.wait_for_stderr("a.toml: No such file");
    assert_eq!(status_with(&server, "the-first-token-"), 201);
    folder.file("a.toml", &format!("token-file = \"{token}\"\n"));
    server.signal("HUP");
    server.wait_for_stderr("SIGHUP: reloaded");
    assert_eq!(status_with(&server, "the-second-token"), 201);
}

#[test]
fn it_speaks_tls_and_a_reload_takes_a_new_certificate() {
    let folder = https::Folder::new("service");
    let pair = folder.pair("a", "localhost");
    let text = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let files = [text(&pair.cert), text(&pair.key)];
    let flags = ["--workers", "1", "--tls-cert", &files[0], "--tls-key", &files[1]];
    let mut server = Server::start("service", &flags);
    assert!(server.line.starts_with("listening on https://"), "{}", server.line);
    assert_eq!(pair.get(&server, "/notes", &[]), "[]");
    server.get("/").assert_status(400).assert_contains("HTTPS");

    let new = folder.pair("b", "localhost");
    let old = folder.path.join("old.crt");
    fs::copy(&pair.cert, &old).expect("a copy");
    // Only one of the two files is replaced.
    fs::copy(&new.cert, &pair.cert).expect("a copy");
    server.signal("HUP");
    server.wait_for_stderr("TLS: the reload failed, the old certificates are kept");
    assert!(curl_to(&server, "localhost", &old, "/notes", &[]).status.success());
    fs::copy(&new.key, &pair.key).expect("a copy");
    server.signal("HUP");
    server.wait_for_stderr("TLS: the certificates are reloaded");
    assert_eq!(new.get(&server, "/notes", &[]), "[]");
    assert_eq!(curl_to(&server, "localhost", &old, "/notes", &[]).status.code(), Some(60));
    assert!(server.stop().success());
}
