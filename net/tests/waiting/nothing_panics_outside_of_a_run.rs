//! A socket may be used outside of its run: after the run, in a later run, on another thread, or in
//! a destructor. An operation that needs no wait succeeds. Every other operation returns an error
//! and does not panic.

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
    sched::run(body)
}

/// The two ends of a TCP connection. A fiber has waited for both of them in a run.
fn used_pair() -> (TcpStream, TcpStream) {
    run(|| {
        let (near, far) = tcp_pair();
        (&near).write_all(b"!").expect("there is room");
        let _ = (&far).read(&mut [0]).expect("a byte");
        (near, far)
    })
}

/// Returns the result of the operation, which must not panic.
fn without_panic<T>(name: &str, operation: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(operation))
        .unwrap_or_else(|payload| panic!("{name}: {}", text(&*payload)))
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let known = payload.downcast_ref::<&str>().copied();
    known.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}

/// Calls every operation of a stream without data to read and with room to write, and then of a
/// stream without either.
macro_rules! try_all {
    ($stream:expr) => {{
        let mut stream = $stream;
        let file = std::fs::File::open("/proc/self/exe")
            .or_else(|_| std::fs::File::open(std::env::current_exe()?))
            .expect("this program");
        let block = vec![0; 1 << 20];
        for round in 0..2 {
            let name = |name: &str| format!("{name}, round {round}");
            without_panic(&name("read"), || stream.read(&mut [0; 8])).expect_err("nothing to read");
            without_panic(&name("read_vectored"), || {
                stream.read_vectored(&mut [IoSliceMut::new(&mut [0; 8])])
            })
            .expect_err("nothing to read");
            without_panic(&name("try_read"), || stream.try_read(&mut [0; 8]))
                .expect_err("nothing to read");
            without_panic(&name("is_drained"), || stream.is_drained());
            without_panic(&name("wait_readable"), || stream.wait_readable()).expect_err("no fiber");
            without_panic(&name("arm"), || stream.arm(Interest::Read)).expect_err("no fiber");
            let at = Some(Instant::now() + Duration::from_secs(3_600));
            without_panic(&name("wait_until"), || stream.wait_until(Interest::Write, at))
                .expect_err("no fiber");
            without_panic(&name("is_peer_gone"), || assert!(!stream.is_peer_gone()));
            without_panic(&name("join_set"), || stream.join_set(&StreamSet::new()));
            without_panic(&name("set_read_timeout"), || {
                stream.set_read_timeout(Some(Duration::from_secs(1)))
            })
            .expect("no waiting");
            without_panic(&name("read in time"), || stream.read(&mut [0; 8]))
                .expect_err("nothing to read");
            let _ = without_panic(&name("local_addr"), || stream.local_addr());
            let _ = without_panic(&name("peer_addr"), || stream.peer_addr());
            without_panic(&name("flush"), || stream.flush()).expect("nothing to do");
            let written = [
                without_panic(&name("write"), || stream.write(b"12345678")),
                without_panic(&name("write_vectored"), || {
                    stream.write_vectored(&[IoSlice::new(b"12")])
                }),
                without_panic(&name("try_write"), || stream.try_write(b"12345678")),
                without_panic(&name("try_write_vectored"), || {
                    stream.try_write_vectored(&[IoSlice::new(b"12345678")])
                }),
                without_panic(&name("send_file"), || stream.send_file(&file, 0, 8)),
                without_panic(&name("try_send_file"), || stream.try_send_file(&file, 0, 8)),
            ];
            for written in written {
                assert_eq!(written.is_ok(), round == 0, "{written:?}");
            }
            // Fills the stream, so that from here on it has no room.
            while stream.try_write(&block).is_ok() {}
            without_panic(&name("write_all"), || stream.write_all(&block))
                .expect_err("there is no room");
            // A `BufWriter` does not panic either when it is dropped.
            without_panic(&name("a buffer's drop"), || {
                let mut buffer = BufWriter::new(&mut stream);
                buffer.write_all(b"buffered").expect("a buffer");
                drop(buffer);
            });
        }
        without_panic("shutdown", || stream.shutdown(Shutdown::Both)).expect("an open stream");
        without_panic("read the end", || stream.read(&mut [0; 8])).expect("an end");
        without_panic("drop", move || drop(stream));
    }};
}

