//! Retries and hedging with real calls.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use straightline::Method;
use straightline::client::{Client, Hedge, Retry, RetryBudget, Verdict};
use straightline::net::sim::network;
use straightline::sched::{deadline, now, sleep};

use crate::upstream::{ADDRESS, MS, OK, Upstream, check, url};

fn get(client: &Client, retry: Retry<'_>) -> Result<u16, String> {
    retry
        .run(|| client.get(url("/")).call(), |outcome| Verdict::of_call(&Method::GET, outcome))
        .map(|response| response.status().as_u16())
        .map_err(|error| error.to_string())
}

#[test]
fn a_call_is_made_again_until_the_server_is_back() {
    check(|| {
        let upstream = Upstream::answering(OK);
        let address = ADDRESS.parse().unwrap();
        network().refuse(address);
        let budget = RetryBudget::new();
        let retry = Retry::new(&budget).attempts(2).delay_first(MS);
        assert!(get(&Client::new(), retry).is_err());
        straightline::sched::spawn(move || {
            sleep(500 * MS);
            network().accept_again(address);
        });
        let retry = Retry::new(&budget).attempts(8).delay_first(200 * MS);
        let outcome = get(&Client::new(), retry);
        assert!(outcome == Ok(200) || budget.retries() == 8, "{outcome:?} {budget:?}");
        sleep(600 * MS);
        drop(upstream);
    });
}

#[test]
fn the_server_says_when_to_come_back() {
    check(|| {
        let answers = Cell::new(0);
        let upstream = Upstream::start(move |mut conversation| {
            while conversation.hear().is_some() {
                answers.set(answers.get() + 1);
                conversation.say(match answers.get() {
                    1 => "HTTP/1.1 503 No\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n",
                    _ => OK,
                });
            }
        });
        let (budget, start) = (RetryBudget::new(), now());
        assert_eq!(get(&Client::new(), Retry::new(&budget)), Ok(200));
        assert!(now() - start >= Duration::from_secs(3));
        assert_eq!(upstream.connections(), 1);
    });
}

#[test]
fn an_outage_is_not_amplified() {
    check(|| {
        let upstream = Upstream::answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
        let (client, budget) = (Client::new(), RetryBudget::new());
        let retry = Retry::new(&budget).delay_first(MS).delay_max(MS);
        for _ in 0..60 {
            assert_eq!(get(&client, retry), Ok(503));
        }
        let requests = upstream.requests().len();
        assert!((70..=76).contains(&requests), "{requests}: the reserve, and a tenth");
    });
}

#[test]
fn a_retry_ends_with_the_deadline_at_the_latest() {
    check(|| {
        let _upstream = Upstream::answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
        let budget = RetryBudget::with(1_000, 100);
        let retry = Retry::new(&budget).attempts(1_000).delay_first(20 * MS).delay_max(20 * MS);
        let start = now();
        assert_eq!(deadline(200 * MS, || get(&Client::new(), retry)), Ok(Ok(503)));
        assert!(now() - start < 200 * MS);
    });
}

#[test]
fn the_slower_of_two_calls_is_closed() {
    check(|| {
        let count = Rc::new(Cell::new(0));
        let upstream = Upstream::start(move |mut conversation| {
            count.set(count.get() + 1);
            if count.get() == 1 {
                conversation.hear();
                return conversation.wait_for_end();
            }
            while conversation.hear().is_some() {
                conversation.say(OK);
            }
        });
        let (client, budget) = (Client::new(), RetryBudget::new());
        let text = Hedge::new(&budget, 20 * MS)
            .run(|| client.get(url("/")).call()?.body_mut().read_to_string());
        assert_eq!(text.unwrap(), "hello");
        assert_eq!(upstream.connections(), 2);
        sleep(2 * MS);
        assert_eq!(upstream.ends().len(), 1, "the first call was cancelled");
    });
}

#[test]
fn an_answer_that_was_half_read_by_the_slower_call_reaches_no_other_call() {
    check(|| {
        let count = Rc::new(Cell::new(0));
        let upstream = Upstream::start(move |mut conversation| {
            count.set(count.get() + 1);
            if count.get() == 1 {
                conversation.hear();
                conversation.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ");
                sleep(30 * MS);
                conversation.say("later");
                return conversation.wait_for_end();
            }
            while conversation.hear().is_some() {
                conversation.say(OK);
            }
        });
        let (client, budget) = (Client::new(), RetryBudget::new());
        let ask = || client.get(url("/")).call()?.body_mut().read_to_string();
        for _ in 0..3 {
            assert_eq!(Hedge::new(&budget, 20 * MS).run(ask).unwrap(), "hello");
        }
        sleep(40 * MS);
        assert_eq!(ask().unwrap(), "hello");
        assert_eq!((upstream.connections(), upstream.ends().len()), (2, 1));
        assert_eq!((budget.requests(), budget.retries()), (3, 1));
    });
}

#[test]
fn two_calls_that_fail_are_an_error_and_without_budget_there_is_one_call() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            sleep(50 * MS);
        });
        let (client, budget) = (Client::new(), RetryBudget::with(1, 0));
        let ask = || client.get(url("/")).call()?.body_mut().read_to_string();
        for expected in [2, 3] {
            assert!(Hedge::new(&budget, 20 * MS).run(ask).is_err());
            assert_eq!(upstream.connections(), expected);
        }
        assert_eq!((budget.retries(), budget.refused()), (1, 1));
    });
}

#[test]
fn the_deadline_of_a_hedge_closes_both_calls() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            conversation.wait_for_end();
        });
        let (client, budget) = (Client::new(), RetryBudget::new());
        let late =
            deadline(100 * MS, || Hedge::new(&budget, 20 * MS).run(|| client.get(url("/")).call()));
        assert!(late.is_err());
        sleep(2 * MS);
        assert_eq!((upstream.connections(), upstream.ends().len()), (2, 2));
    });
}
