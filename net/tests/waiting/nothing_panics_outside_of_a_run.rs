//! A socket may be used where no fiber runs: after the run that it was used in, in a later one, on
//! another thread, in a destructor wherever that is called. What needs no waiting is done, and the
//! rest is an error and no panic.

use std::any::Any;
use std::io::{self, BufWriter, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{SocketPath, tcp_pair, unless_it_hangs};
use straightline_net::{
    StreamSet, TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream, lookup_host,
};
use straightline_sched::{self as sched, Interest};

fn run<T: 'static>(body: impl FnOnce() -> T + 'static) -> T {
    sched::run(body).expect("a shard can be made")
}

/// Two ends of a TCP connection that were both waited on in a run.
fn used_pair() -> (TcpStream, TcpStream) {
    run(|| {
        let (near, far) = tcp_pair();
        (&near).write_all(b"!").expect("there is room");
        let _ = (&far).read(&mut [0]).expect("a byte");
        (near, far)
    })
}

/// What the operation said. It may say anything, but not panic.
fn said<T>(name: &str, operation: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(operation))
        .unwrap_or_else(|payload| panic!("{name}: {}", text(&*payload)))
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let known = payload.downcast_ref::<&str>().copied();
    known.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}

/// Every operation of a stream that has nothing to read and room to write; then of one that has
/// neither.
macro_rules! try_all {
    ($stream:expr) => {{
        let mut stream = $stream;
        let file = std::fs::File::open("/proc/self/exe")
            .or_else(|_| std::fs::File::open(std::env::current_exe()?))
            .expect("this program");
        let block = vec![0; 1 << 20];
        for round in 0..2 {
            let name = |name: &str| format!("{name}, round {round}");
            said(&name("read"), || stream.read(&mut [0; 8])).expect_err("nothing to read");
            said(&name("read_vectored"), || {
                stream.read_vectored(&mut [IoSliceMut::new(&mut [0; 8])])
            })
            .expect_err("nothing to read");
            said(&name("try_read"), || stream.try_read(&mut [0; 8])).expect_err("nothing to read");
            said(&name("is_drained"), || stream.is_drained());
            said(&name("wait_readable"), || stream.wait_readable()).expect_err("no fiber");
            said(&name("arm_readable"), || stream.arm_readable()).expect_err("no fiber");
            let at = Some(Instant::now() + Duration::from_secs(3_600));
            said(&name("wait_until"), || stream.wait_until(Interest::Write, at))
                .expect_err("no fiber");
            said(&name("is_peer_gone"), || assert!(!stream.is_peer_gone()));
            said(&name("join_set"), || stream.join_set(&StreamSet::new()));
            said(&name("set_read_timeout"), || {
                stream.set_read_timeout(Some(Duration::from_secs(1)))
            })
            .expect("no waiting");
            said(&name("read in time"), || stream.read(&mut [0; 8])).expect_err("nothing to read");
            let _ = said(&name("local_addr"), || stream.local_addr());
            let _ = said(&name("peer_addr"), || stream.peer_addr());
            said(&name("flush"), || stream.flush()).expect("nothing to do");
            let written = [
                said(&name("write"), || stream.write(b"12345678")),
                said(&name("write_vectored"), || stream.write_vectored(&[IoSlice::new(b"12")])),
                said(&name("try_write"), || stream.try_write(b"12345678")),
                said(&name("try_write_vectored"), || {
                    stream.try_write_vectored(&[IoSlice::new(b"12345678")])
                }),
                said(&name("send_file"), || stream.send_file(&file, 0, 8)),
                said(&name("try_send_file"), || stream.try_send_file(&file, 0, 8)),
            ];
            for written in written {
                assert_eq!(written.is_ok(), round == 0, "{written:?}");
            }
            // From now on there is no room.
            while stream.try_write(&block).is_ok() {}
            said(&name("write_all"), || stream.write_all(&block)).expect_err("there is no room");
            // Neither in front of it, when that is dropped.
            said(&name("a buffer's drop"), || {
                let mut buffer = BufWriter::new(&mut stream);
                buffer.write_all(b"buffered").expect("a buffer");
                drop(buffer);
            });
        }
        said("shutdown", || stream.shutdown(Shutdown::Both)).expect("an open stream");
        said("read the end", || stream.read(&mut [0; 8])).expect("an end");
        said("drop", move || drop(stream));
    }};
}

