//! Functions that run one body on real sockets and in simulations, and the helpers of the bodies.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use straightline_net::TcpStream;
use straightline_net::sim::{Link, network};
use straightline_sched::sim::{self, Check};
use straightline_sched::{self as sched};

/// Runs `body` on the system's sockets and in simulations.
pub(crate) fn on_both(body: impl Fn() + Clone + Send + 'static) {
    on_the_system(body.clone());
    in_simulations(body);
}

/// Runs `body` on the system's sockets.
pub(crate) fn on_the_system(body: impl Fn() + Send + 'static) {
    let (sender, receiver) = mpsc::channel();
    let runner = thread::spawn(move || {
        sched::run(body);
        let _ = sender.send(());
    });
    match receiver.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the body hangs on the system's sockets"),
        _ => runner.join().expect("the body succeeds on the system's sockets"),
    }
}

pub(crate) fn in_simulations(body: impl Fn() + Clone + 'static) {
    Check::new().seeds(10).run(body.clone());
    Check::new().seeds(20).run(move || {
        network().set_link(Link::draw(&mut sim::fork_random()));
        body();
    });
}

/// The error kind of an operation that has to fail.
pub(crate) fn kind<T>(result: io::Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("the operation should fail"),
        Err(error) => error.kind(),
    }
}

/// Waits until there is something to read, without reading it: data, the end, or an error. Returns
/// the result of a peek.
pub(crate) fn arrival(stream: &TcpStream) -> io::Result<usize> {
    stream.peek(&mut [0])
}

/// Waits until `count` bytes can be read.
pub(crate) fn arrived(stream: &TcpStream, count: usize) {
    let mut buffer = vec![0; count];
    while stream.peek(&mut buffer).expect("data") < count {
        sched::sleep(Duration::from_millis(1));
    }
}

/// Writes until a write fails.
pub(crate) fn write_until_it_fails(stream: &mut TcpStream) -> io::Error {
    loop {
        if let Err(error) = stream.write_all(b"x") {
            return error;
        }
        sched::yield_now();
    }
}

pub(crate) fn read_to_end(mut stream: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("an end");
    all
}
