//! Hits are counted in a Redis server that the test starts, stops and starts again.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{Folder, PATIENCE, Process, connects, free_port, get, installed, status};

#[test]
fn hits_are_counted_in_redis() {
    let folder = Folder::new();
    let port = free_port().to_string();
    let address = format!("127.0.0.1:{port}");
    let redis = redis(&folder, &port);
    let program = Process::program("redis", &[&address]);
    let clients = ["/a", "/b"].map(|path| {
        let address = program.address.clone();
        thread::spawn(move || [(); 10].map(|()| get(&address, path).1))
    });
    for client in clients {
        let hits = client.join().expect("answers");
        for (text, number) in hits.iter().zip(1..) {
            assert_eq!(*text, format!("hit {number}\n"));
        }
    }
    redis.stop();
    assert_eq!(status(&get(&program.address, "/a").0), "500", "there is no Redis");
    let redis = self::redis(&folder, &port);
    assert_eq!(get(&program.address, "/a").1, "hit 1\n", "its connections are new");
    program.stop();
    redis.stop();
}

/// A server that keeps nothing on the disk.
fn redis(folder: &Folder, port: &str) -> Process {
    let mut command = folder.unprivileged(installed("redis-server", "redis-server"));
    command.args(["--bind", "127.0.0.1", "--port", port, "--save", ""]).stdout(Stdio::null());
    let mut server = Process::start(&mut command);
    let begin = Instant::now();
    while !connects(&format!("127.0.0.1:{port}")) {
        assert!(server.is_running() && begin.elapsed() < PATIENCE, "Redis does not start");
        thread::sleep(Duration::from_millis(20));
    }
    server
}
