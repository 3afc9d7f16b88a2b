//! Visits are counted in a PostgreSQL server that the test starts.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{Folder, PATIENCE, Process, free_port, get, installed};

#[test]
fn visits_are_counted_in_the_database() {
    let folder = Folder::new();
    let (database, address) = database(&folder);
    let mut seen = BTreeSet::new();
    for name in ["database", "axum_database"] {
        let program = Process::program(name, &[&address]);
        // More clients at once than a pool has connections.
        let clients = [(); 24].map(|()| {
            let address = program.address.clone();
            thread::spawn(move || [(); 5].map(|()| get(&address, "/").1))
        });
        for text in clients.into_iter().flat_map(|client| client.join().expect("answers")) {
            let number = text.strip_prefix("visitor ").map(str::trim_end);
            let number = number.unwrap_or_else(|| panic!("{name}: {text}")).parse::<u32>();
            assert!(seen.insert(number.expect("a number")), "{name}: twice: {text}");
        }
        program.stop();
    }
    assert_eq!(seen, (1..=240).collect());
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
