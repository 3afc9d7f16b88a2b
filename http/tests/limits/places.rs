//! How long a client can occupy a place of the server: by idling, by empty lines, by bodies that do
//! not arrive, by an upgraded protocol that falls silent. In simulation, where time is exact.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use crate::common::simulated::{
    Client, GET, assert_between, plain, secs, simulated, simulated_to_its_end, time_since,
};
use straightline::sched::{self, sim};
use straightline::{Capacity, Event, OverloadPolicy, Request, Response, Timeout, Upgraded};

const POST: &str = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";

#[test]
fn empty_lines_behind_a_body_begin_no_head() {
    for (behind, ends) in [
        ("\r\n", ["", "GET"]),
        ("\n", ["", "GET"]),
        ("\r\n\r\n", ["", "GET"]),
        ("\r", ["\n", "\nGET"]),
    ] {
        let counters = simulated(
            |builder| builder,
            plain,
            move |address| {
                let mut client = Client::connect(address);
                assert!(client.send(&(POST.to_owned() + behind)).receive().ends_with("/x"));
                // The client sends nothing for longer than the head timeout.
                sched::sleep(secs(40));
                let [before, begin] = ends;
                assert!(
                    client.send(begin.trim_end_matches("GET")).send(GET).receive().ends_with("/x")
                );
                // An empty line does not restart the idle timeout either.
                client.send(behind).since = sim::elapsed();
                sched::sleep(secs(40));
                client.send(before);
                let (text, time) = client.rest();
                assert_eq!(text, "");
                assert_between(time, secs(75), secs(77));
            },
        );
        assert_eq!(counters.timed_out(Timeout::Head), 0, "{behind:?}");
        assert_eq!(counters.timed_out(Timeout::Idle), 1, "{behind:?}");
        assert_eq!((counters.aborted, counters.refused, counters.requests), (0, 0, 2));
    }
}

#[test]
fn an_empty_line_holds_no_stop_and_its_end_is_no_fault() {
    for behind in ["\r\n", "\r", "\n\n"] {
        let counters = simulated_to_its_end(
            |builder| builder,
            plain,
            move |address, handle| {
                let connect = || {
                    let mut client = Client::connect(address);
                    client.send(&(POST.to_owned() + behind)).receive();
                    client
                };
                let (left, mut stays) = (connect(), connect());
                drop(left);
                sched::sleep(secs(1));
                stays.since = sim::elapsed();
                handle.shutdown();
                let (text, time) = stays.rest();
                assert_eq!(text, "");
                assert_between(time, secs(0), secs(1));
            },
        );
        assert_eq!((counters.closed_idle, counters.force_closed, counters.aborted), (1, 0, 0));
    }
}

#[test]
fn too_many_empty_lines_are_refused_however_slowly_they_come() {
    let counters = simulated(
        |builder| builder,
        plain,
        |address| {
            let mut client = Client::connect(address);
            client.send(POST).receive();
            for _ in 0..3 {
                sched::sleep(secs(5));
                client.send("\r\n");
            }
            assert!(client.rest().0.starts_with("HTTP/1.1 400 "));
            // The count of empty lines begins anew behind each request.
            let mut client = Client::connect(address);
            for _ in 0..10 {
                assert!(client.send("\r\n\r\n").send(GET).receive().ends_with("/x"));
            }
        },
    );
    assert_eq!((counters.refused, counters.requests), (1, 11));
}

