//! Content codings (RFC 9110 section 8.4): responses are compressed, requests decoded.

mod decoded_body;
mod decoders;

pub use decoded_body::DecodedBody;
