//! Peers that are not rustls: the client of OpenSSL as a process, and the client of Mbed TLS in
//! this one. What they think of a server counts, and they break the rules in their own ways.

#![cfg(any(feature = "mbedtls", feature = "aws-lc-rs"))]

#[path = "../common/mod.rs"]
mod common;

#[cfg(feature = "mbedtls-peer")]
mod mbed_tls_agrees;
mod openssl;
mod openssl_agrees;
mod openssl_checks_and_is_checked;