#[test]
fn the_connection_that_has_rested_longest_makes_room_for_a_newcomer() {
    for overload_policy in [OverloadPolicy::Reject, OverloadPolicy::Queue] {
        let capacity =
            Capacity::default().with_connections(3).with_overload_policy(overload_policy);
        let (sender, receiver) = mpsc::channel();
        let hooks = move |event: &Event<'_>| {
            if let Event::ConnectionEvicted { .. } = event {
                sender.send(event.to_string()).expect("the test listens");
            }
        };
        let counters = simulated(
            move |builder| builder.capacity(capacity).observer(hooks),
            plain,
            move |address| {
                let connect = || {
                    let mut client = Client::connect(address);
                    client.send(GET).receive();
                    // The server measures idle times in sweeps, so a sweep has to lie between two
                    // clients.
                    sched::sleep(secs(2));
                    client
                };
                let (mut first, mut second, mut third) = (connect(), connect(), connect());
                sched::sleep(secs(3));
                // Now the first client has been idle for a shorter time than the second one.
                assert!(first.send(GET).receive().ends_with("/x"));
                sched::sleep(secs(5));
                let mut newcomers = Vec::new();
                for longest in [&mut second, &mut third, &mut first] {
                    longest.since = sim::elapsed();
                    let mut newcomer = connect();
                    let (text, time) = longest.rest();
                    assert_eq!(text, "");
                    // Now this connection has been idle for the shortest time.
                    assert_between(time, secs(2), secs(3));
                    assert!(newcomer.send(GET).receive().ends_with("/x"));
                    newcomers.push(newcomer);
                }
            },
        );
        assert_eq!((counters.evicted, counters.rejected, counters.aborted), (3, 0, 0));
        let lines: Vec<_> = receiver.try_iter().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].ends_with(": evicted: its place is needed"), "{lines:?}");
    }
}

#[test]
fn a_client_that_is_served_or_asks_all_the_time_keeps_its_place() {
    let capacity = Capacity::default().with_connections(2);
    let handler = || {
        |request: &mut Request| {
            if request.path() == "/slow" {
                sched::sleep(secs(20));
            }
            "served"
        }
    };
    let counters = simulated(
        move |builder| builder.capacity(capacity),
        handler,
        |address| {
            let (mut slow, mut busy) = (Client::connect(address), Client::connect(address));
            slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
            for _ in 0..10 {
                assert!(busy.send(GET).receive().ends_with("served"));
                sched::sleep(Duration::from_millis(500));
                assert!(Client::connect(address).rest().0.starts_with("HTTP/1.1 503 "));
            }
            assert!(slow.receive().ends_with("served"));
        },
    );
    assert_eq!((counters.evicted, counters.rejected), (0, 10));
}

#[test]
fn what_is_waited_for_is_the_clients_and_takes_no_place() {
    let capacity = Capacity::default().with_in_flight(2);
    let handler = || |request: &mut Request| request.body().read_to_vec(100_000);
    let counters = simulated_to_its_end(
        move |builder| builder.capacity(capacity),
        handler,
        |address, handle| {
            // Ten clients do not send their bodies, and one does not read its response.
            let begin = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo";
            let mut late: Vec<_> = (0..10).map(|_| Client::connect(address)).collect();
            for client in &mut late {
                client.send(begin);
            }
            sched::sleep(secs(1));
            let counters = handle.counters();
            assert_eq!((counters.in_flight, counters.awaiting_client), (10, 10));
            assert!(Client::connect(address).send(POST).receive().ends_with("body"));
            for client in &mut late {
                assert!(client.send("dy").receive().ends_with("body"));
            }
            assert_eq!(handle.counters().awaiting_client, 0);
        },
    );
    assert_eq!((counters.overloaded, counters.answered), (0, 11));
}

#[test]
fn a_request_that_is_answered_takes_no_place_while_its_body_is_passed_over() {
    let counters = simulated_to_its_end(
        |builder| builder,
        plain,
        |address, handle| {
            let mut client = Client::connect(address);
            client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
            assert!(client.receive().ends_with("/x"));
            sched::sleep(secs(1));
            let counters = handle.counters();
            assert_eq!((counters.answered, counters.in_flight), (1, 0), "{counters:?}");
            assert!(client.send("body").send(GET).receive().ends_with("/x"));
            // A request whose body never arrives counts as answered, too.
            client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n").receive();
        },
    );
    assert_eq!((counters.answered, counters.unanswered), (3, 0));
}

