//! The samples as services: they take the socket that a service manager has opened, tell the
//! manager what they do, and are replaced on the same socket without a request that fails.
//!
//! `STRAIGHTLINE_RESTART_SECONDS=60` with `--nocapture` makes the test under load as long as that,
//! and prints its figures.

use std::env;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[path = "../../../http/tests/common/service_manager.rs"]
mod fake;

use crate::SERVERS;
use crate::servers::{Server, binary};
use fake::{ServiceManager, WATCHDOG};

/// A shell that becomes the sample, and has the listener as descriptor 3, as systemd starts it.
fn activated(name: &str, listener: &TcpListener, manager: &ServiceManager) -> Command {
    let script = "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web
                  exec 3<&0 && exec \"$0\" \"$@\" </dev/null";
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .arg(binary(name))
        .env("NOTIFY_SOCKET", manager.address())
        .stdin(OwnedFd::from(listener.try_clone().expect("a descriptor")));
    command
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

#[test]
fn each_sample_serves_the_socket_that_it_was_started_with() {
    let manager = ServiceManager::new();
    for name in SERVERS {
        let (listener, address) = listener();
        let mut command = activated(name, &listener, &manager);
        let mut server = Server::start_by(&mut command, &["--workers", "2"]);
        assert_eq!(server.address(), address.to_string(), "{name}");
        assert_eq!(manager.wait_for_ready(), address.to_string(), "{name}");
        server.get("/nowhere").assert_status(404);
        server.signal("HUP");
        assert!(manager.receive().starts_with("RELOADING=1\nMONOTONIC_USEC="), "{name}");
        assert_eq!(manager.wait_for_ready(), address.to_string(), "{name}");
        assert!(server.stop().success(), "{name}");
        assert!(manager.receive().starts_with("STOPPING=1\n"), "{name}");
    }
}

#[test]
fn a_sample_whose_threads_all_compute_for_ever_is_silent() {
    let (listener, address) = listener();
    let manager = ServiceManager::new();
    let mut command = activated("playground", &listener, &manager);
    let timeout = Duration::from_millis(400);
    command.env("WATCHDOG_USEC", timeout.as_micros().to_string());
    let flags = ["--workers", "2", "--replacements", "0", "--stuck-limit", "1h"];
    let server = Server::start_by(&mut command, &flags);
    manager.wait_for_ready();
    (0..5).for_each(|_| while manager.receive() != WATCHDOG {});
    // A thread may have accepted two clients before it began to compute for the first.
    let mut clients = Vec::new();
    loop {
        let mut client = Client::to(address);
        client.send("/hang").expect("the server reads");
        clients.push(client);
        if manager.receive_within(3 * timeout).is_none() {
            break;
        }
    }
    drop(server);
}

/// One process of the service.
struct Process {
    child: Child,
    manager: ServiceManager,
}

impl Process {
    /// Starts a process, and waits until it says that it is ready.
    fn start(listener: &TcpListener) -> Self {
        let manager = ServiceManager::new();
        let mut command = activated("playground", listener, &manager);
        command.args(["--workers", "2", "--ready-delay", READY_DELAY]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell");
        manager.wait_for_ready();
        Self { child, manager }
    }

    /// Asks the process to end, and waits until it has ended.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().expect("kill runs").success());
        assert!(self.child.wait().expect("it ends").success());
        assert!(self.manager.receive().starts_with("STOPPING=1\n"));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long a process that ends still serves, and tells its clients to open new connections.
const READY_DELAY: &str = "500ms";

/// A client that keeps its connection as long as the server does.
struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

/// What the clients have seen.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    answers: usize,
    connections: usize,
    /// Requests on a kept connection that the server had closed meanwhile, and that were sent again
    /// on a new one.
    retries: usize,
    slowest: Duration,
}

impl Client {
    fn to(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    fn send(&mut self, path: &str) -> io::Result<()> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_read_timeout(Some(Duration::from_secs(60)))?;
                none.insert(BufReader::new(stream))
            }
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes())
    }

    /// Reads a whole answer with a length; `None` if the connection has ended before its first
    /// byte.
    fn receive(&mut self) -> io::Result<Option<()>> {
        let stream = self.stream.as_mut().expect("a request was sent");
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1..) => head.push(byte[0]),
                Ok(0) if head.is_empty() => return Ok(None),
                Err(error) if head.is_empty() && error.kind() == ErrorKind::ConnectionReset => {
                    return Ok(None);
                }
                Ok(_) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) => return Err(error),
            }
        }
        let head = String::from_utf8(head).map_err(io::Error::other)?.to_ascii_lowercase();
        if !head.starts_with("http/1.1 200 ") {
            return Err(io::Error::other(head));
        }
        let length = head.split_once("content-length: ").and_then(|(_, rest)| {
            rest.split_once("\r\n").and_then(|(length, _)| length.parse().ok())
        });
        stream.read_exact(&mut vec![0; length.expect("a length")])?;
        if head.contains("\r\nconnection: close\r\n") {
            self.stream = None;
        }
        Ok(Some(()))
    }

    /// One request. On a connection that was kept, it may be too late: the server may have closed
    /// the connection before the request arrived. RFC 9110, section 9.2.2, lets a client send a GET
    /// again then.
    fn ask(&mut self, path: &str, seen: &mut Seen) -> io::Result<()> {
        let is_kept = self.stream.is_some();
        seen.connections += usize::from(!is_kept);
        let begin = Instant::now();
        let outcome = match self.send(path) {
            Err(error) if is_kept && error.kind() == ErrorKind::BrokenPipe => None,
            sent => {
                sent?;
                self.receive()?
            }
        };
        match outcome {
            None if is_kept => {
                self.stream = None;
                seen.retries += 1;
                self.ask(path, seen)
            }
            None => Err(io::Error::other("a new connection ended without an answer")),
            Some(()) => {
                seen.answers += 1;
                seen.slowest = seen.slowest.max(begin.elapsed());
                Ok(())
            }
        }
    }
}

