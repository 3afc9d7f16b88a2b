//! Streams and upgrades where they are easily wrong: several fibers at one connection, clients that
//! close half of it or wait to be asked, deadlines that pass in the middle of a write, failures
//! after something else has left.

mod common;

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{serve, serve_with};
use straightline::sched::{self, fiber_local};
use straightline::{BodyWriter, IntoResponse, OnDisconnect, Request, Response, StatusCode};

fn post(path: &str, fields: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

/// Waits until a counter that somebody else bumps is no longer 0.
fn wait_for(counter: &AtomicU64) {
    while counter.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn one_fiber_reads_the_request_while_another_writes_the_response() {
    let server = serve(|_: &mut Request| {
        Response::stream(|request, body| {
            sched::scope(|scope| {
                let writer = scope.spawn(|| body.write_all(&vec![b'x'; 20_000_000]));
                let mut byte = [0];
                while request.body().read(&mut byte)? > 0 {}
                writer.join().expect("no panic")
            })
        })
    });
    let mut client = server.client();
    client.send(post("/", "Content-Length: 5") + "he");
    // Nobody reads the response yet, so the writer is in the middle of it.
    assert_eq!(client.receive_with(false).status, 200);
    client.send("l").send("l").send("o");
    let (Ok(body), _) = client.chunks() else { panic!("it is whole") };
    assert_eq!(body.len(), 20_000_000);
    assert_eq!(server.handle.counters().panicked, 0);
}

/// Writes numbered pieces, each as often as it takes until its deadline has not passed.
fn patient_pieces(body: &mut BodyWriter, late: &AtomicU64) -> io::Result<()> {
    for number in 0..PIECES {
        let piece = number.to_be_bytes().repeat(250);
        let write = || sched::deadline(Duration::from_millis(10), || body.write_all(&piece));
        let mut write = write;
        loop {
            match write() {
                Ok(written) => break written?,
                Err(_) => _ = late.fetch_add(1, Ordering::Relaxed),
            }
        }
    }
    Ok(())
}

/// More than a kernel takes.
const PIECES: u32 = 20_000;

fiber_local! {
    static USER: RefCell<String> = RefCell::new(String::from("nobody"));
}
