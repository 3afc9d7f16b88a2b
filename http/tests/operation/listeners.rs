//! Listeners: which socket file a server may replace and remove, what happens when other code shuts
//! a listener down, and that no client in the accept queue is reset.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::own_process::in_a_process;
use crate::common::{Client, Running, serve, serve_with};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use straightline::net::Keepalive;
use straightline::{
    Capacity, Event, OverloadPolicy, Request, Server, ServerBuilder, ServerHandle, sched,
};

/// A folder for one test. Dropping it removes the folder with all its files.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("straightline-listeners-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a folder of our own");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Polls until `is_so` is true. Fails after 30 seconds, which is far longer than any test needs.
fn wait_until(is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < until, "the condition never becomes true");
        thread::yield_now();
    }
}

fn builder_at(path: &Path) -> ServerBuilder {
    Server::builder().bind(path).workers(2)
}

/// Starts a server, or returns the error of `build`.
fn start_at(path: &Path) -> std::io::Result<(ServerHandle, thread::JoinHandle<()>)> {
    let server = builder_at(path).build(|_: &mut Request| "served")?;
    let handle = server.handle();
    let running = thread::spawn(move || {
        server.run().expect("a good end");
    });
    Ok((handle, running))
}

fn ask(path: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn assert_served(path: &Path) {
    let text = ask(path).expect("an answer");
    assert!(text.ends_with("\r\n\r\nserved"), "{text}");
}

/// A stream socket that is bound to `path` and does not listen.
fn bound(path: &Path) -> OwnedFd {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None);
    let socket = socket.expect("a socket");
    let address = SocketAddrUnix::new(path).expect("a short path");
    rustix::net::bind(&socket, &address).expect("a free path");
    socket
}

#[test]
fn a_file_that_is_no_left_over_socket_stays() {
    let folder = Folder::new();
    let refused = |path: &Path| {
        let error = start_at(path).map(|_| ()).expect_err("another file is at the path");
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    };
    let notes = folder.path("notes");
    fs::write(&notes, "dear diary").expect("room on the disk");
    refused(&notes);
    assert_eq!(fs::read_to_string(&notes).expect("the file exists"), "dear diary");
    let fifo = folder.path("fifo");
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0)
        .expect("a FIFO");
    refused(&fifo);
    assert!(fs::symlink_metadata(&fifo).expect("the file exists").file_type().is_fifo());
    let inner = folder.path("folder");
    fs::create_dir(&inner).expect("a folder");
    refused(&inner);
    assert!(inner.is_dir());
    // A symbolic link, whatever its target: removing the file would remove only the link.
    let left_over = folder.path("left over");
    drop(UnixListener::bind(&left_over).expect("a free path"));
    for target in ["notes", "left over", "nothing"] {
        let link = folder.path("link");
        symlink(folder.path(target), &link).expect("a link");
        refused(&link);
        fs::remove_file(&link).expect("the file exists");
    }
    assert!(left_over.exists());
}

#[test]
fn a_socket_that_is_in_use_stays() {
    let folder = Folder::new();
    let refused = |path: &Path| {
        let error = start_at(path).map(|_| ()).expect_err("the path is in use");
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
        assert!(fs::symlink_metadata(path).expect("the file exists").file_type().is_socket());
    };
    let listens = folder.path("listens");
    let listener = UnixListener::bind(&listens).expect("a free path");
    refused(&listens);
    drop(UnixStream::connect(&listens).expect("the socket still listens"));
    drop(listener);
    let does_not_yet = folder.path("does not yet");
    let socket = bound(&does_not_yet);
    refused(&does_not_yet);
    rustix::net::listen(&socket, 1).expect("the socket can listen");
    drop(UnixStream::connect(&does_not_yet).expect("the socket listens"));
    let datagrams = folder.path("datagrams");
    let _socket = UnixDatagram::bind(&datagrams).expect("a free path");
    refused(&datagrams);
}

