//! Uploads through a proxy while the network fails in every way.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use straightline::net::TcpStream;
use straightline::net::sim::network;
use straightline::proxy::{Proxy, ProxyTimeouts};
use straightline::sched::{self, sim};
use straightline::{Request, Response, Server};

use crate::common::simulated::secs;
use crate::scripted::quiet;

const UPSTREAM: &str = "10.0.0.9:80";
const PROXY: &str = "10.0.0.1:80";
const BODY_BYTES: usize = 60_000;

fn body() -> Vec<u8> {
    (0..=255).cycle().take(BODY_BYTES).collect()
}

/// Sends the body back while it arrives. A body that ends well has all its bytes.
fn echo(_: &mut Request) -> Response {
    Response::stream(|request, writer| {
        let copied = request.body().copy_to(writer)?;
        assert_eq!(copied, BODY_BYTES as u64, "a cut body looks whole");
        Ok(())
    })
}

/// Uploads the body in one of the two framings, and reads the response at the same time. Returns
/// whether the response was whole.
fn upload(is_chunked: bool) -> io::Result<bool> {
    let stream = TcpStream::connect(PROXY)?;
    let mut received = Vec::new();
    let end = sched::scope(|scope| {
        let sending = scope.spawn(|| -> io::Result<()> {
            let mut writer = &stream;
            let framing = if is_chunked {
                "Transfer-Encoding: chunked".to_owned()
            } else {
                format!("Content-Length: {BODY_BYTES}")
            };
            write!(writer, "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{framing}\r\n\r\n")?;
            for piece in body().chunks(10_000) {
                if is_chunked {
                    write!(writer, "{:x}\r\n", piece.len())?;
                }
                writer.write_all(piece)?;
                if is_chunked {
                    writer.write_all(b"\r\n")?;
                }
                sched::sleep(Duration::from_millis(sched::random_u64() % 20));
            }
            if is_chunked { writer.write_all(b"0\r\n\r\n") } else { Ok(()) }
        });
        let end = (&stream).read_to_end(&mut received);
        sending.cancel();
        let _ = sending.join();
        end
    });
    let is_200 = received.starts_with(b"HTTP/1.1 200 ");
    if end.is_err() || !is_200 || !received.ends_with(b"\r\n0\r\n\r\n") {
        return Ok(false);
    }
    let head_end = received.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    assert!(decoded(&received[head_end..]) == body(), "another body");
    Ok(true)
}

/// The data of chunks that are known to be good.
fn decoded(mut chunks: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let end = chunks.windows(2).position(|two| two == b"\r\n").expect("a size line");
        let size = std::str::from_utf8(&chunks[..end]).expect("text");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            return data;
        }
        data.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[end + 2 + size + 2..];
    }
}

fn break_network() {
    let upstream: SocketAddr = UPSTREAM.parse().expect("an address");
    for _ in 0..5 {
        sched::sleep(Duration::from_millis(sched::random_u64() % 300));
        match sched::random_u64() % 4 {
            0 => drop(network().reset(upstream)),
            1 => network().vanish(upstream),
            2 => drop(network().reset(PROXY.parse().expect("an address"))),
            _ => {
                network().isolate(upstream.ip());
                sched::sleep(Duration::from_millis(sched::random_u64() % 3000));
                network().rejoin(upstream.ip());
            }
        }
    }
}

#[test]
fn an_upload_is_whole_or_does_not_look_so_whatever_the_network_does() {
    // Fewer seeds than usual: a run moves a megabyte.
    sim::Check::new().seeds(20).run(|| {
        let upstream = Server::builder().bind(UPSTREAM).workers(1).quiet();
        let upstream = upstream.build(echo).expect("a port");
        let timeouts = ProxyTimeouts::default()
            .with_connect(secs(1))
            .with_first_byte(secs(2))
            .with_write(secs(2))
            .with_body(secs(2));
        let proxy = quiet(Proxy::builder().upstream(UPSTREAM).timeouts(timeouts));
        let server = Server::builder().bind(PROXY).workers(1).quiet();
        let server = server.build(proxy.clone()).expect("a port");
        let handles = [server.handle(), upstream.handle()];
        let serving = [sched::spawn(move || server.run()), sched::spawn(move || upstream.run())];
        // Without faults all of it passes.
        for is_chunked in [true, false] {
            assert!(upload(is_chunked).expect("it connects"));
        }
        sched::scope(|scope| {
            let breaking = scope.spawn(break_network);
            for number in 0..4 {
                scope.spawn(move || {
                    for _ in 0..2 {
                        // An error is a connection that was refused or broke.
                        let _ = upload(number % 2 == 0);
                    }
                });
            }
            drop(breaking);
        });
        handles.iter().for_each(straightline::ServerHandle::shutdown);
        for serving in serving {
            serving.join().expect("no panic").expect("a good end");
        }
        assert_eq!(handles[1].counters().panicked, 0, "a cut body looked whole");
        let numbers = proxy.metrics().upstreams.remove(0);
        assert_eq!((numbers.in_flight, numbers.idle), (0, 0), "{numbers:?}");
    });
}
