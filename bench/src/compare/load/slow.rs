//! Clients in the background that send a request's head byte by byte.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use straightline::net::TcpStream;
use straightline::sched;

/// Starts the clients. They go on until the scheduler cancels them.
///
/// A server may close such a connection whenever it likes, and its client then begins again: what
/// is measured is the work of the others.
pub(super) fn spawn(server: SocketAddr) -> io::Result<()> {
    for nth in 0..CLIENTS {
        sched::FiberBuilder::new().spawn(move || {
            // So that not all send at the same moment.
            sched::sleep(PAUSE * nth / CLIENTS);
            loop {
                // What happens to a slow client is not counted.
                let _ = send_slowly(server);
                sched::sleep(PAUSE);
            }
        })?;
    }
    Ok(())
}

fn send_slowly(server: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    let path = crate::serve::PATH;
    let request = format!("GET {path} HTTP/1.1\r\nHost: slow\r\nX-Padding: {:a>99}\r\n\r\n", "");
    for byte in request.as_bytes() {
        stream.write_all(&[*byte])?;
        sched::sleep(PAUSE);
    }
    stream.read(&mut [0; 512]).map(drop)
}

/// Arbitrary: more than the fast clients, and fewer than what a server refuses.
const CLIENTS: u32 = 500;

/// With this pause a head takes seconds, as it does from a poor line.
const PAUSE: Duration = Duration::from_millis(50);
