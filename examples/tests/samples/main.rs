//! The sample servers as processes: the contract of all servers, what may happen to their process,
//! and the features of the playground.

#[cfg(all(feature = "web", feature = "websocket", feature = "sqlite", feature = "_tls"))]
mod behind_proxies;
#[cfg(any(feature = "sqlite", all(feature = "web", feature = "websocket")))]
mod browser;
#[cfg(all(feature = "web", feature = "websocket"))]
mod chat;
mod contract;
#[cfg(feature = "_tls")]
mod https;
#[cfg(feature = "sqlite")]
mod json_api;
mod operating;
#[cfg(feature = "web")]
mod playground;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
#[path = "../../../db/tests/common/postgres_server.rs"]
#[allow(dead_code, reason = "the tests of the pool use more of it")]
mod postgres_server;
#[cfg(feature = "proxy")]
mod proxy;
#[cfg(feature = "web")]
mod routing;
mod servers;
#[cfg(all(feature = "web", feature = "sqlite", feature = "_tls"))]
mod service;
mod service_manager;
#[cfg(feature = "web")]
mod sse;
#[cfg(feature = "web")]
mod static_site;
#[cfg(feature = "web")]
mod upload;
#[cfg(all(feature = "web", feature = "websocket"))]
mod websocket;
mod without_c;

/// The samples that are HTTP servers.
const SERVERS: &[&str] = &[
    "hello",
    "bench_server",
    "fanout",
    #[cfg(all(feature = "web", feature = "sqlite", feature = "_tls"))]
    "service",
    #[cfg(feature = "web")]
    "playground",
    #[cfg(feature = "proxy")]
    "proxy",
    #[cfg(feature = "web")]
    "routing",
    #[cfg(feature = "web")]
    "sse",
    #[cfg(feature = "web")]
    "static_site",
    #[cfg(feature = "web")]
    "upload",
    #[cfg(all(feature = "web", feature = "websocket"))]
    "chat",
    #[cfg(all(feature = "web", feature = "websocket"))]
    "websocket",
];
