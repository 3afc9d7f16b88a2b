//! A client is watched while its handler works, and it has sent bytes that are not read yet. With
//! either driver, this does not keep the thread busy, and the server still notices when the client
//! goes away.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use straightline::sched;
use straightline::{OnDisconnect, Request, Server};

#[test]
fn unread_bytes_are_no_reason_to_look_for_ever() {
    let (sender, receiver) = mpsc::channel();
    let handler = move |_: &mut Request| {
        let before = sched::stats().turns;
        sched::sleep(Duration::from_millis(300));
        sender.send(sched::stats().turns - before).expect("the test listens");
        sched::sleep(Duration::from_secs(60)); // the client goes away meanwhile
        "never sent"
    };
    let server = Server::builder().bind("127.0.0.1:0").workers(1).drain_timeout(Duration::ZERO);
    let server = server.on_disconnect(OnDisconnect::Cancel).build(handler).unwrap();
    let (handle, address) = (server.handle(), server.local_addrs()[0].to_string());
    let running = thread::spawn(move || server.run());
    let mut client = TcpStream::connect(&address).unwrap();
    client.set_nodelay(true).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(30)); // so that the two requests are read apart
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let turns = receiver.recv_timeout(Duration::from_secs(30)).expect("the handler works");
    assert!(turns < 200, "{turns} turns in 300 ms");
    drop(client);
    // The handler is cancelled long before its minute is over, and the connection ends.
    let is_closed = || {
        let counters = handle.counters();
        counters.accepted == counters.closed
    };
    let mut looks = 0..1_000;
    while !is_closed() && looks.next().is_some() {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(is_closed(), "the server did not notice that the client has gone");
    handle.shutdown();
    running.join().unwrap().unwrap();
}
