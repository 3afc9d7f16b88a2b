//! The programs in the README of the repository, in a new package that takes straightline as the
//! README says.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{Folder, PATIENCE, Process, ask, connects, free_port, get, status};

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn the_programs_of_the_readme_run_in_a_new_package() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(repository.join("README.md")).expect("the page");
    let (programs, dependencies) = (blocks(&page, "rust"), blocks(&page, "toml"));
    let [hello, notes] = &programs[..] else { panic!("{} programs", programs.len()) };
    let [dependencies] = &dependencies[..] else { panic!("{} tables", dependencies.len()) };

    let folder = Folder::new();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let at = repository.join("http").canonicalize().expect("the crate");
    let dependencies = dependencies.replace("../straightline/http", at.to_str().expect("text"));
    // The profile of this workspace, so that the crates that are the same are compiled already.
    let head = "[package]\nname = \"service\"\nedition = \"2024\"\n\n\
                [profile.dev]\ndebug = \"line-tables-only\"\n";
    fs::write(folder.path("Cargo.toml"), format!("{head}\n{dependencies}")).expect("a file");
    // The same versions of other crates as here, which are on this machine already.
    fs::copy(repository.join("examples/outside/Cargo.lock"), folder.path("Cargo.lock"))
        .expect("a file");
    fs::create_dir_all(folder.path("src/bin")).expect("a folder");
    for (name, program) in [("hello", hello), ("notes", notes)] {
        assert!(program.contains("127.0.0.1:8080"), "{program}");
        let program = program.replace("127.0.0.1:8080", &address);
        fs::write(folder.path(&format!("src/bin/{name}.rs")), program).expect("a file");
    }
    let target = std::env::current_exe().expect("the test's own path");
    let target = target.ancestors().nth(3).expect("target/PROFILE/deps");
    let mut cargo = Command::new(env!("CARGO"));
    let cargo = cargo.args(["build", "--offline", "--target-dir"]).arg(target);
    assert!(cargo.current_dir(&folder.0).status().expect("cargo runs").success());

    let program = start(&target.join("debug/hello"), &address);
    assert_eq!(get(&address, "/").1, "Hello, World!\n");
    assert_eq!(status(&get(&address, "/other").0), "404");
    program.stop();

    let program = start(&target.join("debug/notes"), &address);
    let list = ask(&address, "POST /", JSON, "{\"text\":\"buy milk\"}").1;
    assert_eq!(list, "[{\"text\":\"buy milk\"}]");
    let (head, body) = get(&address, "/");
    assert_eq!(body, list);
    assert!(head.contains("\r\ncontent-type: application/json"), "{head}");
    assert_eq!(status(&ask(&address, "POST /", JSON, "{\"txt\":\"\"}").0), "422");
    program.stop();
}

fn start(program: &Path, address: &str) -> Process {
    let mut process = Process::start(&mut Command::new(program));
    let begin = Instant::now();
    while !connects(address) {
        assert!(process.is_running() && begin.elapsed() < PATIENCE, "{program:?} does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    process
}

/// The blocks of a page in a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    let blocks = page.split(&begin).skip(1);
    blocks.map(|text| text.split("```").next().unwrap_or_default().to_owned()).collect()
}
