//! A connection that was reset, or whose peer is gone, is an error: no signal and no hang.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::time::Duration;

use crate::common::{take_in_events, tcp_pair};
use socket2::SockRef;
use straightline_net::{TcpStream, UnixStream};
use straightline_sched as sched;

/// Closes the stream with a reset.
#[allow(clippy::needless_pass_by_value)] // the stream is consumed, because it is closed
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option of a socket");
}

#[test]
fn a_reset_before_the_read_is_an_error() {
    sched::run(|| {
        let (client, mut server) = tcp_pair();
        reset(client);
        let error = server.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
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
    });
}

#[test]
fn a_reset_ends_the_wait_for_room() {
    sched::run(|| {
        let (client, mut server) = tcp_pair();
        let writer = sched::spawn(move || server.write_all(&vec![0; 64 << 20]));
        take_in_events();
        assert!(!writer.is_finished(), "the client does not read, so there is no room");
        reset(client);
        let error = writer.join().unwrap().unwrap_err();
        assert!(is_gone(error.kind()), "{error}");
    });
}

#[test]
fn a_write_to_a_closed_peer_fails_in_the_end() {
    sched::run(|| {
        let (client, mut server) = tcp_pair();
        drop(client);
        // The first write provokes the reset.
        let error = server.write_all(&vec![0; 64 << 20]).unwrap_err();
        assert!(is_gone(error.kind()), "{error}");
        let error = server.write_all(b"!").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
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
    });
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
    });
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
    });
}

fn is_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// Writes in every way to a peer that has closed, for each kind of stream.
#[cfg(target_os = "linux")]
fn write_to_closed_peers() {
    sched::run(|| {
        let file = std::fs::File::open("/proc/self/exe").expect("this program");
        let (near, far) = UnixStream::pair().expect("a pair");
        drop(far);
        let slices = [IoSlice::new(b"!"), IoSlice::new(b"!")];
        let mut results = vec![
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
        // The reset is the first error. The later errors say that the connection is closed.
        results.extend([server.try_send_file(&file, 0, 1), server.try_send_file(&file, 0, 1)]);
        results.extend([server.try_write(b"!"), server.try_write_vectored(&slices)]);
        for result in results {
            let error = result.expect_err("the peer is gone");
            assert!(is_gone(error.kind()), "{error}");
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn it_ends_no_process_whatever_its_action_for_sigpipe() {
    use crate::common::own_process::child;
    use std::os::unix::process::ExitStatusExt;
    let output = child(|| {
        // SAFETY: the default action needs nothing of this process.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        write_to_closed_peers();
        println!("alive");
        // The program's own action is in force again: the signal is not masked any more. SAFETY: to
        // raise a signal is always sound.
        unsafe { libc::raise(libc::SIGPIPE) };
    });
    let output_text = String::from_utf8_lossy(&output.stdout);
    assert!(output_text.contains("alive"), "{:?}: {output_text}", output.status);
    assert_eq!(output.status.signal(), Some(libc::SIGPIPE), "{output_text}");
    write_to_closed_peers(); // in this process SIGPIPE is ignored, as std has it
}
