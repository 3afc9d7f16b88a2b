//! For this repository's own fuzzers, benchmarks and test tables: behind the feature `internals`,
//! and not part of the public interface.
//!
//! `protocol` gives access to the protocol core. The other files are the fuzz targets of `fuzz/`:
//! they stand here, beside the code that they test, and the programs in `fuzz/fuzz_targets/` only
//! call them. Each takes the fuzzer's bytes and panics if a property does not hold.

mod fuzz_chunked;
mod fuzz_connection;
mod fuzz_content_length;
#[cfg(feature = "cookies")]
mod fuzz_cookies;
#[cfg(all(feature = "gzip", feature = "brotli"))]
mod fuzz_decode;
mod fuzz_forwarded;
mod fuzz_head;
mod fuzz_heads;
mod fuzz_multipart;
#[cfg(feature = "proxy")]
mod fuzz_proxied;
mod fuzz_proxy_protocol;
#[cfg(feature = "form")]
mod fuzz_query;
mod fuzz_ranges;
#[cfg(feature = "proxy")]
mod fuzz_response;
#[cfg(feature = "websocket")]
mod fuzz_websocket;
mod in_pieces;
#[cfg(feature = "proxy")]
mod plain_response;
mod protocol;

pub use fuzz_chunked::fuzz_chunked;
pub use fuzz_connection::fuzz_connection;
pub use fuzz_content_length::fuzz_content_length;
#[cfg(feature = "cookies")]
pub use fuzz_cookies::fuzz_cookies;
#[cfg(all(feature = "gzip", feature = "brotli"))]
pub use fuzz_decode::fuzz_decode;
pub use fuzz_forwarded::fuzz_forwarded;
pub use fuzz_head::fuzz_head;
pub use fuzz_heads::fuzz_heads;
pub use fuzz_multipart::fuzz_multipart;
#[cfg(feature = "proxy")]
pub use fuzz_proxied::fuzz_proxied;
pub use fuzz_proxy_protocol::fuzz_proxy_protocol;
#[cfg(feature = "form")]
pub use fuzz_query::fuzz_query;
pub use fuzz_ranges::fuzz_ranges;
#[cfg(feature = "proxy")]
pub use fuzz_response::fuzz_response;
#[cfg(feature = "websocket")]
pub use fuzz_websocket::fuzz_websocket;
pub use protocol::{Chunk, Chunked, Parser};

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Gives a target each of its seeds.
    fn try_seeds(name: &str, target: fn(&[u8])) {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let mut count = 0;
        for seed in fs::read_dir(seeds).unwrap() {
            target(&fs::read(seed.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0);
    }

    #[test]
    fn the_fuzz_targets_take_their_seeds() {
        try_seeds("chunked", fuzz_chunked);
        try_seeds("connection", fuzz_connection);
        #[cfg(all(feature = "gzip", feature = "brotli"))]
        try_seeds("decode", fuzz_decode);
        try_seeds("multipart", fuzz_multipart);
        try_seeds("content_length", fuzz_content_length);
        #[cfg(feature = "cookies")]
        try_seeds("cookies", fuzz_cookies);
        try_seeds("forwarded", fuzz_forwarded);
        try_seeds("head", fuzz_head);
        try_seeds("heads", fuzz_heads);
        #[cfg(feature = "proxy")]
        try_seeds("proxied", fuzz_proxied);
        try_seeds("proxy_protocol", fuzz_proxy_protocol);
        #[cfg(feature = "form")]
        try_seeds("query", fuzz_query);
        try_seeds("ranges", fuzz_ranges);
        #[cfg(feature = "proxy")]
        try_seeds("response", fuzz_response);
        #[cfg(feature = "websocket")]
        try_seeds("websocket", fuzz_websocket);
    }
}