#[test]
fn the_streams_of_a_past_run() {
    unless_it_hangs(|| {
        let (near, _far) = used_pair();
        try_all!(near);
        let (near, _far) = run(|| UnixStream::pair().expect("a pair"));
        try_all!(near);
        // The same with streams that no fiber has ever waited for.
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
        // The data may take a moment to arrive, and a read outside of a fiber does not wait.
        while far.peek(&mut text).is_err() {}
        far.read_exact(&mut text).expect("the data has arrived");
        assert_eq!(&text, b"after the run");
        // The data that a drop flushes arrives.
        let mut buffer = BufWriter::new(near);
        buffer.write_all(b"farewell").expect("a buffer");
        drop(buffer);
        let mut text = String::new();
        while far.peek(&mut [0]).is_err() {}
        let _ = far.read_to_string(&mut text); // the end may not have arrived yet
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
        without_panic("accept", || tcp.accept()).expect_err("no client comes");
        without_panic("try_accept", || tcp.try_accept()).expect_err("no client comes");
        without_panic("wait_readable", || tcp.wait_readable()).expect_err("no fiber");
        let address = tcp.local_addr().expect("the socket is bound");
        let _ = without_panic("connect", || TcpStream::connect(address));
        let by_name = ("localhost", address.port());
        let _ = without_panic("connect by name", || TcpStream::connect(by_name));
        let in_time = Duration::from_secs(1);
        let _ = without_panic("connect in time", || TcpStream::connect_timeout(&address, in_time));
        let _ = without_panic("lookup_host", || lookup_host(("localhost", 1)).map(drop));
        without_panic("unix accept", || unix.accept()).expect_err("no client comes");
        without_panic("unix try_accept", || unix.try_accept()).expect_err("no client comes");
        without_panic("unix wait_readable", || unix.wait_readable()).expect_err("no fiber");
        let mut clients = Vec::new();
        while let Ok(client) = without_panic("unix connect", || UnixStream::connect(&*path)) {
            clients.push(client); // until the queue is full
            assert!(clients.len() < 10_000);
        }
        without_panic("unix accept", || unix.accept()).expect("the clients wait");
        let here = udp.local_addr().expect("the socket is bound");
        without_panic("recv", || udp.recv(&mut [0; 8])).expect_err("nothing comes");
        without_panic("recv_from", || udp.recv_from(&mut [0; 8])).expect_err("nothing comes");
        without_panic("peek", || udp.peek(&mut [0; 8])).expect_err("nothing comes");
        without_panic("peek_from", || udp.peek_from(&mut [0; 8])).expect_err("nothing comes");
        without_panic("try_recv", || udp.try_recv(&mut [0; 8])).expect_err("nothing comes");
        without_panic("udp wait_readable", || udp.wait_readable()).expect_err("no fiber");
        without_panic("udp connect", || udp.connect(here)).expect("an address");
        without_panic("send", || udp.send(b"1")).expect("there is room");
        without_panic("send_to", || udp.send_to(b"1", here)).expect("there is room");
        let _ = without_panic("send_to a name", || udp.send_to(b"1", ("localhost", here.port())));
        without_panic("recv", || udp.recv(&mut [0; 8])).expect("the datagram has arrived");
    });
}

#[test]
fn a_stream_of_an_earlier_run_answers_for_itself_in_a_later_one() {
    unless_it_hangs(|| {
        let (mut near, mut far) = used_pair();
        run(move || {
            // In this run other streams have the keys that the two streams had in the earlier run.
            let pairs: Vec<_> = (0..8).map(|_| UnixStream::pair().expect("a pair")).collect();
            for (one, other) in pairs {
                drop(other);
                one.wait_readable().expect("the end comes");
                assert!(one.is_peer_gone());
                assert!(!near.is_peer_gone() && !far.is_peer_gone());
            }
            far.write_all(b"later").expect("there is room");
            let mut text = [0; 5];
            near.read_exact(&mut text).expect("the data arrives");
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
        assert_eq!(text.expect("the buffer was flushed"), "with the thread");
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
        assert_eq!(text(&*panicked.expect_err("a panic")), "broken");
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
            let near = TcpStream::connect(listener.local_addr().expect("the socket is bound"));
            drop(listener.accept().expect("the client"));
            KEPT.set(Some(BufWriter::new(near.expect("the listener is open"))));
        });
    })
    .map_or_else(
        |_| KEPT.take().expect("kept").into_inner().map_err(io::IntoInnerError::into_error),
        |()| panic!("the simulation says that it leaks"),
    );
    let mut near = near.expect("nothing was buffered");
    without_panic("read", || near.read(&mut [0; 8])).expect_err("its network is gone");
    without_panic("write", || near.write(b"!")).expect_err("its network is gone");
    without_panic("wait", || near.wait_readable()).expect_err("no fiber");
    without_panic("is_peer_gone", || near.is_peer_gone());
    run(move || {
        without_panic("read", || near.read(&mut [0; 8])).expect_err("its network is gone");
        without_panic("wait", || near.wait_readable())
            .expect_err("its network belongs to a simulation");
        without_panic("drop", move || drop(near));
    });
}
