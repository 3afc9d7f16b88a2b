//! What a program is told that calls a function with values that cannot be meant.

use std::panic::{UnwindSafe, catch_unwind};
use std::time::Duration;

use straightline::net::{ListenOptions, MemoryStream};
use straightline::sched::hub::Hub;
use straightline::sched::sync::{broadcast, mpsc};
use straightline::sched::{OffloadConfig, OffloadPool, run};
use straightline::web::TrustedProxies;
use straightline::web::middleware::{Cors, RateLimit};
use straightline::{AllowedHosts, IntoResponse, Networks, Response, Server};

fn message(misuse: impl FnOnce() + UnwindSafe) -> String {
    let payload = catch_unwind(misuse).expect_err("a panic");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast::<&str>().map_or_else(|_| String::new(), |t| (*t).into()),
    }
}

/// Drops a value that must not be dropped without a reason.
fn forget<T>(_: T) {}

/// What the panic has to say, and the call.
type Misuse = (&'static str, Box<dyn FnOnce() + UnwindSafe>);

#[test]
fn a_panic_names_the_call_and_says_what_to_do() {
    let forwarded = || TrustedProxies::by_forwarded(Networks::default());
    let pool = |threads, name: &str| {
        let config = OffloadConfig::default().with_max_threads(threads);
        drop(OffloadPool::new(config.with_name(name.to_owned())));
    };
    let text = || "text".into_response();
    let misuses: [Misuse; 18] = [
        ("`workers(0)`: say 1 or more", Box::new(|| forget(Server::builder().workers(0)))),
        ("`mpsc::channel(0)`: a channel has", Box::new(|| forget(mpsc::channel::<u8>(0)))),
        ("`broadcast::channel(0)`: a", Box::new(|| forget(broadcast::channel::<u8>(0)))),
        ("room for 0 messages", Box::new(|| forget(Hub::<u8>::bounded(0, 1, |_| 1)))),
        ("`max_threads` 0 runs no job", Box::new(move || pool(0, "a"))),
        ("no zero byte", Box::new(move || pool(1, "a\0"))),
        ("`run` called inside `run`", Box::new(|| run(|| run(|| ())))),
        (
            "with 0 listeners",
            Box::new(|| {
                forget(ListenOptions::new().bind_group("127.0.0.1:0", 0));
            }),
        ),
        ("room for 1 byte", Box::new(|| forget(MemoryStream::pair(0)))),
        ("with 0 requests in 1s", Box::new(|| forget(RateLimit::new(0, Duration::from_secs(1))))),
        (
            "say 1 or more",
            Box::new(|| {
                forget(RateLimit::new(1, Duration::from_secs(1)).burst(0));
            }),
        ),
        (
            "is no origin: write scheme, host",
            Box::new(|| {
                forget(Cors::new().allow_origins(["https://a.example/"]));
            }),
        ),
        (
            "list the origins with `allow_origins`",
            Box::new(|| {
                forget(Cors::new().allow_any_origin().allow_credentials().middleware());
            }),
        ),
        (
            "the scheme itself: leave it out",
            Box::new(move || {
                forget(forwarded().with_x_forwarded_proto());
            }),
        ),
        (
            "the host itself: leave it out",
            Box::new(move || {
                forget(forwarded().with_x_forwarded_host());
            }),
        ),
        ("without a scheme and a port", Box::new(|| forget(AllowedHosts::new(["http://a"])))),
        ("it is for `Response::stream`", Box::new(move || forget(text().content_length(1)))),
        (
            "not a value for the header",
            Box::new(|| {
                forget(Response::new(straightline::StatusCode::OK).header("x-a", "\n"));
            }),
        ),
    ];
    for (expected, misuse) in misuses {
        let text = message(misuse);
        assert!(text.starts_with("straightline: "), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}
