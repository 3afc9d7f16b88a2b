//! Servers that vanish, break off, or send what is no HTTP: always an error in time, never a part
//! that looks like the whole, and never a panic.

use std::io::Write;
use std::time::Duration;

use straightline::client::ureq::Error;
use straightline::client::{Client, ClientLimits, ConnectError};
use straightline::net::sim::network;
use straightline::sched::{self, deadline, sleep};

use crate::upstream::{MS, Upstream, check, url};

/// A server that says this to each request, and then closes the connection.
fn saying(text: impl Into<String>) -> Upstream {
    let text = text.into();
    Upstream::start(move |mut conversation| {
        conversation.hear();
        conversation.say(&text);
    })
}

fn body(client: &Client) -> Result<String, Error> {
    client.get(url("/")).call()?.body_mut().read_to_string()
}

#[test]
fn a_refused_connection_is_a_connect_error_that_names_the_server() {
    check(|| {
        let error = body(&Client::new()).unwrap_err();
        assert!(ConnectError::is_cause_of(&error));
        assert!(error.to_string().starts_with("io: cannot connect to 10.0.0.9:80: "), "{error}");
        let error = Client::new().get("http://nowhere.example/").call().unwrap_err();
        assert!(ConnectError::is_cause_of(&error), "{error}");
        assert!(error.to_string().contains("nowhere.example"), "{error}");
    });
}

#[test]
fn a_response_that_is_cut_anywhere_is_an_error() {
    for whole in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        check(move || {
            // The last line of a chunked body is an empty one, which servers are known to forget.
            let needed = whole.len() - usize::from(whole.contains("chunked")) * 2;
            for _ in 0..4 {
                let end = usize::try_from(sched::random_u64() % needed as u64).unwrap();
                let upstream = saying(&whole[..end]);
                let outcome = body(&Client::new());
                assert!(outcome.is_err(), "{:?}: {outcome:?}", &whole[..end]);
                drop(upstream);
                sleep(MS);
            }
            let upstream = saying(whole);
            assert_eq!(body(&Client::new()).unwrap(), "hello");
            drop(upstream);
        });
    }
}

#[test]
fn a_reset_is_an_error_even_where_the_end_of_the_connection_is_the_end_of_the_body() {
    for head in ["", "Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"] {
        check(move || {
            let upstream = Upstream::start(move |mut conversation| {
                conversation.hear();
                conversation.say(&format!("HTTP/1.1 200 OK\r\n{head}\r\n5\r\npart"));
                sleep(5 * MS);
                conversation.stream.set_zero_linger().unwrap();
            });
            let error = body(&Client::new()).unwrap_err();
            assert_eq!(error.to_string(), "io: the server has reset the connection");
            drop(upstream);
        });
    }
}

#[test]
fn a_response_that_is_cut_in_place_of_100_continue_is_an_error_at_once() {
    check(|| {
        let upstream = saying("HTTP/1.1 10");
        let client = Client::new();
        let outcome = client.post(url("/")).header("expect", "100-continue").send("x");
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("closed the connection before its response"), "{error}");
        // The loop that it must not be would last for a second of real time, and would use the CPU.
        let turns = sched::stats().resumed;
        assert!(turns < 100, "{turns} turns");
        drop(upstream);
    });
}

#[test]
fn a_server_that_vanishes_is_given_up() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart");
            sleep(5 * MS);
            network().vanish(conversation.stream.local_addr().unwrap());
        });
        let limits = ClientLimits::default().with_silence(Duration::from_secs(9));
        let error = body(&Client::builder().limits(limits).build()).unwrap_err();
        assert_eq!(error.to_string(), "io: the server has been silent for 9s");
        drop(upstream);
    });
}

#[test]
fn a_head_is_read_up_to_its_limit() {
    for (more, is_read) in [(-1, true), (0, true), (1, false)] {
        check(move || {
            let begin = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ";
            let bytes = usize::try_from(32 * 1024 + more).unwrap() - begin.len() - 4;
            let upstream = saying(format!("{begin}{}\r\n\r\n", "x".repeat(bytes)));
            let outcome = Client::new().get(url("/")).call();
            assert_eq!(outcome.is_ok(), is_read, "{more}");
            let is_limit = matches!(outcome, Err(Error::LargeResponseHeader(..)));
            assert_eq!(is_limit, !is_read);
            drop(upstream);
        });
    }
}

#[test]
fn endless_heads_and_lines_are_cut_off() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (begin, again) in [
        ("HTTP/1.1 200 OK\r\nX: ", "x"),
        ("HTTP/1.1 200 OK\r\n", "X: y\r\n"),
        ("", "x"),
        ("", "\r\n"),
        (chunked, "0"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x"),
    ] {
        check(move || {
            let upstream = Upstream::start(move |mut conversation| {
                conversation.hear();
                conversation.say(begin);
                let piece = again.repeat(8 * 1024);
                while conversation.stream.write_all(piece.as_bytes()).is_ok() {
                    sleep(MS);
                }
            });
            let outcome = deadline(Duration::from_secs(5), || body(&Client::new()));
            assert!(matches!(outcome, Ok(Err(_))), "{begin:?} {again:?}: {outcome:?}");
            drop(upstream);
        });
    }
}

#[test]
fn endless_interim_responses_and_trailers_end_with_the_deadline() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    for (begin, again) in [("", "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"), (chunked, "X: y\r\n")] {
        check(move || {
            let upstream = Upstream::start(move |mut conversation| {
                conversation.hear();
                conversation.say(begin);
                while conversation.stream.write_all(again.as_bytes()).is_ok() {
                    sleep(MS);
                }
            });
            let outcome = deadline(100 * MS, || body(&Client::new()).is_err());
            assert!(matches!(outcome, Err(_) | Ok(true)), "{outcome:?}");
            drop(upstream);
        });
    }
}

#[test]
fn a_body_that_comes_slowly_comes_whole() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
            for letter in ["h", "e", "l", "l", "o"] {
                sleep(Duration::from_secs(59));
                conversation.say(letter);
            }
        });
        assert_eq!(body(&Client::new()).unwrap(), "hello");
        drop(upstream);
    });
}

#[test]
fn no_answer_makes_the_client_panic() {
    let parts = [
        "HTTP/1.1 ",
        "HTTP/1.0 ",
        "200",
        "204",
        "301",
        "100",
        "999",
        "-1",
        " OK",
        "\r\n",
        "\n",
        "Content-Length: ",
        "5",
        "18446744073709551616",
        "-5",
        "Transfer-Encoding: ",
        "chunked",
        "gzip",
        ", ",
        "Location: ",
        "/x",
        "http://",
        "\0",
        "\u{ff}",
        "Connection: close",
        "Connection: keep-alive",
        "a\r\nhello",
        "0\r\n\r\n",
        "Retry-After: 1",
        ":",
        " ",
        "Expect",
        "\r\n\r\n",
    ];
    check(move || {
        for _ in 0..3 {
            let mut text = String::new();
            if !sched::random_u64().is_multiple_of(4) {
                text.push_str("HTTP/1.1 200 OK\r\n");
            }
            for _ in 0..sched::random_u64() % 12 {
                let index = sched::random_u64() % parts.len() as u64;
                text.push_str(parts[usize::try_from(index).unwrap()]);
            }
            let upstream = saying(text);
            let client = Client::new();
            let outcome = deadline(Duration::from_secs(5), || {
                let _ = body(&client);
                let _ = client.post(url("/")).header("expect", "100-continue").send("x");
            });
            assert_eq!(outcome, Ok(()));
            drop(upstream);
            sleep(MS);
        }
    });
}
