//! Clients that read slowly, or not at all.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

use crate::common::{Running, serve};
use crate::peer::{BINARY, FIN, PING, PONG, Peer, eventually, frame, text};
use straightline::sched;
use straightline::websocket::{
    Endpoint, Error, Sender, SlowReceiver, WebSocket, WebSocketCounters,
};
use straightline::{Bytes, Request};

const PATIENCE: Duration = Duration::from_secs(30);

fn serve_with(
    endpoint: Endpoint,
    run: impl Fn(WebSocket) -> io::Result<()> + Clone + Send + Sync + 'static,
) -> Running {
    serve(move |request: &mut Request| endpoint.upgrade(request, run.clone()))
}

fn piece() -> Bytes {
    Bytes::from(vec![7; 64 * 1024])
}

/// Sends until that fails, with a fiber that receives as well.
fn flood(socket: &WebSocket, count: usize) -> Result<(), Error> {
    send_many(&socket.sender(), count)
}

fn send_many(sender: &Sender, count: usize) -> Result<(), Error> {
    (0..count).try_for_each(|_| sender.send(piece()))
}

#[test]
fn a_message_is_dropped_for_a_client_that_does_not_read() {
    let (sender, ended) = mpsc::channel();
    let endpoint = Endpoint::new().slow_receiver(SlowReceiver::Drop).close_timeout(Duration::ZERO);
    let server = serve_with(endpoint, move |socket| {
        sender.send(flood(&socket, 1000)).expect("the test waits");
        Ok(())
    });
    let peer = Peer::open(&server, "/");
    let result = ended.recv_timeout(PATIENCE).expect("a sender that never waits");
    assert!(result.is_ok(), "{result:?}");
    let counters = WebSocketCounters::of(&server.handle);
    assert_eq!(counters.sent + counters.dropped, 1000);
    assert!(counters.dropped > 0, "64 MB do not fit into the buffers of a socket");
    drop(peer);
}

#[test]
fn a_client_that_does_not_read_is_disconnected() {
    let (sender, ended) = mpsc::channel();
    let endpoint = Endpoint::new().slow_receiver(SlowReceiver::Disconnect);
    let server = serve_with(endpoint, move |mut socket| {
        let others = socket.sender();
        let sending = sched::spawn(move || send_many(&others, 1000));
        let received = socket.receive(); // ends although the client says nothing
        let sent = sending.join().expect("no panic");
        sender.send((received, sent)).expect("the test waits");
        Ok(())
    });
    let peer = Peer::open(&server, "/");
    let (received, sent) = ended.recv_timeout(PATIENCE).expect("an end");
    assert!(matches!(received, Err(Error::TooSlow)), "{received:?}");
    assert!(matches!(sent, Err(Error::TooSlow)), "{sent:?}");
    assert_eq!(WebSocketCounters::of(&server.handle).too_slow, 1);
    drop(peer);
}

#[test]
fn a_sender_waits_for_a_client_that_reads_late() {
    let server = serve_with(Endpoint::new(), |socket| Ok(flood(&socket, 300)?));
    let mut peer = Peer::open(&server, "/");
    // The sender has to wait before anything is read: the buffers have no room for 19 MB.
    assert!(eventually(|| WebSocketCounters::of(&server.handle).sent >= 2));
    for _ in 0..300 {
        let (first, payload) = peer.next().expect("a message");
        assert!(first == FIN | BINARY && payload == piece());
    }
    assert_eq!(WebSocketCounters::of(&server.handle).dropped, 0);
    assert_eq!(peer.next().map(|(_, payload)| payload), Some(b"\x03\xe8".to_vec()));
}

#[test]
fn a_client_that_takes_nothing_ends_with_the_write_timeout() {
    let (sender, ended) = mpsc::channel();
    let endpoint = Endpoint::new().write_timeout(Duration::from_millis(50));
    let server = serve_with(endpoint, move |mut socket| {
        let others = socket.sender();
        let sending = sched::spawn(move || send_many(&others, 1000));
        let received = socket.receive();
        let sent = sending.join().expect("no panic");
        sender.send((received, sent)).expect("the test waits");
        Ok(())
    });
    let peer = Peer::open(&server, "/");
    let (received, sent) = ended.recv_timeout(PATIENCE).expect("an end");
    assert!(matches!(received, Err(Error::WriteTimeout(_))), "{received:?}");
    assert!(matches!(sent, Err(Error::WriteTimeout(_))), "{sent:?}");
    drop(peer);
}

