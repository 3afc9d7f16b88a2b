//! Upstreams and clients that are slow, vanish or break, in simulated time.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use straightline::net::sim::network;
use straightline::proxy::{Proxy, ProxyTimeouts};
use straightline::sched::{self, sim};
use straightline::{Timeouts, net};

use crate::common::simulated::{
    Client, GET, assert_between, secs, simulated, simulated_to_its_end, time_since,
};
use crate::scripted::{answer_all, quiet, read_head, simulated_upstream};

const UPSTREAM: &str = "10.0.0.9:80";
const OTHER: &str = "10.0.0.8:80";

fn ip(address: &str) -> IpAddr {
    address.parse::<SocketAddr>().expect("an address").ip()
}

fn two() -> Proxy {
    quiet(Proxy::builder().upstream(UPSTREAM).upstream(OTHER))
}

fn one_with(timeouts: ProxyTimeouts) -> Proxy {
    quiet(Proxy::builder().upstream(UPSTREAM).timeouts(timeouts))
}

/// Runs a proxy and its client; at the end nothing is left of requests and connections.
fn with_proxy(proxy: &Proxy, client: impl FnOnce(SocketAddr) + 'static) {
    let handler = proxy.clone();
    simulated(|server| server, move || handler.clone(), client);
    for numbers in proxy.metrics().upstreams {
        assert_eq!((numbers.in_flight, numbers.idle), (0, 0), "{numbers:?}");
    }
}

/// The status line of the answer to a GET of its own connection, and how long it took.
fn ask(address: SocketAddr) -> (String, Duration) {
    let mut client = Client::connect(address);
    let since = sim::elapsed();
    let text = client.send(GET).receive();
    (text.lines().next().expect("a line").to_owned(), time_since(since))
}

#[test]
fn an_upstream_that_does_not_respond_is_a_504_in_time() {
    // It accepts and says nothing; it says a part of a head; it sends a head byte by byte.
    for behaviour in 0..3 {
        with_proxy(&one_with(ProxyTimeouts::default()), move |address| {
            let _upstream = simulated_upstream(UPSTREAM, move |mut stream, _| {
                let _ = read_head(&mut stream);
                if behaviour == 1 {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
                }
                while behaviour == 2 && stream.write_all(b"H").is_ok() {
                    sched::sleep(secs(1));
                }
                let _ = stream.read_to_end(&mut Vec::new());
            });
            let (status, time) = ask(address);
            if behaviour == 2 {
                assert_eq!(status, "HTTP/1.1 502 Bad Gateway"); // "HH" begins no status line
            } else {
                assert_eq!(status, "HTTP/1.1 504 Gateway Timeout");
                assert_between(time, secs(30), secs(31));
            }
        });
    }
}

#[test]
fn a_head_that_trickles_has_the_time_of_a_head() {
    with_proxy(&one_with(ProxyTimeouts::default()), |address| {
        let _upstream = simulated_upstream(UPSTREAM, |mut stream, _| {
            let _ = read_head(&mut stream);
            let head = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1000));
            for byte in head.bytes() {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                sched::sleep(secs(1));
            }
        });
        let (status, time) = ask(address);
        assert_eq!(status, "HTTP/1.1 504 Gateway Timeout");
        assert_between(time, secs(30), secs(31));
    });
}

#[test]
fn an_upstream_that_cannot_be_connected_to_gives_way_to_another() {
    with_proxy(&two(), |address| {
        let _other = simulated_upstream(OTHER, |stream, _| answer_all(stream, "hello"));
        for _ in 0..4 {
            assert_eq!(ask(address).0, "HTTP/1.1 200 OK");
        }
    });
    with_proxy(&two(), |address| assert_eq!(ask(address).0, "HTTP/1.1 502 Bad Gateway"));
    // Packets are lost on the way there: each attempt has its time.
    with_proxy(&two(), |address| {
        let _first = simulated_upstream(UPSTREAM, |stream, _| answer_all(stream, "hello"));
        let _other = simulated_upstream(OTHER, |stream, _| answer_all(stream, "hello"));
        network().isolate(ip(UPSTREAM));
        network().isolate(ip(OTHER));
        let (status, time) = ask(address);
        assert_eq!(status, "HTTP/1.1 504 Gateway Timeout");
        assert_between(time, secs(10), secs(11));
        network().heal_all();
        network().rejoin(ip(UPSTREAM));
        network().rejoin(ip(OTHER));
    });
}

