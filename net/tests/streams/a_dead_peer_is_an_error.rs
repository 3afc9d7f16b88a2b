//! A connection that was reset, or whose peer is gone, is an error: no signal and no hang.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::time::Duration;

use socket2::SockRef;
use straightline_net::{TcpListener, TcpStream, UnixStream};
use straightline_sched as sched;

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(address).expect("somebody listens");
    (client, listener.accept().expect("somebody connected").0)
}

/// Closes with a reset.
#[allow(clippy::needless_pass_by_value)] // it is consumed: closed
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option of a socket");
}

/// Lets the shard take in the events that are there.
fn take_in_events() {
    (0..3).for_each(|_| sched::sleep(Duration::from_millis(1)));
}

#[test]
fn a_reset_before_the_read_is_an_error() {
    sched::run(|| {
        let (client, mut server) = tcp_pair();
        reset(client);
        let error = server.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    })
    .unwrap();
}

#[test]
fn a_reset_during_the_read_is_an_error() {
    sched::run(|| {
        let (mut client, mut server) = tcp_pair();
        let reader = sched::spawn(move || {
            let mut byte = [0];
            server.read_exact(&mut byte).unwrap();
            server.read_exact(&mut byte)
        });
        client.write_all(b"!").unwrap();
        take_in_events();
        assert!(!reader.is_finished());
        reset(client);
        let error = reader.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    })
    .unwrap();
}

#[test]
fn a_reset_ends_the_wait_for_room() {
    sched::run(|| {
        let (client, mut server) = tcp_pair();
        let writer = sched::spawn(move || server.write_all(&vec![0; 64 << 20]));
        take_in_events();
        assert!(!writer.is_finished(), "nobody reads, so there is no room");
        reset(client);
        let error = writer.join().unwrap().unwrap_err();
        assert!(is_gone(error.kind()), "{error}");
    })
    .unwrap();
}

#[test]
fn a_write_to_a_closed_peer_fails_in_the_end() {
    sched::run(|| {
        let (client, mut server) = tcp_pair();
        drop(client);
        // The first one provokes the reset.
        let error = server.write_all(&vec![0; 64 << 20]).unwrap_err();
        assert!(is_gone(error.kind()), "{error}");
        let error = server.write_all(b"!").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    })
    .unwrap();
}

#[test]
fn a_write_to_a_closed_unix_peer_fails_at_once() {
    sched::run(|| {
        let (near, mut far) = UnixStream::pair().unwrap();
        drop(near);
        let error = far.write_all(b"!").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let error = far.write_vectored(&[std::io::IoSlice::new(b"!")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    })
    .unwrap();
}

#[test]
fn a_unix_peer_that_goes_ends_the_wait_for_room() {
    sched::run(|| {
        let (near, mut far) = UnixStream::pair().unwrap();
        let writer = sched::spawn(move || far.write_all(&vec![0; 64 << 20]));
        take_in_events();
        assert!(!writer.is_finished());
        drop(near);
        let error = writer.join().unwrap().unwrap_err();
        assert!(is_gone(error.kind()), "{error}");
    })
    .unwrap();
}

#[test]
fn a_broken_connection_breaks_no_other() {
    sched::run(|| {
        let (mut client, mut server) = tcp_pair();
        let (broken, mut other) = tcp_pair();
        let reader = sched::spawn(move || {
            let mut byte = [0];
            server.read_exact(&mut byte).map(|()| byte[0])
        });
        reset(broken);
        assert!(other.read(&mut [0]).is_err());
        client.write_all(b"!").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), b'!');
    })
    .unwrap();
}

fn is_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// Writes in every way to a peer that is gone, of each kind of stream.
#[cfg(target_os = "linux")]
fn write_to_nobody() {
    sched::run(|| {
        let file = std::fs::File::open("/proc/self/exe").expect("this program");
        let (near, far) = UnixStream::pair().expect("a pair");
        drop(far);
        let slices = [IoSlice::new(b"!"), IoSlice::new(b"!")];
        let mut said = vec![
            near.send_file(&file, 0, 1 << 16),
            near.try_send_file(&file, 0, 1),
            (&near).write(b"!"),
            (&near).write_vectored(&slices),
            near.try_write(b"!"),
            near.try_write_vectored(&slices),
        ];
        let (client, server) = tcp_pair();
        reset(client);
        server.wait_readable().expect("the reset comes");
        // The reset itself is the first error, and then nobody is there any more.
        said.extend([server.try_send_file(&file, 0, 1), server.try_send_file(&file, 0, 1)]);
        said.extend([server.try_write(b"!"), server.try_write_vectored(&slices)]);
        for said in said {
            let error = said.expect_err("nobody is there");
            assert!(is_gone(error.kind()), "{error}");
        }
    })
    .expect("a shard can be made");
}

#[test]
#[cfg(target_os = "linux")]
fn it_ends_no_process_whatever_that_does_with_sigpipe() {
    use std::os::unix::process::ExitStatusExt;
    const CHILD: &str = "STRAIGHTLINE_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        // SAFETY: the default action needs nothing of this process.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        write_to_nobody();
        println!("alive");
        // And the signal is what the program has made of it: nothing is left of the masking.
        // SAFETY: to raise a signal is always sound.
        unsafe { libc::raise(libc::SIGPIPE) };
        unreachable!("the child survived");
    }
    let name = "it_ends_no_process_whatever_that_does_with_sigpipe";
    let mut child = std::process::Command::new(std::env::current_exe().expect("this test"));
    let output = child.args([name, "--exact", "--nocapture"]).env(CHILD, "1").output();
    let output = output.expect("a child process");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("alive"), "{:?}: {told}", output.status);
    assert_eq!(output.status.signal(), Some(libc::SIGPIPE), "{told}");
    write_to_nobody(); // here it is ignored, as std has it
}