#[test]
fn a_client_has_one_credit_for_all_the_bodies_of_its_connection() {
    let handler = || |request: &mut Request| request.body().read_to_vec(1_000);
    let counters = simulated(
        |builder| builder,
        handler,
        |address| {
            let mut client = Client::connect(address);
            // The credit is sixty seconds, plus what the bytes of three heads are worth.
            for status in [200, 200, 408] {
                client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n.");
                sched::sleep(secs(25));
                // A refused request is over by now, but its connection is not closed yet.
                let answer = client.send(".").receive();
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            }
            // If the heads are large enough, small bodies may take a moment each, without an end.
            let mut client = Client::connect(address);
            let field = "x".repeat(200);
            for _ in 0..300 {
                let head = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n";
                client.send(&format!("{head}X: {field}\r\n\r\n"));
                sched::sleep(secs(1));
                assert!(client.send("..").receive().ends_with(".."));
            }
        },
    );
    assert_eq!(counters.timed_out(Timeout::BodyRate), 1);
}

const UPGRADE: &str = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// Sends back what it reads. If `listens`, the drain of the server interrupts a read: the protocol
/// then sends the error, echoes once more, and ends.
fn echo(listens: bool) -> impl Fn(&mut Request) -> Response {
    move |_: &mut Request| {
        Response::upgrade("echo", move |mut client: Upgraded| {
            if listens {
                client.interrupt_on_drain();
            }
            let mut buffer = [0; 100];
            loop {
                match client.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(count) => client.write_all(&buffer[..count])?,
                    Err(error) if client.draining().is_set() => {
                        client.write_all(format!("{error}?").as_bytes())?;
                        // Later reads work as before.
                        let count = client.read(&mut buffer)?;
                        return client.write_all(&buffer[..count]);
                    }
                    Err(error) => return Err(error),
                }
            }
        })
    }
}

#[test]
fn a_protocol_that_listens_for_a_drain_gets_an_error_where_it_reads() {
    let counters = simulated_to_its_end(
        |builder| builder.drain_timeout(secs(300)),
        || echo(true),
        |address, handle| {
            let mut client = Client::connect(address);
            assert!(client.send(UPGRADE).receive().starts_with("HTTP/1.1 101 "));
            let mut buffer = [0; 100];
            for _ in 0..3 {
                sched::sleep(secs(100));
                client.send("hello").stream.read_exact(&mut buffer[..5]).expect("an echo");
            }
            client.since = sim::elapsed();
            handle.shutdown();
            let expected = "the server is draining?";
            client.stream.read_exact(&mut buffer[..expected.len()]).expect("a word");
            assert_eq!(&buffer[..expected.len()], expected.as_bytes());
            assert_between(time_since(client.since), secs(0), secs(1));
            // Longer than the time after which a protocol that does not listen is ended.
            sched::sleep(secs(100));
            assert_eq!(client.send("bye").rest().0, "bye");
        },
    );
    assert_eq!((counters.force_closed, counters.drained, counters.aborted), (0, 1, 0));
}

#[test]
fn a_protocol_that_does_not_listen_for_a_drain_is_ended_once_nothing_happens() {
    let counters = simulated_to_its_end(
        |builder| builder.drain_timeout(secs(300)),
        || echo(false),
        |address, handle| {
            let mut client = Client::connect(address);
            assert!(client.send(UPGRADE).receive().starts_with("HTTP/1.1 101 "));
            sched::sleep(secs(100));
            handle.shutdown();
            let mut buffer = [0; 5];
            for _ in 0..5 {
                sched::sleep(secs(4));
                client.send("hello").stream.read_exact(&mut buffer).expect("an echo");
            }
            client.since = sim::elapsed();
            let (text, time) = client.rest();
            assert_eq!(text, "");
            assert_between(time, secs(5), secs(7));
        },
    );
    assert_eq!((counters.force_closed, counters.drained, counters.cancelled), (1, 0, 1));
    assert_eq!((counters.timed_out(Timeout::Idle), counters.aborted), (1, 0));
}