#[test]
fn a_body_that_stalls_or_breaks_never_looks_whole() {
    let heads = [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
    ];
    for head in heads {
        for fault in ["stall", "reset", "vanish", "end"] {
            if fault == "end" && head.ends_with("OK\r\n\r\nhello") {
                continue; // that is a whole body
            }
            let timeouts = ProxyTimeouts::default().with_body(secs(20));
            with_proxy(&one_with(timeouts), move |address| {
                let _upstream = simulated_upstream(UPSTREAM, move |mut stream, _| {
                    let _ = read_head(&mut stream);
                    stream.write_all(head.as_bytes()).expect("the proxy reads");
                    sched::sleep(secs(1));
                    match fault {
                        "reset" => drop(network().reset(UPSTREAM.parse().expect("an address"))),
                        "vanish" => network().vanish(UPSTREAM.parse().expect("an address")),
                        "end" => return,
                        _ => {}
                    }
                    let _ = stream.read_to_end(&mut Vec::new());
                });
                let mut client = Client::connect(address);
                client.send(GET);
                let mut text = Vec::new();
                let end = client.stream.read_to_end(&mut text);
                let text = String::from_utf8(text).expect("text");
                assert!(text.contains("hello"), "{fault}: {text}");
                let is_cut = end.is_err()
                    || text.contains("Content-Length: 10")
                    || (text.contains("chunked") && !text.ends_with("0\r\n\r\n"));
                assert!(is_cut, "{fault}: {text}");
                network().heal_all();
            });
        }
    }
}

#[test]
fn a_stalled_upload_is_a_504_and_a_stalled_client_is_a_408() {
    with_proxy(&one_with(ProxyTimeouts::default()), |address| {
        let _upstream = simulated_upstream(UPSTREAM, |mut stream, _| {
            let _ = read_head(&mut stream);
            sched::sleep(secs(1000)); // reads nothing more
        });
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n");
        let stream = Rc::new(client.stream);
        sched::scope(|scope| {
            let writer = Rc::clone(&stream);
            // More than the buffers on the way hold.
            let upload = scope.spawn(move || drop((&*writer).write_all(&vec![0; 2_000_000])));
            let head = read_head(&mut &*stream).expect("an answer");
            assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
            upload.cancel();
        });
    });
    with_proxy(&one_with(ProxyTimeouts::default()), |address| {
        let ended = Rc::new(Cell::new(false));
        let flag = Rc::clone(&ended);
        let _upstream = simulated_upstream(UPSTREAM, move |mut stream, _| {
            let _ = stream.read_to_end(&mut Vec::new());
            flag.set(true);
        });
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\nbegin");
        let head = read_head(&mut client.stream).expect("an answer");
        assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
        sched::sleep(secs(1));
        assert!(ended.get(), "the upstream learns that no more comes");
    });
}

#[test]
fn a_request_on_a_connection_that_is_closed_meanwhile_is_sent_again() {
    // The upstream closes the idle connection when the request is on its way. It must not be sent
    // again if that might do something twice.
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK"),
        ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 502 Bad Gateway"),
    ] {
        let proxy = one_with(ProxyTimeouts::default());
        let counted = proxy.clone();
        with_proxy(&proxy, move |address| {
            let _upstream = simulated_upstream(UPSTREAM, |mut stream, number| {
                if number > 0 {
                    return answer_all(stream, "again");
                }
                let _ = read_head(&mut stream);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
                let _ = read_head(&mut stream); // and then closes
            });
            let mut client = Client::connect(address);
            assert!(client.send(GET).receive().ends_with("first"));
            let text = client.send(request).receive();
            assert!(text.starts_with(expected), "{text}");
        });
        let is_repeated = expected.contains("200");
        let numbers = counted.metrics().upstreams.remove(0);
        assert_eq!(numbers.retries, u64::from(is_repeated), "{request}");
        assert_eq!(numbers.failures, u64::from(!is_repeated), "{request}");
    }
}

#[test]
fn a_request_is_not_sent_again_twice_and_not_behind_a_byte_of_a_response() {
    for first_bytes in ["", "HTTP/1.1 2"] {
        let asked = Rc::new(Cell::new(0));
        with_proxy(&one_with(ProxyTimeouts::default()), move |address| {
            let counter = Rc::clone(&asked);
            let _upstream = simulated_upstream(UPSTREAM, move |mut stream, number| {
                if number == 0 {
                    let _ = read_head(&mut stream);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                }
                if read_head(&mut stream).is_some() {
                    counter.set(counter.get() + 1);
                    let _ = stream.write_all(first_bytes.as_bytes());
                }
            });
            let mut client = Client::connect(address);
            client.send(GET).receive();
            assert!(client.send(GET).receive().starts_with("HTTP/1.1 502 "));
            let expected = if first_bytes.is_empty() { 2 } else { 1 };
            assert_eq!(asked.get(), expected, "{first_bytes:?}");
        });
    }
}

