//! A process takes the listeners that it inherits, if they are meant for it, and takes them once.
//!
//! The tests start this program again, through a shell. The shell moves the descriptors to the
//! numbers that the protocol requires, and replaces itself with the program by `exec`. So the
//! program has the process number in `LISTEN_PID`.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use crate::common::SocketPath;
use straightline_net::{BoundListener, TcpListener, TcpStream, UnixListener, UnixStream, inherit};
use straightline_sched as sched;

/// The name of the variable that says what a child does.
const ROLE: &str = "STRAIGHTLINE_TEST_ROLE";

/// Runs this program as a child with `role`, started by the shell commands `setup`.
fn child(role: &str, setup: &str, input: impl Into<Stdio>, output: impl Into<Stdio>) -> Output {
    let program = std::env::current_exe().expect("a path");
    Command::new("sh")
        .args(["-c", &format!("{setup}; exec \"$0\" \"$@\" </dev/null >&2")])
        .arg(program)
        .args(["--exact", "listeners_are_inherited_once::the_child", "--nocapture"])
        .env(ROLE, role)
        .stdin(input)
        .stdout(output)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("a shell")
}

#[track_caller]
fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// As a test this does nothing. In a child process it does what `ROLE` says.
#[test]
fn the_child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    std::thread::spawn(|| {
        std::thread::sleep(std::time::Duration::from_secs(30)); // far longer than this takes
        eprintln!("the child hangs");
        std::process::exit(1);
    });
    match role.as_str() {
        "serves" => sched::run(serve),
        "finds nothing" => {
            assert!(inherit::listeners().expect("no error").is_empty());
            assert!(inherit::why_none().starts_with("LISTEN_FDS is "));
        }
        expected => {
            let error = inherit::listeners().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
            assert!(inherit::listeners().is_ok_and(|again| again.is_empty()));
        }
    }
}

/// Answers one client on each of a TCP and a Unix listener.
fn serve() {
    let inherited = inherit::listeners().expect("two listeners");
    assert!(inherit::listeners().expect("no error").is_empty(), "the listeners are taken once");
    let names: Vec<_> = inherited.iter().map(|inherited| inherited.name.clone()).collect();
    assert_eq!(names, [Some("web".to_owned()), Some("local".to_owned())]);
    #[cfg(target_os = "linux")]
    for number in 3..5 {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).expect("open");
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags");
        let flags = u32::from_str_radix(flags.trim(), 8).expect("octal");
        assert_eq!(flags & 0o2_000_000, 0o2_000_000, "close-on-exec is set");
    }
    let mut listeners = inherited.into_iter().map(|inherited| inherited.listener);
    let (Some(BoundListener::Tcp(web)), Some(BoundListener::Unix(local))) =
        (listeners.next(), listeners.next())
    else {
        panic!("a TCP and a Unix listener");
    };
    let web = TcpListener::from_bound(web).expect("a listener");
    web.accept().expect("a client").0.write_all(b"web").expect("the client reads");
    let local = UnixListener::from_bound(local).expect("a listener");
    local.accept().expect("a client").0.write_all(b"local").expect("the client reads");
}

#[test]
fn listeners_are_served_by_the_process_they_are_for() {
    let web = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = web.local_addr().unwrap();
    let path = Arc::new(SocketPath::new());
    let local = std::os::unix::net::UnixListener::bind(&*path).unwrap();
    let clients = std::thread::spawn({
        let path = Arc::clone(&path);
        move || {
            sched::run_with(sched::Config::default(), move || {
                // The listener of the parent is open, so a client may connect before the child has
                // begun.
                let (mut web, mut text) = (TcpStream::connect(address).unwrap(), String::new());
                web.read_to_string(&mut text).unwrap();
                UnixStream::connect(&*path).unwrap().read_to_string(&mut text).unwrap();
                text
            })
        }
    });
    let setup = "exec 3<&0 4<&1; \
                 export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:local";
    let output = child("serves", setup, OwnedFd::from(web), OwnedFd::from(local));
    assert_success(&output);
    assert_eq!(clients.join().unwrap().unwrap(), "weblocal");
}

#[test]
fn what_is_meant_for_another_process_is_left_alone() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = "exec 3<&0; export LISTEN_PID=1 LISTEN_FDS=1";
    assert_success(&child("finds nothing", setup, OwnedFd::from(listener), Stdio::null()));
    assert_success(&child("finds nothing", "true", Stdio::null(), Stdio::null()));
}

#[test]
fn what_is_no_listener_is_an_error_that_names_it() {
    let one = "exec 3<&0; export LISTEN_PID=$$ LISTEN_FDS=1";
    let output = child(
        "descriptor 3 (without a name): descriptor 3 is not a listener: it is not a socket",
        one,
        Stdio::null(),
        Stdio::null(),
    );
    assert_success(&output);

    let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
    let named = format!("{one} LISTEN_FDNAMES=odd");
    let role = "descriptor 3 (odd): descriptor 3 is not a listener: it is a connection";
    assert_success(&child(role, &named, OwnedFd::from(near), Stdio::null()));

    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let role = "it is not a stream socket";
    assert_success(&child(role, one, OwnedFd::from(datagrams), Stdio::null()));

    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let role = "it does not listen";
    assert_success(&child(role, one, OwnedFd::from(bound), Stdio::null()));

    let missing = "exec 3<&0 9<&-; export LISTEN_PID=$$ LISTEN_FDS=900";
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let role = "inherited descriptor";
    assert_success(&child(role, missing, OwnedFd::from(listener), Stdio::null()));
}
