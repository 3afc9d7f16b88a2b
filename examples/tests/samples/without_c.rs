//! The README's command for `hello` needs no C compiler, no cmake and no libclang: only a linker.
//!
//! TLS needs them, and is behind features. But at the root of the workspace cargo unites the
//! features of all members, also those of dev-dependencies, so a member can bring them back.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::servers::Server;

#[test]
fn cargo_builds_no_c_for_hello() {
    let mut words = readme_command();
    assert_eq!(words[1], "run");
    words[1] = "build".to_owned();
    let output = cargo(&words[1..])
        .args(["--unit-graph", "-Zunstable-options", "--locked", "--offline"])
        .env("RUSTC_BOOTSTRAP", "1") // only a nightly cargo prints the graph without it
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let graph: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let units = graph["units"].as_array().expect("the units that cargo would build");
    let packages: BTreeSet<_> =
        units.iter().map(|unit| package(unit["pkg_id"].as_str().expect("its package"))).collect();
    assert!(packages.contains("straightline-sched"), "{packages:?}");
    let c = packages.into_iter().filter(|package| builds_c(package));
    assert_eq!(c.collect::<Vec<_>>(), [""; 0], "these packages compile C, or read it");
}

#[test]
#[ignore = "builds everything anew, which takes half a minute; scripts/test runs it"]
fn hello_is_built_and_run_where_only_a_linker_is_installed() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("without-c");
    let _ = fs::remove_dir_all(&folder);
    let tools = folder.join("bin");
    fs::create_dir_all(&tools).expect("a folder");
    let path = std::env::var_os("PATH").expect("a path");
    link_all_but_compilers(&path, &tools);
    let log = folder.join("cc.log");
    linker_only(&tools.join("cc"), &which("cc", &path), &log);

    let mut command = cargo(&readme_command()[1..]);
    command.args(["--", "--listen", "127.0.0.1:0"]);
    command.env("PATH", &tools).env("CARGO_TARGET_DIR", folder.join("target"));
    command.env("LIBCLANG_PATH", "/nowhere").env_remove("CC").env_remove("CMAKE");
    // The same packages are built, in a third of the time.
    command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0").env("CARGO_PROFILE_RELEASE_LTO", "off");
    command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cargo is installed");
    // The pipe holds less than what cargo prints.
    let mut stderr = child.stderr.take().expect("piped");
    let printed = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let (mut line, mut stdout) = (String::new(), BufReader::new(child.stdout.take().unwrap()));
    stdout.read_line(&mut line).expect("a line of text");
    // `cargo run` becomes the program, so the signals reach the server.
    let mut server = Server { child, line, stdout, stderr: None };
    if server.line.is_empty() {
        server.child.wait().expect("cargo ends");
        panic!("hello was not built:\n{}", printed.join().expect("text"));
    }
    server.get("/").assert_status(200).assert_text("Hello, World!\n");
    assert!(server.stop().success());
    let log = fs::read_to_string(&log).expect("the linker was called");
    assert!(log.contains("link\n") && !log.contains("compile"), "{log}");
    fs::remove_dir_all(&folder).expect("the folder of this test");
}

/// The words of the README's command, without its comment.
fn readme_command() -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    let starts = |line: &&str| line.starts_with("cargo run ") && line.contains("--example hello");
    let line = readme.lines().find(starts).expect("the README says how to start a server");
    line.split('#').next().unwrap_or(line).split_whitespace().map(str::to_owned).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root of the workspace").to_owned()
}

fn cargo(words: &[String]) -> Command {
    let mut command = Command::new("cargo");
    command.args(words).current_dir(root());
    // What the cargo that runs this test has set for it.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_") && name != "CARGO_HOME") {
            command.env_remove(name);
        }
    }
    command
}

/// The name of a package, from `registry+https://HOST/INDEX#NAME@VERSION` or
/// `path+file:///FOLDER#VERSION`.
fn package(id: &str) -> &str {
    let (place, name) = id.split_once('#').expect("a package's id");
    match name.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().expect("a folder"),
    }
}

fn builds_c(package: &str) -> bool {
    let compilers = ["cc", "cmake", "bindgen", "nasm-rs", "pkg-config", "vcpkg", "ring"];
    // `linux-raw-sys` has only the constants of the kernel; it compiles nothing.
    compilers.contains(&package) || (package.ends_with("-sys") && package != "linux-raw-sys")
}

/// Fills a folder with links to all programs except those that compile C or C++.
fn link_all_but_compilers(path: &std::ffi::OsStr, tools: &Path) {
    for folder in std::env::split_paths(path) {
        for program in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = program.file_name();
            let text = name.to_string_lossy();
            let hidden = ["cc", "c++", "c89", "c99", "gcc", "g++", "clang", "cmake", "cpp", "tcc"];
            // Also such as `gcc-12` and `x86_64-linux-gnu-gcc`.
            if !text.split('-').any(|part| hidden.contains(&part) || part.starts_with("clang")) {
                // The first program of a name is the one that the shell would find.
                let _ = symlink(program.path(), tools.join(name));
            }
        }
    }
}

/// Writes a program that links as `cc` does, and refuses to compile.
fn linker_only(path: &Path, cc: &Path, log: &Path) {
    let (cc, log) = (cc.display(), log.display());
    let script = format!(
        "#!/bin/sh\nfor word; do case $word in -c | -E | -S | *.c | *.cc | *.cpp)\n\
         echo \"compile: $*\" >>'{log}'; echo 'cc: refused: this only links' >&2; exit 1;;\n\
         esac; done\necho link >>'{log}'\nexec '{cc}' \"$@\"\n"
    );
    fs::write(path, script).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its owner");
}

fn which(name: &str, path: &std::ffi::OsStr) -> PathBuf {
    let mut places = std::env::split_paths(path).map(|folder| folder.join(name));
    places.find(|place| place.is_file()).unwrap_or_else(|| panic!("no {name} in the path"))
}
