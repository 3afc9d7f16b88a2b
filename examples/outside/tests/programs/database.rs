//! Visits are counted in a PostgreSQL server that the test starts.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{Folder, PATIENCE, Process, free_port, get, installed};

#[test]
fn visits_are_counted_in_the_database() {
    let folder = Folder::new();
    let (database, address) = database(&folder);
    let mut last = 0;
    for name in ["database", "axum_database"] {
        let program = Process::program(name, &[&address]);
        for _ in 0..5 {
            let (head, body) = get(&program.address, "/");
            let number = body.strip_prefix("visitor ").map(str::trim_end);
            let number = number.unwrap_or_else(|| panic!("{name}: {head}\n{body}"));
            let number: i32 = number.parse().expect("a number");
            assert!(number > last, "{name}: {number} after {last}");
            last = number;
        }
        program.stop();
    }
    database.stop();
}

/// A server with its files in the folder, which trusts the user `visitors`; and its address.
fn database(folder: &Folder) -> (Process, String) {
    let (data, port) = (folder.path("data"), free_port().to_string());
    let status = folder
        .unprivileged(command("initdb"))
        .args(["--auth=trust", "--username=visitors", "--no-sync", "--pgdata", &data])
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("initdb runs").success());
    let mut server = Process::start(
        folder
            .unprivileged(command("postgres"))
            .args(["-D", &data, "-p", &port, "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "log_min_messages=fatal"]),
    );
    let begin = Instant::now();
    let is_ready = || {
        let mut ask = command("pg_isready");
        ask.args(["--quiet", "--host=127.0.0.1", "--port", &port]);
        ask.status().expect("pg_isready runs").success()
    };
    while !is_ready() {
        assert!(server.is_running() && begin.elapsed() < PATIENCE, "postgres does not start");
        thread::sleep(Duration::from_millis(20));
    }
    (server, format!("127.0.0.1:{port}"))
}

fn command(name: &str) -> Command {
    installed(name, "postgresql")
}
