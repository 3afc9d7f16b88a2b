//! Who the client is, when proxies stand in front of the server.
//!
//! A proxy says in a header field for whom it asks: `Forwarded` (RFC 7239) or `X-Forwarded-For`.
//! Every client can send such a field, so it counts only as far as proxies have written it that the
//! program trusts. From the bottom up: `forwarded` parses the fields, `resolved` is the result, and
//! `trusted_proxies` walks from the connection back to the client.

mod forwarded;
mod resolved;
mod trusted_proxies;

pub use resolved::ClientAddress;
pub use trusted_proxies::TrustedProxies;
