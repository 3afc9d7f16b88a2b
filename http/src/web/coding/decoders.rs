//! The decoders of content codings, each a reader over what the client sent.

use std::io::{self, Read};

#[cfg(feature = "brotli")]
mod br;
#[cfg(feature = "gzip")]
mod deflate;
#[cfg(any(feature = "gzip", feature = "brotli"))]
mod stepped;

/// The codings that this program decodes; the feature of each adds it.
pub(super) const UNDERSTOOD: &[&str] = &[
    #[cfg(feature = "zstd")]
    "zstd",
    #[cfg(feature = "brotli")]
    "br",
    #[cfg(feature = "gzip")]
    "gzip",
    #[cfg(feature = "gzip")]
    "deflate",
];

/// A reader of what `source` decodes to. The coding is one that is understood.
#[cfg_attr(
    not(any(feature = "gzip", feature = "brotli", feature = "zstd")),
    allow(clippy::needless_pass_by_value)
)]
pub(super) fn decoder<'r>(
    coding: &str,
    source: Box<dyn Read + 'r>,
) -> io::Result<Box<dyn Read + 'r>> {
    #[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
    let source = io::BufReader::with_capacity(INPUT_BYTES, source);
    match coding {
        #[cfg(feature = "gzip")]
        "gzip" => Ok(Box::new(flate2::bufread::MultiGzDecoder::new(source))),
        #[cfg(feature = "gzip")]
        "deflate" => Ok(Box::new(stepped::Stepped::new(source, deflate::Deflate::new()))),
        #[cfg(feature = "brotli")]
        "br" => Ok(Box::new(stepped::Stepped::new(source, br::Brotli::new()))),
        #[cfg(feature = "zstd")]
        "zstd" => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Ok(Box::new(decoder))
        }
        _ => {
            drop(source);
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}

/// How many bytes of memory a decoder may hold.
pub(super) fn held_bytes(coding: &str) -> usize {
    match coding {
        "br" => (16 << 20) + (1 << 20), // RFC 7932 has windows of up to 16 MiB
        "zstd" => (8 << 20) + (1 << 18), // the window and some blocks
        _ => 128 * 1024,
    }
}

/// How many bytes are read from the client at a time. Arbitrary: they decode to many.
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
const INPUT_BYTES: usize = 16 * 1024;

/// The largest window: 8 MiB, which RFC 9659 demands of senders.
#[cfg(feature = "zstd")]
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
