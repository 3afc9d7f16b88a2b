//! A client that reads steadily keeps the bounds on slow readers, however much the kernel buffers
//! for it, and however seldom the kernel reports room. A client that stops reading is cut. A client
//! that reads nothing holds little memory.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use crate::common::{Client, Running, serve_with};
use straightline::net::TcpStream;
use straightline::net::sim::{Link, network};
use straightline::sched::sim;
use straightline::{MinRate, Request, Response, Server, ServerBuilder, Timeout, Timeouts, sched};

const BODY_BYTES: usize = 16 << 20;

fn request() -> &'static [u8] {
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
}

/// Timeouts of about a second, because these tests run in real time.
fn impatient() -> Timeouts {
    let pace = MinRate::default().with_idle(Duration::from_secs(1)).with_bytes_per_second(20_000);
    Timeouts::default().with_write(pace.with_grace(Duration::from_secs(2)))
}

/// Reads 800 kB a second in pieces, for longer than every bound.
fn read_steadily(server: &Running) {
    let mut client = Client::connect(server.address);
    client.send(request());
    let mut piece = vec![0; 16 << 10];
    for _ in 0..160 {
        client.stream.read_exact(&mut piece).expect("the response goes on");
        thread::sleep(Duration::from_millis(20)); // this is what a slow client does
    }
    assert_eq!(server.handle.counters().timed_out(Timeout::Write), 0);
    assert_eq!(server.handle.counters().timed_out(Timeout::WriteRate), 0);
}

fn server(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Running {
    serve_with(
        |builder| configure(builder.timeouts(impatient()).drain_timeout(Duration::ZERO)),
        |_: &mut Request| vec![7; BODY_BYTES],
    )
}

#[test]
fn a_steady_reader_is_not_cut() {
    read_steadily(&server(|builder| builder));
}

#[test]
fn a_steady_reader_is_not_cut_however_much_the_kernel_buffers() {
    read_steadily(&server(|builder| builder.notsent_lowat(None)));
}

#[test]
fn a_steady_reader_of_a_file_is_not_cut() {
    let path = std::env::temp_dir().join(format!("straightline-slow-{}", std::process::id()));
    fs::write(&path, vec![7; BODY_BYTES]).expect("room on the disk");
    let server = serve_with(
        |builder| {
            let builder = builder.timeouts(impatient()).drain_timeout(Duration::ZERO);
            builder.notsent_lowat(None)
        },
        {
            let path = path.clone();
            move |_: &mut Request| {
                let file = File::open(&path).expect("it is there");
                Response::file(file).expect("it is a file")
            }
        },
    );
    read_steadily(&server);
    let _ = fs::remove_file(&path);
}

#[test]
fn a_steady_reader_on_a_unix_socket_is_not_cut() {
    let name = format!("straightline-slow-{}.sock", std::process::id());
    let path = std::env::temp_dir().join(name);
    let server = Server::builder().bind(&*path).workers(1).timeouts(impatient());
    let server = server.drain_timeout(Duration::ZERO).build(|_: &mut Request| vec![7; BODY_BYTES]);
    let server = server.expect("a free path");
    let handle = server.handle();
    let running = thread::spawn(move || server.run());
    let mut client = UnixStream::connect(&path).expect("the server listens");
    client.write_all(request()).expect("the server reads");
    // 80 kB a second. On a Unix socket, the kernel reports room when three quarters of 208 KiB are
    // free.
    for _ in 0..100 {
        client.read_exact(&mut [0; 4_000]).expect("the response goes on");
        thread::sleep(Duration::from_millis(50)); // this is what a slow client does
    }
    assert_eq!(handle.counters().timed_out(Timeout::Write), 0);
    handle.shutdown();
    running.join().expect("no panic").expect("a good end");
}

/// How many bytes the kernel has still to send on all connections of `port`.
#[cfg(target_os = "linux")]
fn queued(port: u16) -> u64 {
    let table = fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
    let of_line = |line: &str| {
        let mut fields = line.split_whitespace();
        let local = fields.nth(1)?.split_once(':')?.1;
        let queue = fields.nth(2)?.split_once(':')?.0;
        let is_it = u16::from_str_radix(local, 16).ok()? == port;
        is_it.then(|| u64::from_str_radix(queue, 16).ok()).flatten()
    };
    table.lines().filter_map(of_line).sum()
}

#[test]
#[cfg(target_os = "linux")]
fn clients_that_read_nothing_hold_little() {
    const CLIENTS: u64 = 20;
    let server = serve_with(
        |builder| builder.drain_timeout(Duration::ZERO),
        |_: &mut Request| vec![7; BODY_BYTES],
    );
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(request());
    }
    // Each client has its first byte. Wait until the kernel takes no more bytes of the responses.
    for client in &mut clients {
        client.stream.peek(&mut [0]).expect("a response");
    }
    let (mut before, mut same) = (0, 0);
    while same < 20 {
        thread::sleep(Duration::from_millis(10));
        let now = queued(server.address.port());
        same = if now == before { same + 1 } else { 0 };
        before = now;
    }
    assert!(before > 0 && before < CLIENTS * (512 << 10), "{before} bytes");
}

