//! Which upstreams get requests: health checks, and ejections after failures.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use straightline::proxy::{Ejections, HealthCheck, Proxy, ProxyLimits};
use straightline::sched;

use crate::common::simulated::{Client, GET, secs, simulated};
use crate::scripted::{answer_all, read_head, simulated_upstream};

const GOOD: &str = "10.0.0.8:80";
const BAD: &str = "10.0.0.9:80";

/// The body of the response to a GET.
fn ask(address: SocketAddr) -> String {
    let text = Client::connect(address).send(GET).receive();
    text.split_once("\r\n\r\n").expect("a head").1.to_owned()
}

/// Runs a proxy, and returns the events as text.
fn with_proxy(
    configure: impl FnOnce(straightline::proxy::ProxyBuilder) -> straightline::proxy::ProxyBuilder,
    client: impl FnOnce(SocketAddr, Proxy) + 'static,
) -> Vec<String> {
    let events: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&events);
    let builder = Proxy::builder().observer(move |event| {
        told.lock().expect("no panic").push(event.to_string());
    });
    let proxy = configure(builder).build().expect("a good proxy");
    let handler = proxy.clone();
    simulated(|server| server, move || handler.clone(), move |address| client(address, proxy));
    std::mem::take(&mut *events.lock().expect("no panic"))
}

#[test]
fn requests_go_where_the_fewest_are() {
    with_proxy(
        |proxy| proxy.upstream(GOOD).upstream(BAD),
        |address, proxy| {
            let _first = simulated_upstream(GOOD, |stream, _| answer_all(stream, "first"));
            let _second = simulated_upstream(BAD, |mut stream, _| {
                let _ = read_head(&mut stream);
                sched::sleep(secs(20)); // slow, so it gets one at a time
                answer_all(stream, "second");
            });
            let mut slow = Client::connect(address);
            slow.send(GET);
            sched::sleep(secs(1));
            let mut other = Client::connect(address);
            other.send(GET);
            sched::sleep(secs(1));
            for _ in 0..10 {
                assert_eq!(ask(address), "first");
            }
            let numbers = proxy.metrics().upstreams;
            assert_eq!((numbers[0].requests, numbers[1].requests), (11, 1));
        },
    );
}

#[test]
fn an_upstream_that_fails_is_ejected_and_comes_back() {
    let events = with_proxy(
        |proxy| {
            let ejections = Ejections::default().with_failures(3);
            proxy.upstream(GOOD).upstream(BAD).ejections(ejections)
        },
        |address, proxy| {
            let is_bad = Rc::new(Cell::new(true));
            let state = Rc::clone(&is_bad);
            let _good = simulated_upstream(GOOD, |stream, _| answer_all(stream, "good"));
            let _bad = simulated_upstream(BAD, move |mut stream, _| {
                if state.get() {
                    let _ = read_head(&mut stream);
                    let _ = stream.write_all(b"garbage");
                } else {
                    answer_all(stream, "well");
                }
            });
            let failed = (0..20).filter(|_| ask(address) != "good").count();
            assert_eq!(failed, 3);
            let numbers = proxy.metrics().upstreams;
            assert!(numbers[1].is_ejected && !numbers[0].is_ejected);
            assert_eq!(numbers[1].ejections, 1);
            // It is tried again once, and fails again.
            sched::sleep(secs(11));
            assert!(!proxy.metrics().upstreams[1].is_ejected);
            let failed = (0..20).filter(|_| ask(address) != "good").count();
            assert_eq!(failed, 1);
            sched::sleep(secs(11));
            assert!(proxy.metrics().upstreams[1].is_ejected, "for twice the time");
            is_bad.set(false);
            sched::sleep(secs(10));
            let answers: Vec<_> = (0..20).map(|_| ask(address)).collect();
            assert!(answers.contains(&"well".to_owned()), "{answers:?}");
            assert!(answers.iter().all(|text| text == "good" || text == "well"));
        },
    );
    let ejected: Vec<_> = events.iter().filter(|event| event.contains("ejected")).collect();
    assert_eq!(
        ejected,
        [
            "upstream 10.0.0.9:80 failed too often, and is ejected for 10s",
            "upstream 10.0.0.9:80 failed too often, and is ejected for 20s",
        ]
    );
    let failed = events.iter().filter(|event| event.contains("malformed status line"));
    assert_eq!(failed.count(), 4, "{events:?}");
}

