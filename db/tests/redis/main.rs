//! The pool against a real Redis. Each test starts a server of its own, on a Unix socket.
//!
//! They are ignored by default, because they need the package `redis-server`: `scripts/test
//! --services` runs them.

#![allow(clippy::unwrap_used, reason = "clippy does not see that the helpers are of tests")]

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use straightline_db::redis::Redis;
use straightline_db::redis::redis::{self, Commands};
use straightline_db::{Error, Pool, PoolConfig};
use straightline_sched as sched;

/// A running server, which keeps nothing on the disk.
struct Server {
    folder: PathBuf,
    /// Beside those of every server.
    settings: Vec<String>,
    child: Child,
}

impl Server {
    fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// As [`start`](Self::start); `prepare` makes files in its folder, and returns settings.
    fn start_with(prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("straightline-redis-{}-{number}", std::process::id());
        let folder = env::temp_dir().join(folder);
        fs::create_dir(&folder).expect("a new folder");
        let settings = prepare(&folder);
        let mut server = Self { child: spawn(&folder, &settings), folder, settings };
        server.wait();
        server
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    fn redis(&self) -> Redis {
        let address = format!("unix://{}?db=3&pass=open", self.socket().display());
        Redis::new(&address).expect("an address")
    }

    fn wait(&mut self) {
        let begin = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            let is_running = self.child.try_wait().expect("it is a child").is_none();
            assert!(is_running && begin.elapsed() < PATIENCE, "Redis does not start");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it, and starts it again, without what it knew.
    fn restart(&mut self) {
        self.child.kill().expect("it is a child");
        self.child.wait().expect("it is a child");
        self.child = spawn(&self.folder, &self.settings);
        self.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(folder: &Path, settings: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    if fs::metadata("/proc/self").expect("this process").uid() == 0 {
        let files =
            fs::read_dir(folder).expect("the folder is ours").map(|file| file.unwrap().path());
        for path in files.chain([folder.to_owned()]) {
            chown(path, Some(WITHOUT_RIGHTS), Some(WITHOUT_RIGHTS)).expect("it is ours");
        }
        command.uid(WITHOUT_RIGHTS).gid(WITHOUT_RIGHTS);
    }
    command.args(["--port", "0", "--save", "", "--requirepass", "open", "--unixsocket", "socket"]);
    command.args(settings).current_dir(folder).stdout(Stdio::null());
    command.spawn().expect("the package redis-server is installed")
}

fn pool(redis: Redis, connections: usize) -> Pool<Redis> {
    Pool::new(redis, &PoolConfig::default().connections_max(connections))
}

fn on_a_shard(test: impl FnOnce() -> Result<(), Box<dyn std::error::Error>> + 'static) {
    sched::run(|| test().map_err(|error| error.to_string())).expect("no error");
}

#[test]
#[ignore = "needs Redis: scripts/test --services"]
fn commands_and_pipelines_are_answered() {
    let server = Server::start();
    let redis = server.redis();
    on_a_shard(move || {
        let pool = pool(redis, 2);
        sched::scope(|scope| {
            for _ in 0..50 {
                let pool = pool.clone();
                scope.spawn(move || {
                    let mut redis = pool.get().unwrap();
                    redis.incr::<_, _, u64>("hits", 1).unwrap();
                });
            }
        });
        let mut redis = pool.get()?;
        assert_eq!(redis.get::<_, u64>("hits")?, 50);
        let (one, two): (u64, String) = redis::pipe()
            .incr("hits", 1)
            .set("name", "ann")
            .ignore()
            .get("name")
            .query(&mut *redis)?;
        assert_eq!((one, &*two), (51, "ann"));
        assert!(redis.incr::<_, _, u64>("name", 1).is_err(), "it is no number");
        assert_eq!(redis.get::<_, String>("name")?, "ann", "an error is an answer");
        let database: String = redis::cmd("CLIENT").arg("INFO").query(&mut *redis)?;
        assert!(database.contains(" db=3 "), "{database}");
        drop(redis);
        assert!(pool.stats().created <= 2);
        Ok(())
    });
}

#[test]
#[ignore = "needs Redis: scripts/test --services"]
fn a_connection_with_an_answer_under_way_is_not_used_again() {
    let server = Server::start();
    let redis = server.redis();
    on_a_shard(move || {
        let pool = pool(redis, 1);
        let late = sched::deadline(Duration::from_millis(100), || {
            let mut redis = pool.get().unwrap();
            redis.blpop::<_, Option<(String, String)>>("list", 0.0)
        });
        assert!(late.is_err());
        let mut redis = pool.get()?;
        assert_eq!(redis.rpush::<_, _, u64>("list", "one")?, 1, "no reader is left");
        assert_eq!(redis.lpop::<_, String>("list", None)?, "one");
        drop(redis);
        assert_eq!((pool.stats().created, pool.stats().broken), (2, 1));
        Ok(())
    });
}

#[test]
#[ignore = "needs Redis: scripts/test --services"]
fn a_server_that_was_restarted_costs_no_request() {
    let mut server = Server::start();
    let redis = server.redis();
    on_a_shard(move || {
        let pool = pool(redis, 4);
        let all = [(); 4].map(|()| pool.get().unwrap());
        drop(all);
        server.restart();
        for number in 1..=8_u64 {
            assert_eq!(pool.get()?.incr::<_, _, u64>("hits", 1)?, number);
        }
        drop(server);
        let error = pool.get().unwrap_err();
        assert!(error.is_unavailable() && error.to_string().contains("socket"), "{error}");
        Ok(())
    });
}

#[test]
#[ignore = "needs Redis: scripts/test --services"]
fn a_wrong_password_and_a_server_that_is_silent_are_errors() {
    let server = Server::start();
    let socket = server.socket();
    let redis = server.redis();
    on_a_shard(move || {
        let wrong = Redis::new(&format!("unix://{}?pass=sesame", socket.display()))?;
        let error = pool(wrong, 1).get().unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error:?}");
        assert!(!error.to_string().contains("sesame"), "{error}");
        let pool = pool(redis.answer_timeout(Some(Duration::from_millis(100))), 1);
        let mut redis = pool.get()?;
        let error = redis.blpop::<_, Option<(String, String)>>("list", 0.0).unwrap_err();
        assert!(error.is_io_error(), "{error:?}");
        assert!(redis.get::<_, Option<String>>("a").is_err(), "it is closed");
        Ok(())
    });
}

#[cfg(any(feature = "tls-aws-lc", feature = "tls-mbedtls"))]
mod with_tls {
    use std::net::TcpListener;

    use straightline_tls::TlsConnector;

    use super::*;

    /// A certificate for the name `localhost`, made by OpenSSL, and a port for TLS. Returns the
    /// settings of a server.
    fn certificate(folder: &Path, port: u16) -> Vec<String> {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-newkey", "ec", "-days", "2"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", "server.key", "-out", "server.crt"])
            .current_dir(folder)
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("the package openssl").success());
        let files = ["--tls-cert-file", "server.crt", "--tls-key-file", "server.key"];
        let others = ["--tls-auth-clients", "no", "--bind", "127.0.0.1", "--tls-port"];
        files.into_iter().chain(others).map(str::to_owned).chain([port.to_string()]).collect()
    }