#[test]
fn a_full_queue_holds_no_start_up() {
    let folder = Folder::new();
    let path = folder.path("full");
    let socket = bound(&path);
    rustix::net::listen(&socket, 0).expect("the socket can listen");
    let _fills_the_queue = UnixStream::connect(&path).expect("the socket listens");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(start_at(&path).map(|_| ()).map_err(|error| error.kind())));
    let result = receiver.recv_timeout(Duration::from_secs(20)).expect("the start does not wait");
    assert_eq!(result, Err(ErrorKind::AddrInUse));
}

#[test]
fn what_a_crash_left_behind_is_replaced() {
    let folder = Folder::new();
    let path = folder.path("left over");
    drop(UnixListener::bind(&path).expect("a free path"));
    // Two servers that start at the same time do not remove each other's socket.
    let starts = [(); 2].map(|()| {
        let path = path.clone();
        thread::spawn(move || start_at(&path))
    });
    let started = starts.map(|start| start.join().expect("no panic"));
    let (mut running, refused): (Vec<_>, Vec<_>) = started.into_iter().partition(Result::is_ok);
    assert_eq!((running.len(), refused.len()), (1, 1));
    assert_served(&path);
    let (handle, thread) = running.remove(0).expect("one of them runs");
    handle.shutdown();
    thread.join().expect("a good end");
    assert!(!path.exists());
}

#[test]
fn a_successor_keeps_its_socket() {
    let folder = Folder::new();
    let path = folder.path("rolling");
    let (sender, waiting) = mpsc::channel();
    let server = builder_at(&path).build(move |_: &mut Request| {
        sender.send(sched::current()).expect("the test listens");
        sched::park();
        "served"
    });
    let server = server.expect("a free path");
    let handle = server.handle();
    let first = thread::spawn(move || server.run());
    let slow = thread::spawn({
        let path = path.clone();
        move || ask(&path)
    });
    let handler = waiting.recv().expect("the handler runs");
    handle.shutdown();
    // When the drain begins, the port is closed and the socket file is removed.
    wait_until(|| !path.exists());
    let (second, second_runs) = start_at(&path).expect("the path is free");
    assert_served(&path);
    handler.unpark();
    assert!(slow.join().expect("no panic").expect("an answer").ends_with("served"));
    first.join().expect("no panic").expect("a good end");
    assert_served(&path);
    second.shutdown();
    second_runs.join().expect("a good end");
    assert!(!path.exists());
}

#[test]
fn a_file_that_replaced_the_socket_stays() {
    let folder = Folder::new();
    let path = folder.path("replaced");
    let (handle, running) = start_at(&path).expect("a free path");
    assert_served(&path);
    fs::remove_file(&path).expect("the file exists");
    let other = UnixListener::bind(&path).expect("a free path");
    handle.shutdown();
    running.join().expect("a good end");
    drop(UnixStream::connect(&path).expect("the other one still listens"));
    drop(other);
}

#[test]
fn a_server_that_never_runs_leaves_no_file() {
    let folder = Folder::new();
    let path = folder.path("never");
    let server = builder_at(&path).build(|_: &mut Request| "").expect("a free path");
    let handle = server.handle();
    assert!(path.exists());
    drop(server);
    assert!(!path.exists());
    drop(handle);
    let faulty = builder_at(&path).bind("nonsense").build(|_: &mut Request| "");
    faulty.map(drop).expect_err("no address");
    assert!(!path.exists());
}

/// Copies of all descriptors of this process, as another process might hold them. A test that
/// calls this needs a process of its own.
fn copies() -> Vec<OwnedFd> {
    let me = pidfd_open(getpid(), PidfdFlags::empty()).expect("this process");
    let open = fs::read_dir("/proc/self/fd").expect("the descriptors");
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let copy = |number| pidfd_getfd(&me, number, PidfdGetfdFlags::empty()).ok();
    numbers.filter_map(copy).collect()
}

/// Another descriptor of the listener at `path`.
fn descriptor_of(path: &Path) -> UnixListener {
    let is_it = |listener: &UnixListener| {
        let address = listener.local_addr().ok();
        address.is_some_and(|address| address.as_pathname() == Some(path))
            && sockopt::socket_acceptconn(listener).is_ok_and(|listens| listens)
    };
    copies().into_iter().map(UnixListener::from).find(is_it).expect("the server's listener")
}