#[test]
fn the_streams_of_a_past_run() {
    unless_it_hangs(|| {
        let (near, _far) = used_pair();
        try_all!(near);
        let (near, _far) = run(|| UnixStream::pair().expect("a pair"));
        try_all!(near);
        // And streams that no fiber has ever waited for.
        let (near, _far) = StdUnixStream::pair().expect("a pair");
        try_all!(UnixStream::from_std(near).expect("a stream"));
    });
}

#[test]
fn what_is_there_is_read_all_the_same() {
    unless_it_hangs(|| {
        let (mut near, mut far) = used_pair();
        near.write_all(b"after the run").expect("there is room");
        let mut text = [0; 13];
        // It may take a moment to arrive, and nothing waits here.
        while far.peek(&mut text).is_err() {}
        far.read_exact(&mut text).expect("it is there");
        assert_eq!(&text, b"after the run");
        // What is flushed by a drop arrives.
        let mut buffer = BufWriter::new(near);
        buffer.write_all(b"farewell").expect("a buffer");
        drop(buffer);
        let mut text = String::new();
        while far.peek(&mut [0]).is_err() {}
        let _ = far.read_to_string(&mut text); // which may be too early for the end
        assert_eq!(text, "farewell");
    });
}

#[test]
fn listeners_and_datagrams() {
    unless_it_hangs(|| {
        let path = Arc::new(SocketPath::new());
        let (tcp, unix, udp) = run({
            let path = Arc::clone(&path);
            move || {
                let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
                let unix = UnixListener::bind(&*path).expect("a path");
                let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
                let wait = || {
                    let _ = (tcp.accept(), unix.accept(), udp.recv(&mut [0]));
                };
                assert!(sched::deadline(Duration::ZERO, wait).is_err());
                (tcp, unix, udp)
            }
        });
        said("accept", || tcp.accept()).expect_err("no client comes");
        said("try_accept", || tcp.try_accept()).expect_err("no client comes");
        said("wait_readable", || tcp.wait_readable()).expect_err("no fiber");
        let address = tcp.local_addr().expect("it is bound");
        let _ = said("connect", || TcpStream::connect(address));
        let by_name = ("localhost", address.port());
        let _ = said("connect by name", || TcpStream::connect(by_name));
        let in_time = Duration::from_secs(1);
        let _ = said("connect in time", || TcpStream::connect_timeout(&address, in_time));
        let _ = said("lookup_host", || lookup_host(("localhost", 1)).map(drop));
        said("unix accept", || unix.accept()).expect_err("no client comes");
        said("unix try_accept", || unix.try_accept()).expect_err("no client comes");
        said("unix wait_readable", || unix.wait_readable()).expect_err("no fiber");
        let mut clients = Vec::new();
        while let Ok(client) = said("unix connect", || UnixStream::connect(&*path)) {
            clients.push(client); // until the queue is full
            assert!(clients.len() < 10_000);
        }
        said("unix accept", || unix.accept()).expect("they wait");
        let here = udp.local_addr().expect("it is bound");
        said("recv", || udp.recv(&mut [0; 8])).expect_err("nothing comes");
        said("recv_from", || udp.recv_from(&mut [0; 8])).expect_err("nothing comes");
        said("peek", || udp.peek(&mut [0; 8])).expect_err("nothing comes");
        said("peek_from", || udp.peek_from(&mut [0; 8])).expect_err("nothing comes");
        said("try_recv", || udp.try_recv(&mut [0; 8])).expect_err("nothing comes");
        said("udp wait_readable", || udp.wait_readable()).expect_err("no fiber");
        said("udp connect", || udp.connect(here)).expect("it works");
        said("send", || udp.send(b"1")).expect("there is room");
        said("send_to", || udp.send_to(b"1", here)).expect("there is room");
        let _ = said("send_to a name", || udp.send_to(b"1", ("localhost", here.port())));
        said("recv", || udp.recv(&mut [0; 8])).expect("it has come");
    });
}