/// The queue's bound, with a client that reads nothing: what is sent behind what the socket takes
/// is at most the bound, or one long message.
#[test]
fn the_queue_is_bounded() {
    for (length, most) in [(1000, 65), (60_000, 1), (65_000, 1), (100_000, 1)] {
        let (sender, counts) = mpsc::channel();
        let endpoint = Endpoint::new()
            .slow_receiver(SlowReceiver::Drop)
            .close_timeout(Duration::ZERO)
            .send_queue_bytes(64 * 1024);
        let server = serve_with(endpoint, move |socket| {
            for _ in 0..200 {
                socket.send(piece())?; // the buffers of the socket are full after some of these
            }
            for _ in 0..100 {
                socket.send(vec![0; length])?;
            }
            sender.send(()).expect("the test waits");
            Ok(())
        });
        let peer = Peer::open(&server, "/");
        counts.recv_timeout(PATIENCE).expect("a sender that never waits");
        let counters = WebSocketCounters::of(&server.handle);
        assert!(counters.dropped >= 100 - most, "{length}: {counters:?}");
        drop(peer);
    }
}

/// A client that sends Pings and reads nothing costs one Pong. The server goes on reading, and the
/// memory that the server counts stays flat.
#[test]
fn pings_of_a_client_that_does_not_read_stay_flat() {
    let server = serve_with(Endpoint::new(), |mut socket| {
        while socket.receive()?.is_some() {}
        Ok(())
    });
    let mut peer = Peer::open(&server, "/");
    let pings: Vec<u8> =
        (0..500).flat_map(|nth: u16| frame(FIN | PING, nth.to_be_bytes().repeat(60))).collect();
    let mut most = 0;
    // 126 bytes of Pong for each: 32 MB of Pongs, if they were kept.
    for _ in 0..500 {
        peer.send(&pings);
        most = most.max(server.handle.metrics().memory_held);
    }
    assert!(most < 256 * 1024, "{most} bytes are held");
    // Now it reads: every Pong that comes is that of some Ping, and the newest is among them.
    peer.send(text("end").as_slice());
    let mut last = None;
    peer.send(crate::peer::close(1000, ""));
    while let Some((first, payload)) = peer.next() {
        if first == FIN | PONG {
            last = Some(payload);
        }
    }
    assert_eq!(last, Some(499_u16.to_be_bytes().repeat(60)));
}

#[test]
fn a_reader_and_a_writer_share_a_socket() {
    let server = serve_with(Endpoint::new(), |mut socket| {
        let sender = socket.sender();
        sched::scope(|scope| {
            let writer = scope.spawn(move || send_many(&sender, 200));
            let mut bytes = 0;
            while bytes < 200 * 64 * 1024 {
                bytes += socket.receive()?.map_or(usize::MAX / 2, |message| message.len());
            }
            writer.join().expect("no panic")?;
            socket.send(bytes.to_string())?;
            Ok(())
        })
    });
    let mut peer = Peer::open(&server, "/");
    let mut stream = peer.stream.try_clone().expect("a descriptor");
    let writer = std::thread::spawn(move || {
        use std::io::Write;
        for _ in 0..200 {
            stream.write_all(&frame(FIN | BINARY, piece())).expect("the server reads");
        }
    });
    for _ in 0..200 {
        assert!(peer.next().expect("a message").1 == piece());
    }
    assert_eq!(peer.text(), (200 * 64 * 1024).to_string());
    writer.join().expect("no panic");
    assert_eq!(peer.closed_after_ours(), 1000);
}

/// A message is whole also if its sender was unwound while it waited for room.
#[test]
fn a_sender_past_its_deadline_has_sent_all_or_nothing() {
    let server = serve_with(Endpoint::new(), |socket| {
        let mut sent = 0_u32;
        for _ in 0..400 {
            let in_time = sched::deadline(Duration::from_millis(1), || socket.send(piece()));
            if let Ok(result) = in_time {
                result?;
                sent += 1;
            }
        }
        socket.send(sent.to_string())?;
        Ok(())
    });
    let mut peer = Peer::open(&server, "/");
    let mut count = 0;
    let told = loop {
        match peer.next().expect("a message") {
            (first, payload) if first == FIN | BINARY => {
                assert!(payload == piece());
                count += 1;
            }
            (_, payload) => break String::from_utf8(payload).expect("UTF-8"),
        }
    };
    assert_eq!(told, count.to_string());
}