/// Runs a simulated `client` of a server with the default timeouts.
fn simulated(configure: fn(ServerBuilder) -> ServerBuilder, client: fn(TcpStream)) {
    sim::run(1, move || {
        network().set_link(Link::default().with_receive_buffer_bytes(64 << 10));
        let builder = configure(Server::builder().bind("10.0.0.1:80").workers(1));
        let server = builder.drain_timeout(Duration::ZERO).build(|_: &mut Request| {
            Response::stream(|_, body| {
                loop {
                    body.write_all(&[7; 16 << 10])?;
                }
            })
        });
        let server = server.expect("a free port");
        let handle = server.handle();
        let running = sched::spawn(move || server.run());
        let address: SocketAddr = "10.0.0.1:80".parse().expect("an address");
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.write_all(request()).expect("the server reads");
        client(stream);
        handle.shutdown();
        running.join().expect("no panic").expect("a good end");
    });
}

/// Reads 20 kB a second for `time`. That is 83 times the rate that the server requires.
fn read_slowly(stream: &mut TcpStream, time: Duration) -> io::Result<()> {
    let until = sched::now() + time;
    while sched::now() < until {
        stream.read_exact(&mut [0; 2_000])?;
        sched::sleep(Duration::from_millis(100));
    }
    Ok(())
}

#[test]
fn a_steady_reader_is_not_cut_in_a_simulation() {
    let reads = |mut stream: TcpStream| {
        read_slowly(&mut stream, Duration::from_secs(400)).expect("the response goes on");
    };
    simulated(|builder| builder, reads);
    simulated(|builder| builder.notsent_lowat(None), reads);
}

#[test]
fn a_reader_that_stops_is_cut_in_its_time() {
    fn stops(mut stream: TcpStream) {
        read_slowly(&mut stream, Duration::from_secs(200)).expect("the response goes on");
        let stopped = sched::now();
        // The client's kernel still takes, at once, the bytes for which it has room.
        while !stream.is_peer_gone() {
            sched::sleep(Duration::from_millis(10));
        }
        let waited = sched::now() - stopped;
        // The idle timeout, and at most a sixteenth of it more on each side of the last byte.
        assert!(waited > Duration::from_secs(58), "{waited:?}");
        assert!(waited < Duration::from_secs(68), "{waited:?}");
    }
    simulated(|builder| builder, stops);
    simulated(|builder| builder.notsent_lowat(None), stops);
}

#[test]
fn a_reader_that_always_takes_a_little_too_little_is_cut() {
    fn dawdles(mut stream: TcpStream) {
        let start = sched::now();
        // The client's kernel acknowledges room only when half of its buffer is free, so the
        // buffer is small here.
        while stream.read(&mut [0; 100]).is_ok_and(|count| count > 0) {
            sched::sleep(Duration::from_secs(1));
            let took = sched::now() - start;
            assert!(took < Duration::from_secs(3_600), "it goes on for ever");
        }
    }
    sim::run(1, || {
        network().set_link(
            Link::default()
                .with_send_buffer_bytes(2_000)
                .with_send_buffer_bytes_max(2_000)
                .with_receive_buffer_bytes(1_000),
        );
        let server = Server::builder().bind("10.0.0.1:80").workers(1);
        let server = server.build(|_: &mut Request| vec![7; BODY_BYTES]).expect("a free port");
        let handle = server.handle();
        let running = sched::spawn(move || server.run());
        let mut stream = TcpStream::connect("10.0.0.1:80").expect("the server listens");
        stream.write_all(request()).expect("the server reads");
        dawdles(stream);
        assert_eq!(handle.counters().timed_out(Timeout::WriteRate), 1);
        handle.shutdown();
        running.join().expect("no panic").expect("a good end");
    });
}