    #[test]
    #[ignore = "needs Redis: scripts/test --services"]
    fn tls_is_used_and_the_certificate_is_checked() {
        // Nothing else takes the port so soon, except by chance: the kernel gives out others first.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Server::start_with(|folder| certificate(folder, port));
        let pem = fs::read(server.folder.join("server.crt")).unwrap();
        let connector = TlsConnector::builder().roots_pem(pem).build().unwrap();
        on_a_shard(move || {
            let _server = server;
            let at = |host: &str| Redis::new(&format!("rediss://:open@{host}:{port}/3"));
            let pool = pool(at("localhost")?.tls(connector.clone()), 2);
            let mut redis = pool.get()?;
            assert_eq!(redis.incr::<_, _, u64>("hits", 1)?, 1);
            let value = "x".repeat(100_000);
            redis.set::<_, _, ()>("large", &value)?;
            assert_eq!(redis.get::<_, String>("large")?, value);
            drop(redis);
            // A command that is given up closes its connection, and the next one has another.
            let late = sched::deadline(Duration::from_millis(100), || {
                pool.get().unwrap().blpop::<_, Option<(String, String)>>("list", 0.0)
            });
            assert!(late.is_err());
            assert_eq!(pool.get()?.incr::<_, _, u64>("hits", 1)?, 2);
            assert_eq!((pool.stats().created, pool.stats().broken), (2, 1));
            // A name that the certificate does not have, no connector, and no TLS at that port.
            let error = super::pool(at("127.0.0.1")?.tls(connector), 1).get().unwrap_err();
            assert!(matches!(error, Error::Connect { .. }), "{error:?}");
            let error = super::pool(at("localhost")?, 1).get().unwrap_err();
            assert!(error.to_string().contains("there is no connector"), "{error}");
            let plain = Redis::new(&format!("redis://:open@localhost:{port}/3"))?;
            assert!(super::pool(plain, 1).get().is_err());
            Ok(())
        });
    }
}

#[test]
fn an_address_that_cannot_be_used_is_an_error_without_its_password() {
    let cases = [
        ("http://ann:secret@here", "cannot be read"),
        ("redis://ann:secret@here/?protocol=resp3", "RESP3"),
        #[cfg(not(feature = "tls"))]
        ("rediss://ann:secret@here", "TLS"),
    ];
    for (address, why) in cases {
        let error = Redis::new(address).unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains("secret"), "{address}: {error}");
    }
    let redis = Redis::new("redis://ann:secret@here/1").unwrap();
    assert!(!format!("{redis:?}").contains("secret"));
}

/// How long a test waits for what should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The user without rights, on every system that the tests run on.
const WITHOUT_RIGHTS: u32 = 65_534;