#[test]
fn an_upstream_whose_bodies_end_early_is_ejected() {
    with_proxy(
        |proxy| {
            let ejections = Ejections::default().with_failures(3);
            proxy.upstream(GOOD).upstream(BAD).ejections(ejections)
        },
        |address, proxy| {
            let _good = simulated_upstream(GOOD, |stream, _| answer_all(stream, "good"));
            let _bad = simulated_upstream(BAD, move |mut stream, _| {
                let _ = read_head(&mut stream);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
            });
            for _ in 0..20 {
                ask(address);
            }
            assert!(proxy.metrics().upstreams[1].is_ejected);
        },
    );
}

#[test]
fn as_many_upstreams_are_tried_as_the_limit_says() {
    for (attempts, tried) in [(1, 1), (2, 2), (3, 3), (4, 3)] {
        with_proxy(
            |proxy| {
                let limits = ProxyLimits::default().with_attempts(attempts);
                let proxy = proxy.limits(limits).ejections(Ejections::default().with_failures(0));
                proxy.upstream("10.0.0.1:81").upstream("10.0.0.2:81").upstream("10.0.0.3:81")
            },
            move |address, proxy| {
                let text = Client::connect(address).send(GET).receive();
                assert!(text.starts_with("HTTP/1.1 502 "), "{text}");
                let failures: Vec<_> =
                    proxy.metrics().upstreams.iter().map(|one| one.failures).collect();
                assert_eq!(
                    failures.iter().sum::<u64>(),
                    tried,
                    "{attempts} attempts: {failures:?}"
                );
                assert!(failures.iter().all(|&count| count <= 1), "{failures:?}");
            },
        );
    }
}

#[test]
fn as_many_idle_connections_are_kept_as_the_limit_says() {
    for (limit, kept) in [(0, 0), (1, 1), (2, 2), (3, 2)] {
        with_proxy(
            |proxy| {
                proxy.upstream(GOOD).limits(ProxyLimits::default().with_idle_connections(limit))
            },
            move |address, proxy| {
                let _upstream = simulated_upstream(GOOD, |mut stream, _| {
                    while read_head(&mut stream).is_some() {
                        sched::sleep(Duration::from_millis(100));
                        let _ = stream.write_all(b"HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n");
                    }
                });
                let mut both = [Client::connect(address), Client::connect(address)];
                for client in &mut both {
                    client.send(GET);
                }
                both.iter_mut().for_each(|client| drop(client.receive()));
                let numbers = proxy.metrics().upstreams.remove(0);
                assert_eq!((numbers.connected, numbers.idle), (2, kept), "limit {limit}");
            },
        );
    }
}