#[test]
fn idle_connections_are_closed_in_time_and_at_once_by_their_upstream() {
    let proxy = one_with(ProxyTimeouts::default().with_idle(secs(10)));
    let shown = proxy.clone();
    with_proxy(&proxy, move |address| {
        let open = Rc::new(Cell::new(0_i32));
        let counter = Rc::clone(&open);
        let _upstream = simulated_upstream(UPSTREAM, move |mut stream, number| {
            counter.set(counter.get() + 1);
            if number == 1 {
                let _ = read_head(&mut stream);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                sched::sleep(secs(3)); // an upstream with a shorter time
            } else {
                answer_all(stream, "hello");
            }
            counter.set(counter.get() - 1);
        });
        let idle = || shown.metrics().upstreams[0].idle;
        ask(address);
        sched::sleep(secs(8));
        assert_eq!((open.get(), idle()), (1, 1));
        sched::sleep(secs(4));
        assert_eq!((open.get(), idle()), (0, 0));
        ask(address);
        assert_eq!((open.get(), idle()), (1, 1));
        sched::sleep(secs(5));
        assert_eq!((open.get(), idle()), (0, 0));
    });
}

#[test]
fn a_client_that_waits_for_a_100_is_asked_for_its_body_in_the_end() {
    with_proxy(&one_with(ProxyTimeouts::default()), |address| {
        let _upstream = simulated_upstream(UPSTREAM, |mut stream, _| {
            let head = read_head(&mut stream).expect("a request");
            assert!(head.contains("Expect: 100-continue\r\n"), "{head}");
            let mut body = [0; 5];
            stream.read_exact(&mut body).expect("the body");
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("it reads");
        });
        let mut client = Client::connect(address);
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        );
        let since = sim::elapsed();
        assert!(client.receive().starts_with("HTTP/1.1 100 "));
        assert_between(time_since(since), secs(1), secs(2));
        assert!(client.send("hello").receive().starts_with("HTTP/1.1 200 "));
    });
}

#[test]
fn the_deadline_of_the_handler_holds_for_the_upstream() {
    let proxy = one_with(ProxyTimeouts::default());
    let counted = proxy.clone();
    let timeouts = Timeouts::default().with_handler(secs(2));
    let ended = Rc::new(RefCell::new(None));
    let flag = Rc::clone(&ended);
    simulated(
        move |server| server.timeouts(timeouts),
        move || proxy.clone(),
        move |address| {
            let at = Rc::clone(&flag);
            let _upstream = simulated_upstream(UPSTREAM, move |mut stream, _| {
                let _ = stream.read_to_end(&mut Vec::new());
                at.replace(Some(sim::elapsed()));
            });
            let (status, time) = ask(address);
            assert_eq!(status, "HTTP/1.1 504 Gateway Timeout");
            assert_between(time, secs(2), secs(3));
            sched::sleep(secs(1));
            assert!(flag.borrow().is_some(), "its connection is closed");
        },
    );
    assert_eq!(counted.metrics().upstreams[0].in_flight, 0);
}

#[test]
fn a_drain_finishes_what_has_begun_and_closes_idle_connections() {
    let proxy = one_with(ProxyTimeouts::default());
    let (handler, counted) = (proxy.clone(), proxy);
    simulated_to_its_end(
        |server| server,
        move || handler.clone(),
        move |address, handle| {
            let _upstream = simulated_upstream(UPSTREAM, |mut stream, number| {
                if number == 0 {
                    return answer_all(stream, "hello");
                }
                let _ = read_head(&mut stream);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
                sched::sleep(secs(5));
                let _ = stream.write_all(b"world");
                let _ = stream.read_to_end(&mut Vec::new());
            });
            let mut slow = Client::connect(address);
            ask(address);
            assert_eq!(counted.metrics().upstreams[0].idle, 1);
            let mut busy = Client::connect(address);
            // One request takes the idle connection, so the other opens its own.
            busy.send(GET);
            slow.send(GET);
            sched::sleep(secs(1));
            handle.shutdown();
            sched::sleep(secs(1));
            let text = slow.receive();
            assert!(text.ends_with("helloworld") || text.ends_with("hello"), "{text}");
            let text = busy.receive();
            assert!(text.ends_with("helloworld") || text.ends_with("hello"), "{text}");
            let time = sim::elapsed();
            while counted.metrics().upstreams[0].idle > 0 {
                sched::sleep(Duration::from_millis(10));
            }
            assert!(time_since(time) < secs(1));
        },
    );
}