/// A copy of the server's descriptor for the connection of `client`.
fn accepted(client: &TcpStream) -> TcpStream {
    let local = client.local_addr().expect("it is connected");
    let is_it = |stream: &TcpStream| stream.peer_addr().is_ok_and(|peer| peer == local);
    copies().into_iter().map(TcpStream::from).find(is_it).expect("the server's end")
}

/// Shuts down the socket on which the server listens at `path`.
fn shut_down(path: &Path) {
    let socket = descriptor_of(path);
    rustix::net::shutdown(socket.as_fd(), rustix::net::Shutdown::Both).expect("an open socket");
}

#[test]
fn connections_have_the_options_of_their_server() {
    in_a_process(|| {
        let server = serve(|_: &mut Request| "served");
        let mut client = server.client();
        assert_eq!(client.get("/").text(), "served");
        let socket = accepted(&client.stream);
        assert!(sockopt::socket_keepalive(&socket).expect("an option"));
        let default = Keepalive::default();
        assert_eq!(sockopt::tcp_keepidle(&socket).expect("an option"), default.idle);
        assert_eq!(sockopt::tcp_keepintvl(&socket).expect("an option"), default.interval);
        assert_eq!(sockopt::tcp_keepcnt(&socket).expect("an option"), default.probes);
        let plain = sockopt::socket_send_buffer_size(&client.stream).expect("an option");
        drop(socket);
        let configure = |builder: ServerBuilder| {
            builder.keepalive(None).socket_buffers(Some(50_000), Some(40_000))
        };
        let server = serve_with(configure, |_: &mut Request| "served");
        let mut client = server.client();
        assert_eq!(client.get("/").text(), "served");
        let socket = accepted(&client.stream);
        assert!(!sockopt::socket_keepalive(&socket).expect("an option"));
        let size = sockopt::socket_send_buffer_size(&socket).expect("an option");
        assert!(size == 100_000 && size != plain, "{size}");
        assert_eq!(sockopt::socket_recv_buffer_size(&socket).expect("an option"), 80_000);
    });
}

/// Adds a hook that stores the text of each event about a failed listener in `reports`.
fn noting(builder: ServerBuilder, reports: &Arc<Mutex<Vec<String>>>) -> ServerBuilder {
    let reports = Arc::clone(reports);
    builder.observer(move |event: &Event<'_>| {
        if let Event::ListenerFailed { .. } = event {
            reports.lock().expect("no panic").push(event.to_string());
        }
    })
}

#[test]
fn a_listener_that_is_shut_down_ends_and_the_others_go_on() {
    in_a_process(|| {
        let folder = Folder::new();
        let (path, reports) = (folder.path("shut"), Arc::default());
        let builder = noting(builder_at(&path).bind("127.0.0.1:0"), &reports);
        let server = builder.build(|_: &mut Request| "served").expect("a free path");
        let address = server.local_addrs()[1].as_tcp().expect("a TCP address");
        let handle = server.handle();
        let running = thread::spawn(move || server.run());
        assert_served(&path);
        let mut before = Client::connect(address);
        assert_eq!(before.get("/").text(), "served");
        shut_down(&path);
        // Both shards notice, and each reports it once.
        wait_until(|| handle.counters().accept_errors == 2);
        for _ in 0..50 {
            assert_eq!(Client::connect(address).get("/").text(), "served");
        }
        assert_eq!(before.get("/").text(), "served");
        assert_eq!(handle.counters().accept_errors, 2);
        handle.shutdown();
        running.join().expect("no panic").expect("a good end");
        let reports = reports.lock().expect("no panic");
        assert_eq!(reports.len(), 2, "{reports:?}");
        assert!(reports[0].contains(&format!("unix:{}", path.display())), "{reports:?}");
    });
}