#[test]
fn a_stream_of_an_earlier_run_answers_for_itself_in_a_later_one() {
    unless_it_hangs(|| {
        let (mut near, mut far) = used_pair();
        run(move || {
            // Here other streams have the places that the two had in the earlier run.
            let pairs: Vec<_> = (0..8).map(|_| UnixStream::pair().expect("a pair")).collect();
            for (one, other) in pairs {
                drop(other);
                one.wait_readable().expect("the end comes");
                assert!(one.is_peer_gone());
                assert!(!near.is_peer_gone() && !far.is_peer_gone());
            }
            far.write_all(b"later").expect("there is room");
            let mut text = [0; 5];
            near.read_exact(&mut text).expect("it arrives");
            assert_eq!(&text, b"later");
            drop(far);
            assert_eq!(near.read(&mut text).expect("an end"), 0);
            assert!(near.is_peer_gone());
        });
    });
}

thread_local! {
    /// Outlives every run of its thread.
    static KEPT: std::cell::RefCell<Option<BufWriter<TcpStream>>> = const {
        std::cell::RefCell::new(None)
    };
}

#[test]
fn a_buffer_is_dropped_wherever_that_may_be() {
    // With the thread.
    unless_it_hangs(|| {
        let (near, mut far) = used_pair();
        thread::scope(|scope| {
            let near = near.into_std();
            let ended = scope.spawn(move || {
                run(move || {
                    let mut buffer = BufWriter::new(TcpStream::from_std(near).expect("a stream"));
                    buffer.write_all(b"with the thread").expect("a buffer");
                    KEPT.set(Some(buffer));
                });
            });
            ended.join().expect("no panic");
        });
        let text = run(move || {
            let mut text = String::new();
            far.read_to_string(&mut text).map(|_| text)
        });
        assert_eq!(text.expect("it was flushed"), "with the thread");
    });
    // In a panic, after the run: a second one would abort the process.
    unless_it_hangs(|| {
        let (near, _far) = used_pair();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut buffer = BufWriter::with_capacity(2 << 20, near);
            buffer.write_all(&vec![0; 1 << 20]).expect("a buffer");
            while buffer.get_ref().try_write(&[0; 8_192]).is_ok() {}
            panic!("broken");
        }));
        assert_eq!(text(&*panicked.expect_err("it panics")), "broken");
    });
    // With a closure that never ran, between two fibers.
    unless_it_hangs(|| {
        let (near, _far) = used_pair();
        run(move || {
            let mut buffer = BufWriter::with_capacity(2 << 20, near);
            buffer.write_all(&vec![0; 1 << 20]).expect("a buffer");
            while buffer.get_ref().try_write(&[0; 8_192]).is_ok() {}
            drop(sched::spawn(move || drop(buffer)));
        });
    });
}

#[test]
fn a_simulated_stream_that_outlives_its_simulation() {
    let near: io::Result<TcpStream> = catch_unwind(|| {
        sched::sim::run(1, || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let near = TcpStream::connect(listener.local_addr().expect("it is bound"));
            drop(listener.accept().expect("the client"));
            KEPT.set(Some(BufWriter::new(near.expect("it listens"))));
        });
    })
    .map_or_else(
        |_| KEPT.take().expect("kept").into_inner().map_err(io::IntoInnerError::into_error),
        |()| panic!("the simulation says that it leaks"),
    );
    let mut near = near.expect("nothing was buffered");
    said("read", || near.read(&mut [0; 8])).expect_err("its network is gone");
    said("write", || near.write(b"!")).expect_err("its network is gone");
    said("wait", || near.wait_readable()).expect_err("no fiber");
    said("is_peer_gone", || near.is_peer_gone());
    run(move || {
        said("read", || near.read(&mut [0; 8])).expect_err("its network is gone");
        said("wait", || near.wait_readable()).expect_err("it is of another world");
        said("drop", move || drop(near));
    });
}