#[test]
fn a_service_is_replaced_under_load_and_no_request_fails() {
    let seconds = env::var("STRAIGHTLINE_RESTART_SECONDS").map(|text| text.parse::<u64>());
    let time = Duration::from_secs(seconds.map_or(0, |seconds| seconds.expect("a number")));
    let (listener, address) = listener();
    let mut serving = Process::start(&listener);
    let (begin, is_over) = (Instant::now(), AtomicBool::new(false));
    let (mut restarts, mut seen) = (0, Vec::new());
    thread::scope(|scope| {
        // Kept connections, a new connection for each request, and requests that take longer than a
        // process has to be ready.
        let kinds = [("/hello", true), ("/hello", false), ("/slow?ms=300", true)];
        let clients = kinds.map(|(path, keeps)| {
            let is_over = &is_over;
            [(); 2].map(|()| {
                scope.spawn(move || {
                    let (mut client, mut seen) = (Client::to(address), Seen::default());
                    while !is_over.load(Ordering::Relaxed) {
                        client.ask(path, &mut seen).expect("no request fails");
                        if !keeps {
                            client.stream = None;
                        }
                    }
                    (path, keeps, seen)
                })
            })
        });
        while restarts < 3 || begin.elapsed() < time {
            let successor = Process::start(&listener);
            std::mem::replace(&mut serving, successor).stop();
            restarts += 1;
        }
        is_over.store(true, Ordering::Relaxed);
        let joined = clients.into_iter().flatten().map(thread::ScopedJoinHandle::join);
        seen.extend(joined.map(|seen| seen.expect("no request fails")));
    });
    println!("{restarts} restarts in {:?}", begin.elapsed());
    for (path, keeps, seen) in &seen {
        println!("{path}, connections are kept: {keeps}: {seen:?}");
        assert!(seen.answers > restarts, "there was a load");
    }
    serving.stop();
}