#[test]
fn an_idle_tunnel_ends_and_a_busy_one_does_not() {
    let timeouts = ProxyTimeouts::default().with_upgraded(secs(60));
    with_proxy(&one_with(timeouts), |address| {
        let _upstream = simulated_upstream(UPSTREAM, |mut stream, _| {
            let _ = read_head(&mut stream);
            let head = "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
            let _ = stream.write_all(head.as_bytes());
            // One direction alone, with pauses that are nearly too long.
            for _ in 0..5 {
                sched::sleep(secs(50));
                let _ = stream.write_all(b"!");
            }
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let mut client = Client::connect(address);
        client
            .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
        assert!(read_head(&mut client.stream).expect("a head").starts_with("HTTP/1.1 101 "));
        let since = sim::elapsed();
        let mut text = String::new();
        client.stream.read_to_string(&mut text).expect("an end in good order");
        assert_eq!(text, "!!!!!");
        assert_between(time_since(since), secs(310), secs(312));
    });
}

#[test]
fn a_drain_ends_a_silent_tunnel_after_its_grace() {
    let proxy = one_with(ProxyTimeouts::default());
    let (handler, shown) = (proxy.clone(), proxy);
    simulated_to_its_end(
        |server| server,
        move || handler.clone(),
        move |address, handle| {
            let _upstream = simulated_upstream(UPSTREAM, |mut stream, _| {
                let _ = read_head(&mut stream);
                let head = "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.read_to_end(&mut Vec::new());
            });
            let mut client = Client::connect(address);
            client.send(
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            );
            read_head(&mut client.stream).expect("a head");
            assert_eq!(shown.metrics().upstreams[0].in_flight, 1);
            handle.shutdown();
            let since = sim::elapsed();
            let _ = client.stream.read_to_end(&mut Vec::new());
            assert_between(time_since(since), secs(4), secs(7));
            sched::sleep(secs(1));
            assert_eq!(shown.metrics().upstreams[0].in_flight, 0);
        },
    );
}

/// Answers all requests of a connection with `body`, in two pieces and with pauses.
fn answer_in_pieces(mut stream: net::TcpStream, body: &str) {
    while read_head(&mut stream).is_some() {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let (first, last) = body.split_at(body.len() / 2);
        for piece in [&*head, first, last] {
            if stream.write_all(piece.as_bytes()).is_err() {
                return;
            }
            sched::sleep(Duration::from_millis(sched::random_u64() % 50));
        }
    }
}

/// Breaks the network around the upstreams in ten ways, and then heals it.
fn break_network() {
    let hosts = [ip(UPSTREAM), ip(OTHER)];
    for _ in 0..10 {
        sched::sleep(Duration::from_millis(sched::random_u64() % 200));
        let host = if sched::random_u64().is_multiple_of(2) { hosts[0] } else { hosts[1] };
        match sched::random_u64() % 4 {
            0 => drop(network().reset(SocketAddr::new(host, 80))),
            1 => network().vanish(SocketAddr::new(host, 80)),
            2 => network().isolate(host),
            _ => network().rejoin(host),
        }
    }
    hosts.iter().for_each(|&host| network().rejoin(host));
}

/// Asks a few times, and checks that a response that looks whole is whole.
fn ask_a_few_times(body: &str) {
    for _ in 0..4 {
        let mut stream = net::TcpStream::connect("10.0.0.1:80").expect("it listens");
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("it reads");
        let mut text = Vec::new();
        let is_whole = stream.read_to_end(&mut text).is_ok();
        let text = String::from_utf8(text).expect("text");
        if is_whole && text.starts_with("HTTP/1.1 200 ") && text.contains(": 1000\r\n") {
            let (_, received) = text.split_once("\r\n\r\n").expect("a head");
            assert!(received.len() < body.len() || received == body);
        }
    }
}

/// Clients, upstreams and a network that fails in every way: nothing hangs, nothing is left, and
/// what looks whole is whole.
#[test]
fn whatever_the_network_does_a_response_is_whole_or_does_not_look_so() {
    sim::check(|| {
        let body = "0123456789".repeat(100);
        let script = |body: String| move |stream, _| answer_in_pieces(stream, &body);
        let first = simulated_upstream(UPSTREAM, script(body.clone()));
        let other = simulated_upstream(OTHER, script(body.clone()));
        let timeouts = ProxyTimeouts::default()
            .with_connect(secs(1))
            .with_first_byte(secs(2))
            .with_body(secs(2));
        let proxy = Proxy::builder().upstream(UPSTREAM).upstream(OTHER).timeouts(timeouts);
        let proxy = quiet(proxy);
        let server = straightline::Server::builder().bind("10.0.0.1:80").workers(1);
        let server = server.build(proxy.clone()).expect("a port");
        let handle = server.handle();
        let serving = sched::spawn(move || server.run());
        let breaking = sched::spawn(break_network);
        sched::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| ask_a_few_times(&body));
            }
        });
        breaking.join().expect("no panic");
        handle.shutdown();
        serving.join().expect("no panic").expect("a good end");
        for numbers in proxy.metrics().upstreams {
            assert_eq!((numbers.in_flight, numbers.idle), (0, 0), "{numbers:?}");
        }
        drop((first, other));
    });
}
