//! Listeners that are open before the server: they are served as they are, left as they are, and
//! handed from one process to the next without a request that fails.
//!
//! Child processes are this program, started again through a shell. The shell moves the descriptor
//! to the number that the protocol requires, and replaces itself with the program by `exec`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use rustix::process::{Pid, Signal, kill_process};
use straightline::net::{BoundListener, ListenOptions, inherit};
use straightline::{Address, Request, Server, ServerBuilder};

/// The name of the variable that says that this process is a child.
const ROLE: &str = "STRAIGHTLINE_TEST_ROLE";

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Asks for `/` on a connection of its own; returns the body.
fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    exchange(&mut stream)
}

fn exchange(stream: &mut (impl Read + Write)) -> io::Result<String> {
    stream.write_all(REQUEST)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("not a complete answer: {text:?}"))),
    }
}

fn build(builder: ServerBuilder) -> io::Result<Server> {
    builder.workers(2).build(|_: &mut Request| process::id().to_string())
}

/// Serves while `client` runs.
fn while_it_serves(server: Server, client: impl FnOnce()) {
    let handle = server.handle();
    let running = thread::spawn(move || server.run());
    client();
    handle.shutdown();
    running.join().expect("no panic").expect("a good end");
}

#[test]
fn an_open_listener_is_served_and_left_as_it_was() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let own = listener.try_clone().expect("a descriptor");
    let server = build(Server::builder().listener(listener)).expect("a server");
    assert_eq!(server.local_addrs(), [Address::Tcp(address)]);
    while_it_serves(server, || {
        for _ in 0..20 {
            ask(address).expect("an answer");
        }
    });
    // The port is open for other owners of the socket, and lets new handshakes in.
    own.set_nonblocking(false).expect("a descriptor");
    let client = thread::spawn(move || {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(20));
        stream.expect("the queue is open").local_addr().expect("it is connected")
    });
    let (_, peer) = own.accept().expect("a client");
    assert_eq!(client.join().expect("no panic"), peer);
}

#[test]
fn listeners_of_this_crate_and_bound_ones_will_do() {
    let bound = ListenOptions::new().bind("127.0.0.1:0");
    let bound = bound.expect("a free port");
    let ours = straightline::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let builder = Server::builder().listener(bound).listener(ours).bind("127.0.0.1:0");
    let server = build(builder).expect("a server");
    let addresses: Vec<_> = server.local_addrs().iter().filter_map(Address::as_tcp).collect();
    assert_eq!(addresses.len(), 3);
    while_it_serves(server, || {
        addresses.iter().for_each(|address| drop(ask(*address).expect("an answer")));
    });
}

#[test]
fn the_file_of_a_unix_socket_stays() {
    let path = env::temp_dir().join(format!("straightline-existing-{}.sock", process::id()));
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a path of our own");
    let server = build(Server::builder().listener(listener)).expect("a server");
    assert_eq!(server.local_addrs(), [Address::Unix(path.clone())]);
    while_it_serves(server, || {
        let mut client = UnixStream::connect(&path).expect("the server listens");
        exchange(&mut client).expect("an answer");
    });
    fs::remove_file(&path).expect("the file exists");
}

#[test]
fn a_socket_that_does_not_listen_is_an_error_that_says_what_it_is() {
    let error = |descriptor: OwnedFd| {
        // The type says that it is a listener; the socket is something else.
        let listener = TcpListener::from(descriptor);
        let error = build(Server::builder().listener(listener)).map(drop).expect_err("no listener");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let connection = TcpStream::connect(address).expect("the listener is open");
    let text = error(connection.into());
    assert!(text.ends_with("is not a listener: it is a connection"), "{text}");
    let text = error(UdpSocket::bind("127.0.0.1:0").expect("a free port").into());
    assert!(text.contains("it is not a stream socket"), "{text}");
    let text = error(fs::File::open("/dev/null").expect("it exists").into());
    assert!(text.contains("it is not a socket"), "{text}");
    let (near, _far) = UnixStream::pair().expect("a pair");
    assert!(BoundListener::try_from(OwnedFd::from(near)).is_err());
    let unix = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        None,
    );
    let text = error(unix.expect("a socket"));
    assert!(text.contains("it does not listen"), "{text}");
}

#[test]
fn without_inherited_listeners_the_error_says_why() {
    let error = build(Server::builder().inherited_listeners()).map(drop).expect_err("none");
    let (text, why) = (error.to_string(), inherit::why_none());
    assert_eq!(text, format!("no listeners were inherited: {why}"));
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// As a test this does nothing. As a child process it serves the listeners that it inherits, until
/// it gets a SIGTERM.
#[test]
fn the_child() {
    if env::var(ROLE).is_err() {
        return;
    }
    let builder = Server::builder().inherited_listeners().shutdown_on_signals();
    match build(builder) {
        Ok(server) => drop(server.run().expect("a good end")),
        Err(error) => {
            eprintln!("the error: {error}");
            process::exit(3);
        }
    }
}

/// A process with the listener, started by the shell commands `setup`.
fn child(listener: impl Into<Stdio>, setup: &str) -> Child {
    let program = env::current_exe().expect("a path");
    Command::new("sh")
        .args(["-c", &format!("exec 3<&0; {setup}; exec \"$0\" \"$@\" </dev/null >&2")])
        .arg(program)
        .args(["--exact", "existing_listeners::the_child", "--nocapture"])
        .env(ROLE, "serves")
        .stdin(listener)
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell")
}

const OFFER: &str = "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web";

fn started(listener: &TcpListener) -> Child {
    child(OwnedFd::from(listener.try_clone().expect("a descriptor")), OFFER)
}

/// Waits until the process answers requests.
fn wait_for(child: &Child, address: SocketAddr) {
    let until = Instant::now() + Duration::from_secs(30);
    while ask(address).ok().as_deref() != Some(&child.id().to_string()) {
        assert!(Instant::now() < until, "the child serves no request");
    }
}

/// Ends the process as a service manager does.
fn stop(child: Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::TERM).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_listener_goes_from_one_process_to_the_next_and_no_request_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let mut serving = started(&listener);
    wait_for(&serving, address);
    let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    ask(address).expect("no request fails");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..3 {
        let successor = started(&listener);
        wait_for(&successor, address);
        stop(std::mem::replace(&mut serving, successor));
        wait_for(&serving, address);
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no request fails");
    }
    assert!(answered.load(Ordering::Relaxed) > 100, "there was a load");
    stop(serving);
}

#[test]
fn a_child_says_what_is_wrong_with_its_offer() {
    let error = |listener: OwnedFd, setup: &str| {
        let output = child(listener, setup).wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(3));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.lines().find_map(|line| line.strip_prefix("the error: ")).map(str::to_owned)
    };
    let listener = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let datagrams = || OwnedFd::from(UdpSocket::bind("127.0.0.1:0").expect("a free port"));
    assert_eq!(
        error(listener(), "unset LISTEN_PID; export LISTEN_FDS=1").as_deref(),
        Some("no listeners were inherited: LISTEN_FDS is 1, but LISTEN_PID is not set")
    );
    assert_eq!(
        error(listener(), "export LISTEN_PID=$$ LISTEN_FDS=one").as_deref(),
        Some("LISTEN_FDS is no number: one")
    );
    assert_eq!(
        error(datagrams(), OFFER).as_deref(),
        Some(
            "inherited descriptor 3 (web): descriptor 3 is not a listener: it is not a stream \
             socket, but one for datagrams or packets"
        )
    );
}