#[test]
fn a_status_of_an_upstream_is_no_failure() {
    let events = with_proxy(
        |proxy| proxy.upstream(GOOD).ejections(Ejections::default().with_failures(1)),
        |address, proxy| {
            let _upstream = simulated_upstream(GOOD, |mut stream, _| {
                while read_head(&mut stream).is_some() {
                    let answer = "HTTP/1.1 500 x\r\nContent-Length: 4\r\n\r\nill\n";
                    let _ = stream.write_all(answer.as_bytes());
                }
            });
            (0..10).for_each(|_| assert_eq!(ask(address), "ill\n"));
            assert_eq!(proxy.metrics().upstreams[0].failures, 0);
        },
    );
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn health_checks_find_the_ill_and_the_well() {
    let events = with_proxy(
        |proxy| {
            let check = HealthCheck::new("/healthz?x").with_interval(secs(1));
            proxy.upstream(GOOD).upstream(BAD).health_check(check.with_timeout(secs(1)))
        },
        |address, proxy| {
            // 0: well; 1: a 503; 2: no answer; 3: garbage
            let state = Rc::new(Cell::new(0));
            let current = Rc::clone(&state);
            let _good = simulated_upstream(GOOD, |stream, _| answer_all(stream, "good"));
            let _bad = simulated_upstream(BAD, move |mut stream, _| {
                let Some(head) = read_head(&mut stream) else { return };
                if !head.starts_with("GET /healthz?x HTTP/1.1\r\nHost: 10.0.0.9:80\r\n") {
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad";
                    let _ = stream.write_all(answer.as_bytes());
                    return;
                }
                let answer = match current.get() {
                    0 => "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 302 x\r\nContent-Length: 0\r\n\r\n",
                    1 => "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n",
                    2 => "",
                    _ => "garbage",
                };
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.read_to_end(&mut Vec::new());
            });
            let are_used = |expected: bool| {
                let answers: Vec<_> = (0..20).map(|_| ask(address)).collect();
                assert!(answers.contains(&"good".to_owned()), "{answers:?}");
                assert_eq!(answers.contains(&"bad".to_owned()), expected, "{answers:?}");
            };
            are_used(true); // the first request starts the checks
            for ill in 1..=3 {
                state.set(ill);
                sched::sleep(secs(8));
                assert!(proxy.metrics().upstreams[1].is_ill, "{ill}");
                are_used(false);
                state.set(0);
                sched::sleep(secs(5));
                assert!(!proxy.metrics().upstreams[1].is_ill, "{ill}");
                are_used(true);
            }
        },
    );
    let events: Vec<_> = events.iter().map(|event| event.split(':').nth(1).unwrap_or("")).collect();
    assert_eq!(events, ["80 is ill", "80 is well"].repeat(3));
}

#[test]
fn health_is_decided_at_the_threshold() {
    for (bad_checks, is_ill) in [(2, false), (3, true), (4, true)] {
        with_proxy(
            |proxy| {
                let check = HealthCheck::new("/").with_interval(secs(10)).with_well_after(100);
                proxy.upstream(GOOD).health_check(check)
            },
            move |address, proxy| {
                let checks = Rc::new(Cell::new(0));
                let counter = Rc::clone(&checks);
                let _upstream = simulated_upstream(GOOD, move |mut stream, _| {
                    let Some(head) = read_head(&mut stream) else { return };
                    let is_check = head.contains("Connection: close");
                    let is_bad = is_check && counter.get() < bad_checks;
                    counter.set(counter.get() + u32::from(is_check));
                    let status = if is_bad { 500 } else { 200 };
                    let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
                    let _ = stream.write_all(text.as_bytes());
                });
                ask(address);
                sched::sleep(secs(55));
                assert!(checks.get() >= 5, "{} checks", checks.get());
                assert_eq!(proxy.metrics().upstreams[0].is_ill, is_ill, "{bad_checks} bad ones");
                if is_ill {
                    let text = Client::connect(address).send(GET).receive();
                    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
                    assert!(text.contains("No upstream server is available."), "{text}");
                }
            },
        );
    }
}

#[test]
fn checks_end_with_the_server() {
    let checks = Rc::new(Cell::new(0));
    let counter = Rc::clone(&checks);
    with_proxy(
        |proxy| {
            let check = HealthCheck::new("/").with_interval(Duration::from_millis(100));
            proxy.upstream(GOOD).health_check(check)
        },
        move |address, _| {
            let _upstream = simulated_upstream(GOOD, move |stream, _| {
                counter.set(counter.get() + 1);
                answer_all(stream, "good");
            });
            ask(address);
            sched::sleep(secs(1));
        },
    );
    // The simulation would have failed with a fiber or a socket that is left.
    assert!(checks.get() > 5);
}
