//! A deadline, or a cancel, ends a call in whatever phase it is.

use std::io::Read;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use straightline::client::ureq::{Error, Proxy, SendBody, Timeout};
use straightline::client::{Client, ClientLimits};
use straightline::net::sim::network;
use straightline::sched::{self, DeadlineExceeded, deadline, sim, sleep};

use crate::upstream::{MS, Upstream, check, time_of, url};

/// Checks that a call that takes for ever ends with its deadline, and that the server sees that.
fn ends_with_the_deadline(upstream: &Upstream, call: impl FnOnce()) {
    let took = time_of(|| assert_eq!(deadline(200 * MS, call), Err(DeadlineExceeded)));
    assert!(took >= 200 * MS && took < 202 * MS, "{took:?}");
    let end = sim::elapsed();
    sleep(2 * MS);
    let seen = upstream.ends();
    assert_eq!(seen.len(), upstream.connections());
    assert!(seen.iter().all(|at| *at <= end + MS), "{seen:?}, {end:?}");
}

#[test]
fn while_the_server_does_not_accept() {
    check(|| {
        let upstream = Upstream::answering("");
        let there: IpAddr = [10, 0, 0, 9].into();
        network().isolate(there);
        let client = Client::new();
        let took = time_of(|| {
            let outcome = deadline(200 * MS, || drop(client.get(url("/")).call()));
            assert_eq!(outcome, Err(DeadlineExceeded));
        });
        assert!(took < 202 * MS, "{took:?}");
        network().rejoin(there);
        drop(upstream);
    });
}

#[test]
fn while_the_request_is_sent() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            sleep(Duration::from_millis(210)); // does not read the body
            conversation.wait_for_end();
        });
        let client = Client::new();
        let outcome = deadline(200 * MS, || {
            let mut endless = std::io::repeat(b'x');
            let body = SendBody::from_reader(&mut endless);
            drop(client.post(url("/")).send(body));
        });
        assert_eq!(outcome, Err(DeadlineExceeded));
        sleep(Duration::from_secs(1));
        assert_eq!(upstream.ends().len(), 1);
    });
}

#[test]
fn while_the_server_says_nothing() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            conversation.wait_for_end();
        });
        let client = Client::new();
        ends_with_the_deadline(&upstream, || drop(client.get(url("/")).call()));
    });
}

#[test]
fn while_the_head_or_the_body_comes_byte_by_byte() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            let head = conversation.hear().expect("a request");
            if head.starts_with("GET /body ") {
                conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
            } else {
                conversation.say("HTTP/1.1 200 OK\r\nX: ");
            }
            sched::scope(|s| {
                let stream = &conversation.stream;
                let saying = s.spawn(move || {
                    while std::io::Write::write_all(&mut &*stream, b"x").is_ok() {
                        sleep(10 * MS);
                    }
                });
                let mut byte = [0];
                while (&mut &*stream).read(&mut byte).is_ok_and(|count| count > 0) {}
                saying.cancel();
            });
            conversation.wait_for_end();
        });
        let client = Client::new();
        ends_with_the_deadline(&upstream, || drop(client.get(url("/head")).call()));
        let client = Client::new();
        ends_with_the_deadline(&upstream, || {
            let mut response = client.get(url("/body")).call().expect("a head");
            drop(response.body_mut().read_to_string());
        });
    });
}

#[test]
fn while_it_waits_for_another_call_to_the_same_host() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            conversation.wait_for_end();
        });
        let limits = ClientLimits::default().with_connections_per_host(1);
        let client = Client::builder().limits(limits).build();
        let other = sched::spawn({
            let client = client.clone();
            move || drop(client.get(url("/first")).call())
        });
        sleep(50 * MS);
        let outcome = deadline(200 * MS, || drop(client.get(url("/second")).call()));
        assert_eq!(outcome, Err(DeadlineExceeded));
        assert_eq!((upstream.connections(), upstream.ends().len()), (1, 0));
        other.cancel();
        assert!(other.join().unwrap_err().is_cancelled());
        sleep(2 * MS);
        assert_eq!(upstream.ends().len(), 1, "a cancel closes the call's connection at once");
    });
}

