//! Upstreams that speak raw bytes: on real sockets, each connection with a thread of its own, and
//! in a simulation.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use straightline::proxy::{Proxy, ProxyBuilder};
use straightline::sched::JoinHandle;
use straightline::{net, sched};

/// An upstream on a real socket.
pub(crate) struct Scripted {
    pub(crate) address: String,
    /// What each connection has received, when it has ended.
    pub(crate) received: Receiver<String>,
}

/// One connection of an upstream.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

/// An upstream that runs `script` for each connection; the number counts them.
pub(crate) fn scripted(script: impl Fn(&mut Peer, usize) + Send + Sync + 'static) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let (sender, received) = channel();
    let script = std::sync::Arc::new(script);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (stream, sender) = (stream.expect("a client"), sender.clone());
            let script = std::sync::Arc::clone(&script);
            thread::spawn(move || {
                stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
                let mut peer = Peer { stream, received: Vec::new() };
                script(&mut peer, number);
                let text = String::from_utf8_lossy(&peer.received).into_owned();
                drop(peer);
                let _ = sender.send(text); // the test may be over
            });
        }
    });
    Scripted { address, received }
}

impl Peer {
    /// Reads until the bytes since the last call end with `end`; false if the connection ends
    /// first.
    pub(crate) fn read_until(&mut self, end: &str) -> bool {
        let from = self.received.len();
        let mut byte = [0];
        while !self.received[from..].ends_with(end.as_bytes()) {
            match self.stream.read(&mut byte) {
                Ok(1) => self.received.push(byte[0]),
                _ => return false,
            }
        }
        true
    }

    pub(crate) fn read_head(&mut self) -> bool {
        self.read_until("\r\n\r\n")
    }

    /// Reads until the connection ends.
    pub(crate) fn read_to_end(&mut self) {
        let _ = self.stream.read_to_end(&mut self.received);
    }

    /// Writes, if the proxy is still there.
    pub(crate) fn write(&mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes());
    }

    /// Says that nothing more comes, and waits until the proxy has closed.
    pub(crate) fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        self.read_to_end();
    }
}

/// A proxy in front of one upstream, whose events are dropped.
pub(crate) fn proxy_to(address: &str) -> Proxy {
    quiet(Proxy::builder().upstream(address))
}

pub(crate) fn quiet(builder: ProxyBuilder) -> Proxy {
    builder.observer(|_| {}).build().expect("a good proxy")
}

/// An upstream in a simulation: `script` runs on a fiber for each connection. It ends when the
/// value is dropped.
pub(crate) struct SimulatedUpstream(Option<JoinHandle<()>>);

pub(crate) fn simulated_upstream(
    address: &str,
    script: impl Fn(net::TcpStream, usize) + 'static,
) -> SimulatedUpstream {
    let listener = net::TcpListener::bind(address).expect("a free address");
    SimulatedUpstream(Some(sched::spawn(move || {
        sched::scope(|scope| {
            for number in 0.. {
                let (stream, _) = listener.accept().expect("a client");
                let script = &script;
                scope.spawn(move || script(stream, number));
            }
        });
    })))
}

impl Drop for SimulatedUpstream {
    fn drop(&mut self) {
        if let Some(fiber) = self.0.take() {
            fiber.cancel();
            let _ = fiber.join();
        }
    }
}

/// Reads a head from a stream; `None` if it ends first.
pub(crate) fn read_head(stream: &mut impl Read) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    String::from_utf8(head).ok()
}

/// Answers every request of a connection.
pub(crate) fn answer_all(mut stream: net::TcpStream, text: &str) {
    while read_head(&mut stream).is_some() {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
