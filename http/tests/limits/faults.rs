//! A connection may fail at any byte of either direction, in any manner: the server leaves nothing
//! behind, and its counters account for everything.
//!
//! The simulated network has room for only a few bytes at a time, so that all reads and writes are
//! short and wait.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use straightline::net::TcpStream;
use straightline::net::sim::{Link, network};
use straightline::sched::{self, sim};
use straightline::{BodyError, Counters, IntoResponse, Request, Response, Server, Timeout};

/// How a client ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Close,
    CloseWriting,
    Reset,
    /// The client does nothing for longer than the timeouts of the server.
    Stall,
}

/// What a client does.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// How many bytes of `SCRIPT` the client sends before the fault.
    sends: usize,
    /// How many bytes the client reads before the fault.
    reads: usize,
    fault: Fault,
}

/// One request of each kind, back to back.
const SCRIPT: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n\
    POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
    POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
    3;e=f\r\nabc\r\n0\r\nT: u\r\n\r\n\
    POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz\
    GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn answer(request: &mut Request) -> Result<Response, BodyError> {
    Ok(match request.path() {
        "/echo" => request.body().read_to_vec(100)?.into_response(),
        // The body is read byte by byte, so that the chunks are the same in each run.
        "/stream" => Response::stream(|request, body| {
            let mut byte = [0];
            while request.body().read(&mut byte)? > 0 {
                body.write_all(&byte)?;
                body.flush()?;
            }
            Ok(())
        }),
        "/slow" => {
            sched::sleep(Duration::from_millis(1));
            "slow".into_response()
        }
        path => path.to_owned().into_response(),
    })
}

/// Runs a server and a client with this plan. Returns what the client has read, and the counters.
fn run(plan: Plan) -> (Vec<u8>, Counters) {
    let outcome = Rc::new(RefCell::new(None));
    let result = Rc::clone(&outcome);
    sim::run(1, move || {
        let microseconds = |range: RangeInclusive<u64>| {
            Duration::from_nanos(*range.start())..=Duration::from_nanos(*range.end())
        };
        network().set_link(
            Link::default()
                .with_latency(microseconds(100..=300))
                .with_segment_bytes(1..=7)
                .with_send_buffer_bytes(16)
                .with_send_buffer_bytes_max(16)
                .with_receive_buffer_bytes(16)
                .with_short_write_chance(0.3),
        );
        let server = Server::builder().bind("127.0.0.1:0").workers(1).build(answer);
        let server = server.expect("a port");
        let address = server.local_addrs()[0].as_tcp().expect("a TCP address");
        let handle = server.handle();
        let serving = sched::spawn(|| server.run());
        let read = client(address, plan);
        handle.shutdown();
        serving.join().expect("no panic").expect("the server ends well");
        result.replace(Some((read, handle.counters())));
        // When it ends, the simulation also checks that no fibers and buffers are left.
    });
    outcome.take().expect("the simulation has run")
}

fn client(address: SocketAddr, plan: Plan) -> Vec<u8> {
    let stream = TcpStream::connect(address).expect("the server listens");
    let mut read = Vec::new();
    sched::scope(|scope| {
        let writer = scope.spawn(|| {
            // This fails if the server ends the connection first.
            let _ = (&stream).write_all(&SCRIPT.as_bytes()[..plan.sends]);
        });
        let mut bytes = (&stream).take(plan.reads as u64);
        // After a reset this returns an error.
        let reader = || drop(bytes.read_to_end(&mut read));
        if plan.sends < SCRIPT.len() {
            // The client reads while it sends, and afterwards as long as its connection exists.
            let patience = match plan.fault {
                Fault::Stall => Duration::from_secs(600),
                _ => Duration::from_millis(5),
            };
            let _ = sched::deadline(patience, reader);
        } else {
            let _ = sched::deadline(Duration::from_secs(1), reader);
            if plan.fault == Fault::Stall {
                sched::sleep(Duration::from_secs(600));
            }
        }
        writer.cancel();
    });
    match plan.fault {
        Fault::Reset => stream.set_zero_linger().expect("an open socket"),
        Fault::CloseWriting => {
            // The server may have closed it already.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = sched::deadline(Duration::from_secs(5), || (&stream).read_to_end(&mut read));
        }
        Fault::Close | Fault::Stall => {}
    }
    drop(stream);
    // The server has to notice the fault before it is stopped.
    sched::sleep(Duration::from_secs(5));
    read
}

fn assert_all_is_accounted_for(plan: Plan, counters: &Counters) {
    assert_eq!((counters.accepted, counters.closed), (1, 1), "{plan:?}: {counters:?}");
    assert_eq!(
        (counters.requests, counters.in_flight),
        (counters.answered + counters.unanswered, 0),
        "{plan:?}: {counters:?}"
    );
    assert_eq!((counters.panicked, counters.force_closed), (0, 0), "{plan:?}: {counters:?}");
}

fn whole() -> Vec<u8> {
    let plan = Plan { sends: SCRIPT.len(), reads: usize::MAX, fault: Fault::Close };
    let (read, counters) = run(plan);
    assert_all_is_accounted_for(plan, &counters);
    assert_eq!((counters.requests, counters.answered), (5, 5));
    assert!(read.ends_with(b"\r\n\r\nslow"), "{}", read.escape_ascii());
    read
}

#[test]
fn nothing_is_left_wherever_a_request_ends_early() {
    let whole = whole();
    for fault in [Fault::Close, Fault::CloseWriting, Fault::Reset, Fault::Stall] {
        for sends in 0..SCRIPT.len() {
            let plan = Plan { sends, reads: usize::MAX, fault };
            let (read, counters) = run(plan);
            assert_all_is_accounted_for(plan, &counters);
            // The client has read a prefix of the usual responses, and perhaps a refusal after it.
            let common = read.iter().zip(&whole).take_while(|(one, other)| one == other).count();
            let rest = read[common..].escape_ascii().to_string();
            let is_late = counters.timed_out(Timeout::Head) + counters.timed_out(Timeout::Body) > 0;
            if !rest.is_empty() {
                assert!(is_late || fault == Fault::CloseWriting, "{plan:?}: {rest}");
            }
            if fault == Fault::Stall {
                assert!(
                    is_late || counters.timed_out(Timeout::Idle) == 1,
                    "{plan:?}: {counters:?}"
                );
            }
        }
    }
}

#[test]
fn nothing_is_left_wherever_a_response_ends_early() {
    let whole = whole();
    for fault in [Fault::Close, Fault::Reset, Fault::Stall] {
        for reads in 0..whole.len() {
            let plan = Plan { sends: SCRIPT.len(), reads, fault };
            let (read, counters) = run(plan);
            assert_all_is_accounted_for(plan, &counters);
            assert!(read == whole[..reads], "{plan:?}: {}", read.escape_ascii());
        }
    }
}
