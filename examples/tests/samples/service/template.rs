//! The folder of the sample `service` is a package: a copy of it outside of the repository builds
//! there, and is a service.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{Folder, TOKEN, admin_of, authorized, post};
use crate::servers::Server;

#[test]
#[ignore = "builds a package, which takes some minutes; scripts/test runs it"]
fn a_copy_outside_of_the_repository_is_built_serves_reloads_and_drains() {
    let folder = Folder::new();
    let package = folder.0.join("myservice");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&examples.join("service"), &package);
    let manifest = fs::read_to_string(package.join("Cargo.toml")).expect("the manifest");
    let (http, path) = (examples.join("../http"), "path = \"../../http\"");
    let http = http.canonicalize().expect("the crate");
    assert!(manifest.contains(path), "{manifest}");
    let manifest = manifest.replace(path, &format!("path = {http:?}"));
    fs::write(package.join("Cargo.toml"), manifest).expect("a file");
    // The same versions of other crates as here, which are on this machine already.
    fs::copy(examples.join("../Cargo.lock"), package.join("Cargo.lock")).expect("a file");
    let program = build(&package);

    let config = folder.file("service.toml", &format!("token = \"{TOKEN}\"\nworkers = 2\n"));
    let database = folder.path("notes.db");
    let flags = ["--config", &config, "--database", &database, "--admin", "127.0.0.1:0"];
    let start = || Server::start_by(&mut Command::new(&program), &flags);
    let mut server = start();
    let admin = admin_of(&mut server);
    let client = server.client();
    post(&client, "milk").send().assert_status(201).assert_header("location", "/notes/1");
    authorized(client.put("/notes/1")).json(&json!({"text": "bread"})).send().assert_status(200);
    post(&client, "gone").send().assert_status(201);
    authorized(client.delete("/notes/2")).send().assert_status(204);

    folder.file("service.toml", "token = \"another-token-of-the-service\"\nworkers = 2\n");
    server.signal("HUP");
    server.wait_for_stderr("SIGHUP: reloaded");
    post(&client, "with the old token").send().assert_status(401);

    let admin = straightline::testing::Client::connect(admin);
    admin.get("/readyz").send().assert_status(200);
    admin.post("/drain").send().assert_status(202);
    assert!(server.child.wait().expect("it ends").success());
    start().get("/notes").assert_json(&json!([{"id": 1, "text": "bread"}]));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new folder");
    for entry in fs::read_dir(from).expect("the folder") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy(&from, &to) } else { fs::copy(from, to).map(drop).expect("a file") }
    }
}

/// Builds the package, and returns the path of its program. What was built for the tests is used
/// again, as far as the features and the profile are the same.
fn build(package: &Path) -> std::path::PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let target = test.ancestors().nth(3).expect("target/PROFILE/deps");
    let mut cargo = Command::new("cargo");
    // What the cargo that runs this test has set for it.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_") && name != "CARGO_HOME") {
            cargo.env_remove(name);
        }
    }
    cargo.args(["build", "--offline", "--target-dir"]).arg(target).current_dir(package);
    cargo.args(["--config", "profile.dev.debug='line-tables-only'"]);
    for optimised in ["aws-lc-sys", "brotli", "brotli-decompressor", "zlib-rs"] {
        cargo.args(["--config", &format!("profile.dev.package.{optimised}.opt-level=2")]);
    }
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("debug/service")
}
