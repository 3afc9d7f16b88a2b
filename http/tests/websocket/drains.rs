//! A drain, and clients that do not read: what a conversation may still take is short.

use std::io::{self, Read};
use std::net::SocketAddr;

use crate::common::simulated::{assert_between, secs, simulated, simulated_to_its_end, time_since};
use crate::peer::{CLOSE, FIN, Peer, handshake, text};
use straightline::net::TcpStream;
use straightline::sched::{self, sim};
use straightline::websocket::{
    Endpoint, Error, SlowReceiver, WebSocket, WebSocketCounters, upgrade,
};
use straightline::{Counters, MinRate, Request, ServerHandle, Timeouts};

fn open(address: SocketAddr) -> Peer<TcpStream> {
    Peer::over(TcpStream::connect(address).expect("the server listens"), "/")
}

/// More than the buffers of both sides take.
const FLOOD: usize = 1000;

fn send_many(mut send: impl FnMut(Vec<u8>) -> Result<(), Error>) -> Result<(), Error> {
    (0..FLOOD).try_for_each(|_| send(vec![7; 64 * 1024]))
}

type Run = fn(WebSocket) -> io::Result<()>;

/// Sends, and does not receive.
fn flood(socket: &WebSocket) -> io::Result<()> {
    Ok(send_many(|message| socket.send(message))?)
}

/// Receives, while another fiber sends.
fn flood_beside(mut socket: WebSocket) -> io::Result<()> {
    let sender = socket.sender();
    let sending = sched::spawn(move || send_many(|message| sender.send(message)));
    while socket.receive()?.is_some() {}
    drop(sending.join());
    Ok(())
}

/// A drain of 60 seconds, with clients that have opened a WebSocket and do that.
fn drain(
    endpoint: &Endpoint,
    run: Run,
    meanwhile: impl Fn(&mut Peer<TcpStream>) + 'static,
) -> (Counters, WebSocketCounters) {
    let endpoint = endpoint.clone();
    let counted = std::rc::Rc::new(std::cell::Cell::new(WebSocketCounters::default()));
    let counts = std::rc::Rc::clone(&counted);
    let counters = simulated_to_its_end(
        |builder| builder.drain_timeout(secs(60)),
        move || {
            let endpoint = endpoint.clone();
            move |request: &mut Request| endpoint.upgrade(request, run)
        },
        move |address, server: &ServerHandle| {
            let mut peer = open(address);
            sched::sleep(secs(1));
            let since = sim::elapsed();
            server.shutdown();
            meanwhile(&mut peer);
            while WebSocketCounters::of(server).open > 0 {
                assert!(time_since(since) < secs(60), "it holds the drain");
                sched::sleep(secs(1));
            }
            assert_between(time_since(since), secs(4), secs(7));
            counts.set(WebSocketCounters::of(server));
        },
    );
    (counters, counted.get())
}

#[test]
fn a_client_that_reads_nothing_does_not_hold_a_drain() {
    let flood: Run = |socket| flood(&socket);
    for run in [flood, flood_beside] {
        let (counters, websockets) = drain(&Endpoint::new(), run, |_| {});
        assert_eq!((counters.force_closed, websockets.too_slow), (0, 1), "{websockets:?}");
    }
}

/// The Close frame waits behind what the client does not read.
#[test]
fn a_client_that_does_not_read_its_close_does_not_hold_a_drain() {
    let endpoint = Endpoint::new().slow_receiver(SlowReceiver::Drop).send_queue_bytes(8 << 20);
    let run = |mut socket: WebSocket| {
        send_many(|message| socket.send(message))?;
        while socket.receive()?.is_some() {}
        Ok(())
    };
    let (counters, websockets) = drain(&endpoint, run, |_| {});
    assert_eq!((counters.force_closed, websockets.too_slow), (0, 1), "{websockets:?}");
}

