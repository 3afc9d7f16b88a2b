//! A client that is watched while its handler works, and has sent more than was read, does not keep
//! the thread busy, whatever driver tells of it; and it is still noticed that the client goes away.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use straightline::sched;
use straightline::{OnDisconnect, Request, Server};

#[test]
fn unread_bytes_are_no_reason_to_look_for_ever() {
    let (tell, told) = mpsc::channel();
    let handler = move |_: &mut Request| {
        let before = sched::stats().turns;
        sched::sleep(Duration::from_millis(300));
        tell.send(sched::stats().turns - before).expect("the test listens");
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
    thread::sleep(Duration::from_millis(30)); // so that what follows is not read together with it
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let turns = told.recv_timeout(Duration::from_secs(30)).expect("the handler works");
    assert!(turns < 200, "{turns} turns in 300 ms");
    drop(client);
    // The handler ends far before its minute does, and so does the connection.
    let is_closed = || {
        let counters = handle.counters();
        counters.accepted == counters.closed
    };
    let mut looks = 0..1_000;
    while !is_closed() && looks.next().is_some() {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(is_closed(), "it was not noticed that the client has gone");
    handle.shutdown();
    running.join().unwrap().unwrap();
}
