//! Which connections are used again.

use std::cell::Cell;
use std::io::Read;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use straightline::client::ureq::Error;
use straightline::client::{Client, ClientLimits};
use straightline::sched::{self, sleep};

use crate::upstream::{MS, OK, Upstream, check, url};

fn text(client: &Client, path: &str) -> String {
    let mut response = client.get(url(path)).call().expect("a response");
    response.body_mut().read_to_string().expect("a body")
}

#[test]
fn calls_that_follow_each_other_share_a_connection() {
    check(|| {
        let upstream = Upstream::answering(OK);
        let client = Client::new();
        for _ in 0..5 {
            assert_eq!(text(&client, "/"), "hello");
        }
        assert_eq!((upstream.connections(), upstream.requests().len()), (1, 5));
        let other = Client::new();
        text(&other, "/");
        assert_eq!(upstream.connections(), 2, "clients share none");
    });
}

#[test]
fn what_has_no_body_is_complete_with_its_head() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            while let Some(head) = conversation.hear() {
                conversation.say(match head.split(' ').nth(1).unwrap() {
                    "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
                    "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                    "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n",
                    _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                });
            }
        });
        let client = Client::new();
        let head = client.head(url("/head")).call().unwrap();
        assert_eq!(head.headers()["content-length"], "1000");
        for path in ["/204", "/304", "/empty"] {
            assert_eq!(text(&client, path), "");
        }
        assert_eq!((upstream.connections(), upstream.requests().len()), (1, 4));
    });
}

#[test]
fn a_body_that_is_dropped_half_read_closes_its_connection() {
    check(|| {
        let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        let client = Client::new();
        let mut response = client.get(url("/")).call().unwrap();
        let mut four = [0; 4];
        response.body_mut().as_reader().read_exact(&mut four).unwrap();
        assert_eq!(&four, b"half");
        assert_eq!(upstream.ends().len(), 0, "the body holds its connection");
        drop(response);
        sleep(2 * MS);
        assert_eq!(upstream.ends().len(), 1);
    });
}

#[test]
fn a_server_that_wants_to_close_is_obeyed() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            let head = conversation.hear().expect("a request");
            conversation.say(match head.split(' ').nth(1).unwrap() {
                "/close" => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
                "/old" => "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
                "/more" => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx and more",
                _ => "HTTP/1.1 200 OK\r\n\r\nx",
            });
            if head.starts_with("GET /end ") {
                conversation.stream.shutdown(Shutdown::Write).unwrap();
            }
            conversation.wait_for_end();
        });
        let client = Client::new();
        for (index, path) in ["/close", "/old", "/more", "/end"].into_iter().enumerate() {
            assert_eq!(text(&client, path), "x", "{path}");
            sleep(2 * MS);
            assert_eq!(upstream.ends().len(), index + 1, "{path}");
        }
    });
}

#[test]
fn an_idle_connection_that_the_server_has_closed_is_not_used() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            conversation.say(OK);
            sleep(5 * MS);
        });
        let client = Client::new();
        for connections in 1..4 {
            let outcome = client.post(url("/")).send("x").unwrap().body_mut().read_to_string();
            assert_eq!(outcome.unwrap(), "hello");
            assert_eq!(upstream.connections(), connections);
            sleep(20 * MS);
        }
    });
}

/// A server that closes a connection when its second request comes: without an answer, or by a
/// reset.
fn closing_at_the_second_request(resets: bool) -> Upstream {
    Upstream::start(move |mut conversation| {
        conversation.hear();
        conversation.say(OK);
        if conversation.hear().is_some() && resets {
            conversation.stream.set_zero_linger().expect("a socket");
        }
    })
}

#[test]
fn an_idempotent_request_that_meets_the_close_is_made_again() {
    for resets in [false, true] {
        check(move || {
            let upstream = closing_at_the_second_request(resets);
            let client = Client::new();
            text(&client, "/first");
            assert_eq!(text(&client, "/second"), "hello");
            let second = "GET /second HTTP/1.1";
            assert_eq!(upstream.requests(), ["GET /first HTTP/1.1", second, second]);
            let mut put = client.put(url("/third")).send("body").unwrap();
            assert_eq!(put.body_mut().read_to_string().unwrap(), "hello");
        });
    }
}