#[test]
fn while_a_proxy_says_nothing() {
    check(|| {
        let proxy = Upstream::start(|mut conversation| {
            conversation.hear();
            conversation.wait_for_end();
        });
        let client = Client::builder().proxy(Some(Proxy::new(&url("")).unwrap())).build();
        ends_with_the_deadline(&proxy, || drop(client.get("http://example.org/").call()));
    });
}

#[test]
fn a_call_that_was_cut_leaves_nothing_for_the_next_one() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            while let Some(head) = conversation.hear() {
                if head.starts_with("GET /slow ") {
                    conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
                    sleep(300 * MS);
                    conversation.say("slow slow!");
                } else {
                    conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nquick");
                }
            }
        });
        let client = Client::new();
        for _ in 0..3 {
            let outcome = deadline(200 * MS, || {
                let mut response = client.get(url("/slow")).call().expect("a head");
                response.body_mut().read_to_string()
            });
            assert!(outcome.is_err());
            let text = client.get(url("/quick")).call().unwrap().body_mut().read_to_string();
            assert_eq!(text.unwrap(), "quick");
        }
        assert_eq!(upstream.connections(), 4, "each call that was cut closes its connection");
        sleep(500 * MS);
    });
}

#[test]
fn a_destructor_that_calls_while_its_fiber_unwinds_does_not_wait() {
    struct Calls(Client, Rc<std::cell::Cell<Option<bool>>>);

    impl Drop for Calls {
        fn drop(&mut self) {
            self.1.set(Some(self.0.get(url("/")).call().is_err()));
        }
    }

    check(|| {
        let _upstream = Upstream::answering(crate::upstream::OK);
        let (client, seen) = (Client::new(), Rc::default());
        let took = time_of(|| {
            let outcome = deadline(50 * MS, || {
                let _calls = Calls(client.clone(), Rc::clone(&seen));
                sleep(Duration::from_secs(10));
            });
            assert!(outcome.is_err());
        });
        assert!(took < 52 * MS, "{took:?}");
        assert_eq!(seen.get(), Some(true), "the call is an error");
    });
}

#[test]
fn the_client_gives_up_a_connect_and_a_silence_without_a_deadline() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            conversation.wait_for_end();
        });
        let limits = ClientLimits::default()
            .with_connect_timeout(Duration::from_secs(3))
            .with_silence(Duration::from_secs(7));
        let client = Client::builder().limits(limits).build();
        let took = time_of(|| {
            let error = client.get(url("/")).call().unwrap_err();
            assert_eq!(error.to_string(), "io: the server has been silent for 7s");
        });
        assert!(took >= Duration::from_secs(7) && took < Duration::from_millis(7_010), "{took:?}");

        network().isolate([10, 0, 0, 9].into());
        let took = time_of(|| {
            let error = client.get(url("/")).call().unwrap_err();
            assert!(matches!(error, Error::Timeout(Timeout::Connect)), "{error}");
        });
        assert!(took >= Duration::from_secs(3) && took < Duration::from_millis(3_010), "{took:?}");
        network().rejoin([10, 0, 0, 9].into());
        drop(upstream);
    });
}

#[test]
fn a_timeout_of_the_request_counts_too() {
    check(|| {
        let _upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            conversation.wait_for_end();
        });
        let request = Client::new().get(url("/"));
        let request = request.config().timeout_recv_response(Some(Duration::from_secs(2))).build();
        let took = time_of(|| {
            let error = request.call().unwrap_err();
            assert!(matches!(error, Error::Timeout(Timeout::RecvResponse)), "{error}");
        });
        assert!(took > Duration::from_millis(1_500) && took < Duration::from_secs(3), "{took:?}");
    });
}