#[test]
fn without_a_listener_the_server_ends_with_an_error() {
    in_a_process(|| {
        let folder = Folder::new();
        let path = folder.path("shut");
        let (sender, waiting) = mpsc::channel();
        let server = builder_at(&path).build(move |_: &mut Request| {
            sender.send(sched::current()).expect("the test listens");
            sched::park();
            "served"
        });
        let server = server.expect("a free path");
        let running = thread::spawn(move || server.run());
        let slow = thread::spawn({
            let path = path.clone();
            move || ask(&path)
        });
        let handler = waiting.recv().expect("the handler runs");
        shut_down(&path);
        wait_until(|| !path.exists());
        // The request in flight is finished.
        handler.unpark();
        assert!(slow.join().expect("no panic").expect("an answer").ends_with("served"));
        let error = running.join().expect("no panic").expect_err("no listener is left");
        assert!(error.to_string().contains("no listener is left"), "{error}");
    });
}

/// Sends one request on each new connection until the port is closed. Returns the number of
/// answers.
fn ask_until_the_end(address: SocketAddr) -> u32 {
    let mut answers = 0;
    loop {
        let mut stream = match TcpStream::connect(address) {
            Ok(stream) => stream,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
                return answers;
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut answer = [0; 12];
        let read = asked.and_then(|()| stream.read_exact(&mut answer));
        read.unwrap_or_else(|error| panic!("after {answers} answers: {error}"));
        assert_eq!(&answer, b"HTTP/1.1 200");
        answers += 1;
    }
}

#[test]
fn a_client_that_has_connected_is_served_at_shutdown() {
    for _ in 0..10 {
        let server = serve_with(|builder| builder.workers(8), |_: &mut Request| "served");
        let address = server.address;
        let clients = [(); 8].map(|()| thread::spawn(move || ask_until_the_end(address)));
        wait_until(|| server.handle.counters().answered >= 50);
        server.handle.shutdown();
        for client in clients {
            client.join().expect("no reset");
        }
        server.join();
    }
}

/// A server with room for one connection, and the client that occupies it.
fn full_server() -> (Running, Client) {
    let full = Capacity::default().with_connections(1).with_overload_policy(OverloadPolicy::Queue);
    let server = serve_with(|builder| builder.capacity(full), |_: &mut Request| "served");
    let mut first = server.client();
    assert_eq!(first.get("/").text(), "served");
    (server, first)
}

#[test]
fn a_client_that_waits_for_room_is_served_at_shutdown() {
    let (server, mut first) = full_server();
    let mut waiting: Vec<_> = (0..20).map(|_| server.client()).collect();
    // Half of the clients send their request before the shutdown, and half of them after it.
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for client in &mut waiting[..10] {
        client.send(request);
    }
    server.handle.shutdown();
    assert!(first.is_at_end());
    for client in &mut waiting[10..] {
        client.send(request);
    }
    for client in &mut waiting {
        let answer = client.receive();
        assert_eq!((answer.text(), answer.field("connection")), ("served", Some("close")));
        assert!(client.is_at_end());
    }
    server.join();
}

#[test]
fn a_client_that_asks_nothing_does_not_hold_the_shutdown() {
    let (server, _first) = full_server();
    let mut silent = server.client();
    server.handle.shutdown();
    assert!(silent.is_at_end());
    silent.stream.shutdown(Shutdown::Both).unwrap_or_default();
    let report = server.join_report();
    assert_eq!(report.cancelled, 0, "the connection is not force-closed at the end of the drain");
}

#[test]
fn clients_of_ipv4_are_shown_as_such_whichever_listener_accepts_them() {
    let server = Server::builder().bind("[::]:0").workers(1);
    let built = server.build(|request: &mut Request| request.peer().to_string());
    let Ok(server) = built else { return }; // the machine may have no IPv6
    let port = server.local_addrs()[0].as_tcp().expect("a TCP address").port();
    let handle = server.handle();
    let running = thread::spawn(move || server.run());
    let mut client = Client::connect(SocketAddr::from(([127, 0, 0, 1], port)));
    let local = client.stream.local_addr().expect("it is connected");
    assert_eq!(client.get("/").text(), local.to_string());
    handle.shutdown();
    running.join().expect("no panic").expect("a good end");
}