#[test]
fn another_request_that_meets_the_close_is_an_error() {
    check(|| {
        let upstream = closing_at_the_second_request(false);
        let client = Client::new();
        text(&client, "/");
        let error = client.post(url("/")).send("x").unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error}");
        assert_eq!(upstream.requests().len(), 2);
        assert_eq!(client.post(url("/")).send("x").unwrap().status(), 200);
    });
}

#[test]
fn a_request_on_a_new_connection_is_made_once() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| drop(conversation.hear()));
        assert!(Client::new().get(url("/")).call().is_err());
        assert_eq!(upstream.requests().len(), 1);
    });
}

#[test]
fn a_host_never_has_more_connections_than_its_limit() {
    for limit in [1, 3] {
        check(move || {
            let (now, most) = (Rc::new(Cell::new(0_usize)), Rc::new(Cell::new(0)));
            let counted = (Rc::clone(&now), Rc::clone(&most));
            let upstream = Upstream::start(move |mut conversation| {
                let (now, most) = &counted;
                now.set(now.get() + 1);
                most.set(now.get().max(most.get()));
                while conversation.hear().is_some() {
                    sleep(MS);
                    conversation.say(OK);
                }
                now.set(now.get() - 1);
            });
            let limits = ClientLimits::default().with_connections_per_host(limit);
            let client = Client::builder().limits(limits).build();
            sched::scope(|s| {
                for _ in 0..8 {
                    s.spawn(|| assert_eq!(text(&client, "/"), "hello"));
                }
            });
            assert_eq!((most.get(), upstream.requests().len()), (limit, 8));
            assert_eq!(upstream.connections(), limit, "each is used again");
        });
    }
}

#[test]
fn idle_connections_close_with_their_client_and_after_their_time() {
    check(|| {
        let upstream = Upstream::answering(OK);
        let other = Upstream::at("10.0.0.8:80", |mut conversation| {
            while conversation.hear().is_some() {
                conversation.say(OK);
            }
        });
        let client = Client::new();
        text(&client, "/");
        sleep(Duration::from_secs(10));
        let mut response = client.get("http://10.0.0.8/").call().unwrap();
        response.body_mut().read_to_string().unwrap();
        sleep(Duration::from_secs(4));
        assert_eq!((upstream.ends().len(), other.ends().len()), (0, 0));
        sleep(Duration::from_secs(2));
        assert_eq!((upstream.ends().len(), other.ends().len()), (1, 0), "its time is over");
        drop(client);
        sleep(2 * MS);
        assert_eq!(other.ends().len(), 1, "the client is gone");
    });
}

#[test]
fn idle_connections_close_in_time_without_a_further_call() {
    check(|| {
        let upstream = Upstream::answering(OK);
        let client = Client::new();
        for round in 1..4 {
            // Two at once, and one of them is used again later.
            sched::scope(|s| {
                for _ in 0..2 {
                    s.spawn(|| assert_eq!(text(&client, "/"), "hello"));
                }
            });
            sleep(Duration::from_secs(8));
            assert_eq!(text(&client, "/"), "hello");
            let before = 2 * (round - 1);
            sleep(Duration::from_secs(6));
            assert_eq!(upstream.ends().len(), before);
            sleep(Duration::from_secs(2));
            assert_eq!(upstream.ends().len(), before + 1, "15 s after its use");
            sleep(Duration::from_secs(8));
            assert_eq!(upstream.ends().len(), before + 2);
            assert_eq!(upstream.connections(), 2 * round);
        }
    });
}

#[test]
fn a_client_that_was_shut_down_makes_no_calls() {
    check(|| {
        let _upstream = Upstream::answering(OK);
        let client = Client::new();
        let mut response = client.get(url("/")).call().unwrap();
        (*client).clone().shutdown();
        assert_eq!(response.body_mut().read_to_string().unwrap(), "hello", "calls end");
        let error = client.get(url("/")).call().unwrap_err();
        assert_eq!(error.to_string(), "io: Agent is shut down");
    });
}
