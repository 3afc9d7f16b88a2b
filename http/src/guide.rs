//! Pages about the whole library, beside the documentation of its items.
//!
//! The texts are those of the folder `docs/` in the repository, and their examples run as tests.

// The pages are prose with many names that are no code.
#![allow(clippy::doc_markdown)]

#[doc(inline)]
pub use straightline_sched::guide::{drivers, hazards, soundness};

/// What runs where, what may wait, what a handler may leave behind, how work ends, and what each
/// message about misuse means.
///
/// [cookbook-state]: crate::guide::cookbook#state
/// [hazards]: crate::guide::hazards
/// [hazards-blocking]: crate::guide::hazards#blocking-the-thread
/// [hazards-thread]: crate::guide::hazards#state-that-is-tied-to-the-thread-by-a-closure
/// [hazards-unwinding]: crate::guide::hazards#unwinding
/// [memory-stacks]: crate::guide::memory#the-stack-of-a-fiber
/// [operations-stuck]: crate::guide::operations#stuck
#[doc = include_str!("../docs/concurrency.md")]
pub mod concurrency {}

/// Recipes: what a service needs, from state and JSON to databases, tests and tracing.
///
/// [hazards]: crate::guide::hazards
/// [simulation]: crate::guide::simulation
#[doc = include_str!("../docs/cookbook.md")]
pub mod cookbook {}

/// How to run a server in production: systemd, containers, proxies, restarts without a request that
/// fails.
///
/// [memory-sum]: crate::guide::memory#the-sum
/// [operations]: crate::guide::operations
/// [overload]: crate::guide::overload
/// [tls]: crate::guide::tls
#[doc = include_str!("../docs/deploy.md")]
pub mod deploy {}

/// For programmers who come from axum: the same small service in both, and what is called how.
///
/// [cookbook]: crate::guide::cookbook
/// [hazards]: crate::guide::hazards
/// [overload]: crate::guide::overload
#[doc = include_str!("../docs/from-axum.md")]
pub mod from_axum {}

/// For programmers who come from Go's `net/http`: the same small service in both, and what is
/// called how.
///
/// [overload]: crate::guide::overload
/// [simulation]: crate::guide::simulation
#[doc = include_str!("../docs/from-go.md")]
pub mod from_go {}

/// For programmers who come from a thread for each connection: the same small service in both, and
/// what is called how.
///
/// [hazards]: crate::guide::hazards
/// [overload]: crate::guide::overload
#[doc = include_str!("../docs/from-threads.md")]
pub mod from_threads {}

/// Which page is for what.
///
/// [concurrency]: crate::guide::concurrency
/// [conformance]: crate::guide::conformance
/// [cookbook]: crate::guide::cookbook
/// [deploy]: crate::guide::deploy
/// [drivers]: crate::guide::drivers
/// [from-axum]: crate::guide::from_axum
/// [from-go]: crate::guide::from_go
/// [from-threads]: crate::guide::from_threads
/// [hazards]: crate::guide::hazards
/// [memory]: crate::guide::memory
/// [migrating]: crate::guide::migrating
/// [operations]: crate::guide::operations
/// [overload]: crate::guide::overload
/// [simulation]: crate::guide::simulation
/// [soundness]: crate::guide::soundness
/// [stability]: crate::guide::stability
/// [threats]: crate::guide::threats
/// [tls]: crate::guide::tls
#[doc = include_str!("../docs/README.md")]
pub mod index {}

/// What a connection costs in memory, what bounds the sum, how to choose stacks, how to measure,
/// and what to set in a container with a limit.
///
/// [benchmarks]: crate::guide::benchmarks
/// [benchmarks-websocket]: crate::guide::benchmarks#websockets
/// [hazards-stacks]: crate::guide::hazards#stacks
/// [operations-leaking]: crate::guide::operations#leaking
/// [overload]: crate::guide::overload
#[doc = include_str!("../docs/memory.md")]
pub mod memory {}

/// For programmers who come from hyper or actix-web: what is called how, what is different, and how
/// to move a service.
///
/// [concurrency]: crate::guide::concurrency
/// [cookbook-login]: crate::guide::cookbook#a-login-in-a-cookie
/// [cookbook-state]: crate::guide::cookbook#state
/// [from-axum]: crate::guide::from_axum
/// [from-go]: crate::guide::from_go
/// [from-threads]: crate::guide::from_threads
/// [hazards]: crate::guide::hazards
/// [overload]: crate::guide::overload
/// [simulation]: crate::guide::simulation
#[doc = include_str!("../docs/migrating.md")]
pub mod migrating {}

/// What a running server tells: metrics, events, alerts, and what to do when it is slow, full,
/// stuck or leaking.
///
/// [concurrency-misuse]: crate::guide::concurrency#what-the-runtime-says-about-misuse
/// [deploy]: crate::guide::deploy
/// [hazards]: crate::guide::hazards
/// [memory]: crate::guide::memory
/// [overload]: crate::guide::overload
#[doc = include_str!("../docs/operations.md")]
pub mod operations {}

/// What each timeout and each limit does: what the client sees, what the handler sees, and what is
/// counted.
///
/// [cookbook-metrics]: crate::guide::cookbook#metrics-and-routes
/// [deploy]: crate::guide::deploy
/// [memory]: crate::guide::memory
/// [thread-bound]: crate::guide::hazards#state-that-is-tied-to-the-thread-by-a-closure
#[doc = include_str!("../docs/overload.md")]
pub mod overload {}

/// How to test a handler in virtual time, against slow clients, upstreams that vanish and long
/// waits.
///
/// [cookbook]: crate::guide::cookbook#tests-of-a-handler
/// [thread-bound]: crate::guide::hazards#state-that-is-tied-to-the-thread-by-a-closure
#[doc = include_str!("../docs/simulation.md")]
pub mod simulation {}

/// Which parts are stable, what an update may change, which Rust is needed, and what is no API.
///
/// [deploy]: crate::guide::deploy
/// [drivers]: crate::guide::drivers
/// [operations]: crate::guide::operations
/// [overload]: crate::guide::overload
#[doc = include_str!("../docs/stability.md")]
pub mod stability {}

/// What an attacker can try against an exposed service, what stops it, and which test shows that.
///
/// [conformance]: crate::guide::conformance
/// [operations]: crate::guide::operations
/// [overload]: crate::guide::overload
/// [soundness]: crate::guide::soundness
/// [tls]: crate::guide::tls
#[doc = include_str!("../docs/threats.md")]
pub mod threats {}

/// HTTPS: how to turn it on, what it costs, which library does the cryptography, and what each
/// setting is good for.
///
/// [overload]: crate::guide::overload
/// [simulation]: crate::guide::simulation
/// [benchmarks]: crate::guide::benchmarks
#[doc = include_str!("../docs/tls.md")]
pub mod tls {}

/// What it costs beside nginx, axum, hyper, Go and others, with the command of each measurement.
///
#[doc = include_str!("../docs/plots.txt")]
#[doc = include_str!("../docs/benchmarks.md")]
pub mod benchmarks {}

/// Which requests are refused, case by case, and what other servers do with them.
#[doc = include_str!("../docs/conformance.md")]
pub mod conformance {}
