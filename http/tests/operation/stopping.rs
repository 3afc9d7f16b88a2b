//! A stop finishes requests in flight, closes idle connections, and ends in time.

use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use crate::common::{serve, serve_with};
use straightline::{Request, sched};

#[test]
fn idle_connections_are_closed_at_once() {
    let server = serve(|_: &mut Request| "served");
    let mut clients: Vec<_> = (0..50).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "served");
    }
    server.handle.shutdown();
    assert!(clients.iter_mut().all(crate::common::Client::is_at_end));
    let counters = server.join();
    assert_eq!((counters.closed, counters.force_closed, counters.aborted), (50, 0, 0));
}

#[test]
fn a_request_in_flight_is_answered_and_told_that_the_connection_ends() {
    let (sender, receiver) = mpsc::channel();
    let server = serve(move |_: &mut Request| {
        sender.send(sched::current()).unwrap();
        sched::park();
        "finished"
    });
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let handler = receiver.recv().unwrap();
    server.handle.shutdown();
    // No client can connect any more: the port is closed while the request is still in flight.
    while TcpStream::connect(server.address).is_ok() {}
    handler.unpark();
    let answer = client.receive();
    assert_eq!((answer.text(), answer.field("connection")), ("finished", Some("close")));
    assert!(client.is_at_end());
    assert_eq!(server.join().force_closed, 0);
}

#[test]
fn a_head_that_had_begun_to_arrive_is_still_served() {
    let server = serve(|_: &mut Request| "finished");
    let mut client = server.client();
    assert_eq!(client.get("/").text(), "finished");
    client.send("GET / HTTP/1.1\r\nHo");
    // The answer to a request on a newer connection shows that the server has read those bytes.
    assert_eq!(server.client().get("/").text(), "finished");
    server.handle.shutdown();
    let answer = client.ask("st: a\r\n\r\n");
    assert_eq!((answer.text(), answer.field("connection")), ("finished", Some("close")));
    assert_eq!(server.join().force_closed, 0);
}

#[test]
fn what_does_not_end_by_the_drain_timeout_is_cut() {
    struct Dropped(mpsc::Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let (sender, receiver) = mpsc::channel();
    let (drop_tell, drop_told) = mpsc::channel();
    let configure = |builder: straightline::ServerBuilder| builder.drain_timeout(Duration::ZERO);
    let server = serve_with(configure, move |_: &mut Request| {
        let _dropped = Dropped(drop_tell.clone());
        sender.send(()).unwrap();
        sched::sleep(Duration::MAX);
        "never"
    });
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    receiver.recv().unwrap();
    server.handle.shutdown();
    assert!(client.is_at_end());
    assert_eq!(server.join().force_closed, 1);
    drop_told.recv().unwrap();
}

#[test]
fn a_second_stop_does_not_wait() {
    let (sender, receiver) = mpsc::channel();
    let server = serve(move |_: &mut Request| {
        sender.send(()).unwrap();
        sched::sleep(Duration::MAX);
        "never"
    });
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    receiver.recv().unwrap();
    server.handle.shutdown();
    server.handle.shutdown();
    assert!(client.is_at_end());
    assert_eq!(server.join().force_closed, 1);
}

#[test]
fn a_handler_may_stop_its_own_server() {
    let (give, given) = mpsc::channel::<straightline::ServerHandle>();
    let given = std::sync::Mutex::new(given);
    let server = serve(move |_: &mut Request| {
        given.lock().unwrap().recv().unwrap().shutdown();
        "stopping"
    });
    give.send(server.handle.clone()).unwrap();
    let mut client = server.client();
    assert_eq!(client.get("/").text(), "stopping");
    client.wait_for_end();
    server.join();
}

#[test]
fn a_port_can_be_served_again_and_again() {
    // On Linux, an address from which the kernel gives no ports to the clients of other programs.
    let host = if cfg!(target_os = "linux") { "127.0.0.2:0" } else { "127.0.0.1:0" };
    let mut address = None;
    for round in 0..20 {
        let server = straightline::Server::builder()
            .bind(address.unwrap_or_else(|| host.parse().unwrap()))
            .workers(2)
            .build(move |_: &mut Request| round.to_string())
            .unwrap();
        let local = server.local_addrs()[0].as_tcp().unwrap();
        address = Some(local);
        let handle = server.handle();
        let running = std::thread::spawn(move || server.run());
        let mut client = crate::common::Client::connect(local);
        assert_eq!(client.get("/").text(), round.to_string());
        handle.shutdown();
        assert!(client.is_at_end());
        running.join().unwrap().unwrap();
    }
}

#[test]
fn a_drain_may_take_as_long_as_it_likes() {
    let configure = |builder: straightline::ServerBuilder| builder.drain_timeout(Duration::MAX);
    let server = serve_with(configure, |_: &mut Request| "served");
    let mut client = server.client();
    assert_eq!(client.get("/").text(), "served");
    server.handle.shutdown();
    assert!(client.is_at_end());
    assert_eq!(server.join().force_closed, 0);
}
