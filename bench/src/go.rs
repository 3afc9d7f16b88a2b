//! The peers that Go's standard library has: one program, which is built when it is needed.
//!
//! Its source is `bench/go/`. Where Go is missing its column is left out.

use std::env;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the program in that folder with the Go that `GO` names, or else with `go`; false where
/// there is none, which it prints.
pub(crate) fn build(folder: &Path) -> io::Result<bool> {
    let go = env::var_os("GO").unwrap_or_else(|| "go".into());
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("go");
    let mut build = Command::new(&go);
    build.args(["build", "-o"]).arg(folder.join(PROGRAM)).arg(".").current_dir(source);
    build.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=mod").env("GOPROXY", "off");
    match build.status() {
        Ok(status) if status.success() => Ok(true),
        Ok(status) => Err(io::Error::other(format!("go build: {status}"))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("go: left out, because {} is missing: set GO", go.display());
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The program that was built in that folder, on one thread that runs Go.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(folder.join(PROGRAM));
    command.env("GOMAXPROCS", "1");
    command
}

const PROGRAM: &str = "go-peers";
