//! Notes are added and read.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::process::{Folder, Process, ask, get, status};

const JSON: &str = "Content-Type: application/json\r\nAuthorization: Bearer secret\r\n";

#[test]
fn notes_are_added_and_read() {
    for name in ["rest", "axum_rest", "threads_rest"] {
        notes_work(name, Process::program(name, &[]));
    }
}

#[test]
fn notes_are_added_and_read_in_go() {
    let folder = Folder::new();
    let program = folder.0.join("rest");
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("go/rest");
    let go = env::var_os("GO").unwrap_or_else(|| "go".into());
    let mut build = Command::new(&go);
    build.args(["build", "-o"]).arg(&program).arg(".").current_dir(source);
    build.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=mod").env("GOPROXY", "off");
    let built = build.status().unwrap_or_else(|error| panic!("{go:?}: {error}: install Go 1.22"));
    assert!(built.success(), "Go 1.22 or later is needed");
    notes_work("go", Process::command("go", Command::new(program).arg("127.0.0.1:0")));
}

fn notes_work(name: &str, program: Process) {
    let address = &program.address;
    let body = |target: &str| get(address, target).1.trim_end().to_owned();
    assert_eq!(body("/notes"), "[]", "{name}");
    let (head, answer) = ask(address, "POST /notes", JSON, "{\"text\":\"buy milk\"}");
    assert_eq!((status(&head), answer.trim_end()), ("201", "{\"text\":\"buy milk\"}"), "{name}");
    assert!(head.contains("\r\nlocation: /notes/0"), "{name}: {head}");
    assert!(head.contains("\r\ncontent-type: application/json"), "{name}: {head}");
    assert_eq!(body("/notes/0"), "{\"text\":\"buy milk\"}", "{name}");
    assert_eq!(body("/notes"), "[{\"text\":\"buy milk\"}]", "{name}");
    assert_eq!(body("/notes?limit=0"), "[]", "{name}");
    let refused = [
        ("GET /notes/1", "404"),
        ("GET /", "404"),
        ("GET /notes?limit=x", "400"),
        ("PUT /notes", "405"),
    ];
    for (request, expected) in refused {
        assert_eq!(status(&ask(address, request, JSON, "").0), expected, "{name}: {request}");
    }
    let (head, _) = ask(address, "POST /notes", JSON, "{\"txt\":\"\"}");
    assert_eq!(status(&head), "422", "{name}");
    let (head, _) = ask(address, "POST /notes", "", "{\"text\":\"\"}");
    assert_eq!(status(&head), "401", "{name}");
    assert!(head.contains("\r\nwww-authenticate: bearer"), "{name}: {head}");
    program.stop();
}