/// The Close frame waits behind what the client reads too slowly.
#[test]
fn a_client_that_reads_slowly_does_not_hold_a_drain() {
    let endpoint = Endpoint::new().slow_receiver(SlowReceiver::Drop).send_queue_bytes(8 << 20);
    let run = |mut socket: WebSocket| {
        send_many(|message| socket.send(message))?;
        while socket.receive()?.is_some() {}
        Ok(())
    };
    let (counters, websockets) = drain(&endpoint, run, |peer| {
        for _ in 0..8 {
            sched::sleep(secs(1) / 2);
            peer.stream.read_exact(&mut vec![0; 50_000]).expect("it is open");
        }
    });
    assert_eq!((counters.force_closed, websockets.too_slow), (0, 1), "{websockets:?}");
}

/// A client that reads all gets all, with the Close frame behind it.
#[test]
fn a_client_that_reads_gets_what_waits() {
    let counters = simulated_to_its_end(
        |builder| builder.drain_timeout(secs(60)),
        || |request: &mut Request| upgrade(request, flood_beside),
        |address, server| {
            let mut peer = open(address);
            sched::sleep(secs(1));
            server.shutdown();
            let (mut count, sent) = (0, WebSocketCounters::of(server).sent);
            let last = loop {
                match peer.next().expect("a frame") {
                    (first, _) if first == FIN | 2 => count += 1,
                    (first, payload) => break (first, payload),
                }
            };
            assert_eq!(last, (FIN | CLOSE, b"\x03\xe9".to_vec()));
            assert!(count >= sent, "{count} of {sent}");
            peer.send(crate::peer::close(1001, ""));
            assert_eq!(peer.next(), None);
        },
    );
    assert_eq!((counters.force_closed, counters.drained), (0, 1));
}

/// The client reads so many bytes each second; how long the conversation lasts, up to a thousand
/// seconds, and how often a client was too slow.
fn reads_slowly(min_rate: u64, bytes: usize) -> (u64, u64) {
    let write = MinRate::default().with_bytes_per_second(min_rate).with_grace(secs(90));
    let lasted = std::rc::Rc::new(std::cell::Cell::new((0, 0)));
    let lasts = std::rc::Rc::clone(&lasted);
    simulated_to_its_end(
        move |builder| builder.timeouts(Timeouts::default().with_write(write)),
        || |request: &mut Request| upgrade(request, |socket| flood(&socket)),
        move |address, server| {
            let stream = TcpStream::connect(address).expect("the server listens");
            let mut peer = Peer::after(stream, &handshake("/")).0;
            let since = sim::elapsed();
            let mut piece = vec![0; bytes];
            while time_since(since) < secs(1000) && WebSocketCounters::of(server).open > 0 {
                sched::sleep(secs(1));
                let _ = peer.stream.read_exact(&mut piece);
            }
            lasts.set((time_since(since).as_secs(), WebSocketCounters::of(server).too_slow));
            let _ = peer.stream.set_zero_linger();
        },
    );
    lasted.get()
}

/// As for responses. The system takes some hundred kilobytes before anything waits.
#[test]
fn a_client_has_to_read_at_the_rate_of_the_server() {
    let (lasted, too_slow) = reads_slowly(10_000, 4_000);
    assert_eq!(too_slow, 1);
    assert!((90..400).contains(&lasted), "{lasted} s");
    // A client that reads hardly anything does not even get so far.
    let (lasted, too_slow) = reads_slowly(1_000, 100);
    assert_eq!(too_slow, 1);
    assert!((30..90).contains(&lasted), "{lasted} s");
    // Room is made more rarely than each write timeout, but the client's system acknowledges.
    let (lasted, too_slow) = reads_slowly(1_000, 4_000);
    assert_eq!((lasted, too_slow), (1000, 0));
}

#[test]
fn a_conversation_in_which_nothing_waits_has_no_rate() {
    simulated(
        |builder| builder,
        || {
            |request: &mut Request| {
                upgrade(request, |mut socket| {
                    while let Some(message) = socket.receive()? {
                        socket.send(message)?;
                    }
                    Ok(())
                })
            }
        },
        |address| {
            let mut peer = open(address);
            for _ in 0..100 {
                sched::sleep(secs(20));
                peer.send(text("x"));
                assert_eq!(peer.text(), "x");
            }
            peer.close();
        },
    );
}
