//! Messages and frames that are too long.

use crate::common::serve;
use crate::peer::{BINARY, FIN, Peer, TEXT, frame, text, unmasked};
use straightline::websocket::{Endpoint, Error, WebSocketCounters};
use straightline::{Capacity, Request};

fn limited(endpoint: Endpoint) -> crate::common::Running {
    serve(move |request: &mut Request| {
        endpoint.upgrade(request, |mut socket| {
            while let Some(message) = socket.receive()? {
                socket.send(message.len().to_string())?;
            }
            Ok(())
        })
    })
}

#[test]
fn a_message_has_its_limit() {
    let server = limited(Endpoint::new().message_bytes(1000));
    for (length, fits) in [(999, true), (1000, true), (1001, false)] {
        let payload = vec![b'x'; length];
        let whole = frame(FIN | BINARY, &payload);
        let split = [frame(BINARY, &payload[..500]), frame(FIN, &payload[500..])].concat();
        for sent in [whole, split] {
            let mut peer = Peer::open(&server, "/");
            peer.send(sent);
            if fits {
                assert_eq!(peer.text(), length.to_string());
                peer.close();
            } else {
                assert_eq!(peer.closed(), 1009);
            }
        }
    }
    assert_eq!(WebSocketCounters::of(&server.handle).violations, 2);
}

#[test]
fn a_frame_has_its_limit() {
    let server = limited(Endpoint::new().message_bytes(1000).frame_bytes(100));
    for (length, fits) in [(99, true), (100, true), (101, false)] {
        let payload = vec![b'x'; length];
        let mut peer = Peer::open(&server, "/");
        peer.send([frame(TEXT, &payload), frame(FIN, &payload)].concat());
        if fits {
            assert_eq!(peer.text(), (2 * length).to_string());
            peer.close();
        } else {
            assert_eq!(peer.closed(), 1009);
        }
    }
}

/// The default of both.
#[test]
fn the_default_is_one_mebibyte() {
    let server = limited(Endpoint::new());
    for (length, fits) in [(1 << 20, true), ((1 << 20) + 1, false)] {
        let mut peer = Peer::open(&server, "/");
        let head = frame(FIN | BINARY, vec![0; length]);
        // The head alone shows that the frame is too long.
        peer.send(if fits { &head[..] } else { &head[..14] });
        if fits {
            assert_eq!(peer.text(), length.to_string());
            peer.close();
        } else {
            assert_eq!(peer.closed(), 1009);
        }
    }
}

#[test]
fn a_length_of_64_bits_is_refused() {
    let server = limited(Endpoint::new().message_bytes(usize::MAX));
    let mut peer = Peer::open(&server, "/");
    peer.send(b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0");
    assert_eq!(peer.closed(), 1002);
}

/// RFC 6455 section 5.2: the minimal number of bytes must be used. Another reader might take the
/// same bytes for another frame.
#[test]
fn a_length_has_no_more_bytes_than_it_needs() {
    let server = limited(Endpoint::new());
    for (length, length_bytes, fits) in [
        (0_u64, 2, false),
        (125, 2, false),
        (126, 2, true),
        (0, 8, false),
        (125, 8, false),
        (126, 8, false),
        (65_535, 8, false),
        (65_536, 8, true),
    ] {
        let bytes = length.to_be_bytes();
        let code = if length_bytes == 2 { 0xfe } else { 0xff };
        let head = [&[FIN | BINARY, code][..], &bytes[8 - length_bytes..], &[0; 4]].concat();
        let mut peer = Peer::open(&server, "/");
        peer.send(head);
        if fits {
            peer.send(vec![0; usize::try_from(length).expect("it fits into memory")]);
            assert_eq!(peer.text(), length.to_string());
            peer.close();
        } else {
            assert_eq!(peer.closed(), 1002, "{length} in {length_bytes} bytes");
        }
    }
}

/// What is received and not asked for yet counts as memory of the server.
#[test]
fn messages_that_wait_for_the_program_count_as_memory() {
    let (sender, held) = std::sync::mpsc::channel();
    let server = crate::common::serve(move |request: &mut Request| {
        let (sender, server) = (sender.clone(), request.server());
        Endpoint::new().upgrade(request, move |mut socket| {
            while socket.receive()?.is_some() {
                let _ = sender.send(server.metrics().memory_held);
            }
            Ok(())
        })
    });
    let mut peer = Peer::open(&server, "/");
    peer.send(text("some of many").repeat(1000));
    let most = held.iter().take(1000).max().expect("messages");
    assert!(most > 1000, "{most} bytes");
    peer.close();
    drop(peer);
    let is_given_back = || server.handle.metrics().memory_held == 0;
    assert!(crate::peer::eventually(is_given_back), "{}", server.handle.metrics().memory_held);
}

#[test]
fn a_frame_without_a_mask_is_refused() {
    let server = limited(Endpoint::new());
    for payload in [&b""[..], b"text"] {
        let mut peer = Peer::open(&server, "/");
        // The rest of a head with a mask, or the next frame.
        peer.send(unmasked(FIN | TEXT, payload));
        assert_eq!(peer.closed(), 1002);
    }
}

#[test]
fn the_program_gets_the_reason() {
    let (sender, reasons) = std::sync::mpsc::channel();
    let server = serve(move |request: &mut Request| {
        let sender = sender.clone();
        Endpoint::new().upgrade(request, move |mut socket| {
            sender.send(socket.receive()).expect("the test waits");
            // A second call finds the end, and not the bytes behind the fault.
            assert!(socket.receive().expect("no second failure").is_none());
            assert!(matches!(socket.send("late"), Err(Error::Closed)));
            Ok(())
        })
    });
    let mut peer = Peer::open(&server, "/");
    peer.send([text(b"\xff"), text("behind")].concat());
    assert_eq!(peer.closed(), 1007);
    let reason = reasons.recv_timeout(std::time::Duration::from_secs(30)).expect("a reason");
    let Err(Error::Violation { code, what }) = reason else { panic!("{reason:?}") };
    assert_eq!((code.number(), what), (1007, "a text that is not UTF-8"));
}

/// A message beyond what the server may use for all clients.
#[test]
fn messages_count_as_memory_of_the_server() {
    let endpoint = Endpoint::new().message_bytes(64 << 20);
    let server = crate::common::serve_with(
        |builder| builder.capacity(Capacity::default().with_memory_bytes(8 << 20)),
        move |request: &mut Request| {
            endpoint.upgrade(request, |mut socket| {
                while socket.receive()?.is_some() {}
                Ok(())
            })
        },
    );
    let mut peer = Peer::open(&server, "/");
    let message = frame(FIN | BINARY, vec![0; 32 << 20]);
    let mut stream = peer.stream.try_clone().expect("a descriptor");
    let writer = std::thread::spawn(move || {
        use std::io::Write;
        // The server stops to read.
        let _ = stream.write_all(&message);
    });
    assert_eq!(peer.closed(), 1013);
    drop(peer);
    writer.join().expect("no panic");
    assert_eq!(server.handle.counters().short_of_memory, 1);
}
