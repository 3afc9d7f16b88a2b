//! Load beyond the capacity is refused at once or waits, and never starves the clients that the
//! server has accepted.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use crate::common::{Client, Running, serve_with};
use straightline::{Capacity, CapacityLimit, Event, OverloadPolicy, Request, Timeouts, sched};

/// A server whose handlers at `/wait` send their fiber and park. The second receiver gets the
/// reason for each connection that is rejected.
fn held(
    capacity: Capacity,
) -> (Running, mpsc::Receiver<sched::Fiber>, mpsc::Receiver<CapacityLimit>) {
    let (sender, waiting) = mpsc::channel();
    let (tell_full, full) = mpsc::channel();
    let hooks = move |event: &Event<'_>| {
        if let Event::ConnectionRejected { full, .. } = event {
            tell_full.send(*full).expect("the test listens");
        }
    };
    // No connection is idle long enough to be evicted for a new one.
    let long = Duration::from_secs(600);
    let timeouts = Timeouts::default().with_head(long).with_idle(long);
    let server = serve_with(
        |builder| builder.capacity(capacity).timeouts(timeouts).observer(hooks),
        move |request: &mut Request| {
            if request.path() == "/wait" {
                sender.send(sched::current()).expect("the test listens");
                sched::park();
            }
            "served"
        },
    );
    (server, waiting, full)
}

fn begin(client: &mut Client) {
    client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn connections_beyond_the_capacity_are_refused_with_a_503() {
    let capacity = Capacity::default().with_connections(2).with_retry_after(Duration::from_secs(7));
    let (server, _waiting, full) = held(capacity);
    let mut clients = [server.client(), server.client()];
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "served");
    }
    for _ in 0..3 {
        // The client gets an answer and not a reset, whether it has sent bytes or not.
        let mut surplus = server.client();
        let answer = surplus.get("/");
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("7")));
        assert_eq!(answer.field("connection"), Some("close"));
        assert!(surplus.is_at_end());
        assert_eq!(full.recv().unwrap(), CapacityLimit::Connections);
    }
    // The clients inside the capacity do not notice. If one of them leaves, the next client gets
    // its place.
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "served");
    }
    let [gone, _stays] = clients;
    drop(gone);
    let later = std::iter::repeat_with(|| server.client().get("/").status);
    assert!(later.take(10_000).any(|status| status == 200));
    let counters = server.handle.counters();
    assert!(counters.rejected >= 3, "{counters:?}");
}

#[test]
fn connections_of_one_address_have_a_bound_of_their_own() {
    let capacity = Capacity::default().with_connections_per_peer(2);
    let (server, _waiting, full) = held(capacity);
    let mut clients = [server.client(), server.client()];
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "served");
    }
    assert_eq!(server.client().get("/").status, 503);
    assert_eq!(full.recv().unwrap(), CapacityLimit::Peer);
    drop(clients);
    let later = std::iter::repeat_with(|| server.client().get("/").status);
    assert!(later.take(10_000).any(|status| status == 200));
}

#[test]
fn clients_may_wait_instead_until_a_client_leaves() {
    let capacity =
        Capacity::default().with_connections(1).with_overload_policy(OverloadPolicy::Queue);
    let (server, waiting, _full) = held(capacity);
    let mut first = server.client();
    begin(&mut first);
    let handler = waiting.recv().unwrap();
    // The kernel has completed this connection, but the server does not accept it.
    let mut second = server.client();
    second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(server.handle.counters().accepted, 1);
    handler.unpark();
    assert_eq!(first.receive().text(), "served");
    first.finish();
    assert_eq!(second.receive().text(), "served");
    assert_eq!(server.handle.counters().rejected, 0);
}

#[test]
fn requests_beyond_what_may_be_in_flight_are_refused_and_their_connections_go_on() {
    let capacity = Capacity::default().with_in_flight(2);
    let (server, waiting, _full) = held(capacity);
    let mut busy = [server.client(), server.client()];
    busy.iter_mut().for_each(begin);
    let handlers: Vec<_> = busy.iter().map(|_| waiting.recv().unwrap()).collect();
    let mut third = server.client();
    let answer = third.get("/");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    // This also holds for a request with a body, which is not read.
    let answer = third.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(answer.status, 503);
    handlers.iter().for_each(sched::Fiber::unpark);
    for client in &mut busy {
        assert_eq!(client.receive().text(), "served");
    }
    assert_eq!(third.get("/").text(), "served");
    let counters = server.handle.counters();
    assert_eq!((counters.overloaded, counters.in_flight), (2, 0));
    assert_eq!((counters.requests, counters.answered), (5, 5));
}

#[test]
fn a_flood_of_clients_that_are_refused_costs_the_others_nothing() {
    let capacity = Capacity::default().with_connections(1);
    let (server, _waiting, full) = held(capacity);
    let mut client = server.client();
    assert_eq!(client.get("/").text(), "served");
    // More clients than the server refuses carefully. None of them reads or closes.
    let flood: Vec<_> =
        (0..400).map(|_| TcpStream::connect(server.address).expect("the port is open")).collect();
    for _ in &flood {
        assert_eq!(full.recv().unwrap(), CapacityLimit::Connections);
    }
    assert_eq!(client.get("/").text(), "served");
    for mut stream in flood {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an end in good order");
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
}

#[test]
fn what_was_upgraded_is_in_flight_no_more() {
    let capacity = Capacity::default().with_in_flight(1);
    let server = serve_with(
        |builder| builder.capacity(capacity),
        |request: &mut Request| match request.path() {
            "/up" => straightline::Response::upgrade("echo", |mut client| {
                let mut byte = [0];
                client.read_exact(&mut byte)?;
                client.write_all(&byte)
            }),
            _ => straightline::IntoResponse::into_response("served"),
        },
    );
    let mut upgraded = server.client();
    let request = "GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    assert_eq!(upgraded.send(request).receive_with(false).status, 101);
    assert_eq!(server.client().get("/").text(), "served");
    upgraded.send("x");
    assert_eq!(upgraded.exactly(1), b"x");
}

#[test]
fn clients_that_say_nothing_make_room_for_others() {
    let capacity =
        Capacity::default().with_connections(4).with_overload_policy(OverloadPolicy::Queue);
    let head = Duration::from_millis(50);
    let timeouts = Timeouts::default().with_head(head);
    let server = serve_with(
        |builder| builder.capacity(capacity).timeouts(timeouts),
        |_: &mut Request| "served",
    );
    let silent: Vec<_> = (0..8).map(|_| server.client()).collect();
    assert_eq!(server.client().get("/").text(), "served");
    drop(silent);
    let half_open = server.client();
    half_open.stream.shutdown(Shutdown::Write).expect("open");
    assert_eq!(server.client().get("/").text(), "served");
}
