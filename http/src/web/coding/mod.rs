//! Content codings (RFC 9110 section 8.4): responses are compressed, requests decoded.

#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
mod compressed_writer;
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
mod compressible;
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
mod compression;
mod decoded_body;
mod decoders;
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
mod encoder;

#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
pub use compression::Compression;
pub use decoded_body::DecodedBody;
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
pub use encoder::Coding;
