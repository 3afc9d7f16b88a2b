//! The encoders of content codings: bytes in, bytes out.

use std::fmt;
use std::io::{self, Write};
use std::mem;

/// A content coding of responses; the feature of each adds it.
///
/// Each response in flight that is compressed holds the state of its encoder. The server's budget
/// of memory ([`Capacity::memory_bytes`](crate::Capacity::memory_bytes)) accounts for it; without
/// room for it, the response is sent as it is.
///
/// | coding | library | level by default | state |
/// |---|---|--:|--:|
/// | `Zstd` | zstd, in C | 3 | 2 MiB |
/// | `Brotli` | brotli, in Rust | 3 | 1.5 MiB |
/// | `Gzip` | zlib-rs, in Rust | 4 | 0.5 MiB |
///
/// ```
/// use straightline::web::middleware::Coding;
///
/// assert_eq!(Coding::Gzip.name(), "gzip");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coding {
    /// `zstd` (RFC 8878), with a window of 512 KiB.
    #[cfg(feature = "zstd")]
    Zstd,
    /// `br` (RFC 7932), with a window of 256 KiB.
    #[cfg(feature = "brotli")]
    Brotli,
    /// `gzip` (RFC 1952).
    #[cfg(feature = "gzip")]
    Gzip,
}

impl Coding {
    /// All codings that this program has, the fastest first.
    pub const ALL: &'static [Self] = &[
        #[cfg(feature = "zstd")]
        Self::Zstd,
        #[cfg(feature = "brotli")]
        Self::Brotli,
        #[cfg(feature = "gzip")]
        Self::Gzip,
    ];

    /// The name in `Content-Encoding`. Not a yield point.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
            #[cfg(feature = "brotli")]
            Self::Brotli => "br",
            #[cfg(feature = "gzip")]
            Self::Gzip => "gzip",
        }
    }

    /// How many bytes of memory an encoder holds: measured for the levels by default, and rounded
    /// up for others.
    #[allow(unused_variables)] // an encoder of gzip has one size
    pub(super) fn state_bytes(self, levels: Levels) -> usize {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd if levels.zstd <= 4 => 2 << 20,
            #[cfg(feature = "zstd")]
            Self::Zstd => 16 << 20,
            #[cfg(feature = "brotli")]
            Self::Brotli => match levels.brotli {
                0..=3 => 3 << 19,
                4..=9 => 8 << 20,
                _ => 32 << 20,
            },
            #[cfg(feature = "gzip")]
            Self::Gzip => 512 << 10,
        }
    }
}

/// How much time each coding spends on a byte.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_field_names)] // each coding has its own scale of levels
pub(super) struct Levels {
    #[cfg(feature = "zstd")]
    pub(super) zstd: i32,
    #[cfg(feature = "brotli")]
    pub(super) brotli: u32,
    #[cfg(feature = "gzip")]
    pub(super) gzip: u32,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            #[cfg(feature = "zstd")]
            zstd: 3,
            #[cfg(feature = "brotli")]
            brotli: 3,
            #[cfg(feature = "gzip")]
            gzip: 4,
        }
    }
}

/// Compresses what is written, into memory, from where the caller takes it.
pub(super) enum Encoder {
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
    #[cfg(feature = "brotli")]
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    #[cfg(feature = "gzip")]
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    /// The last bytes.
    Finished(Vec<u8>),
}

impl Encoder {
    #[allow(clippy::unnecessary_wraps)] // that of zstd may fail
    pub(super) fn new(coding: Coding, levels: Levels) -> io::Result<Self> {
        Ok(match coding {
            #[cfg(feature = "zstd")]
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), levels.zstd)?;
                encoder.window_log(ZSTD_WINDOW_LOG)?;
                Self::Zstd(Box::new(encoder))
            }
            #[cfg(feature = "brotli")]
            Coding::Brotli => Self::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER_BYTES,
                levels.brotli,
                BROTLI_WINDOW_LOG,
            ))),
            #[cfg(feature = "gzip")]
            Coding::Gzip => Self::Gzip(Box::new(flate2::write::GzEncoder::new(
                Vec::new(),
                flate2::Compression::new(levels.gzip),
            ))),
        })
    }

    /// Takes the whole piece. Not a yield point.
    pub(super) fn put(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.write_all(piece),
            #[cfg(feature = "brotli")]
            Self::Brotli(encoder) => encoder.write_all(piece),
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => encoder.write_all(piece),
            Self::Finished(_) => Err(io::Error::other("the body was finished")),
        }
    }

    /// Puts out everything that was written so far, so that the client can decode it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.flush(),
            #[cfg(feature = "brotli")]
            Self::Brotli(encoder) => encoder.flush(),
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => encoder.flush(),
            Self::Finished(_) => Ok(()),
        }
    }

    /// The body is complete: puts out its end.
    #[allow(clippy::unnecessary_wraps)] // those of gzip and zstd may fail
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let rest = match mem::replace(self, Self::Finished(Vec::new())) {
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.finish()?,
            #[cfg(feature = "brotli")]
            Self::Brotli(encoder) => encoder.into_inner(),
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Finished(rest) => rest,
        };
        *self = Self::Finished(rest);
        Ok(())
    }

    /// What was put out and not taken.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => encoder.get_mut(),
            #[cfg(feature = "brotli")]
            Self::Brotli(encoder) => encoder.get_mut(),
            #[cfg(feature = "gzip")]
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Finished(rest) => rest,
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

/// 512 KiB, where level 3 would take 2 MiB. Arbitrary: most bodies are smaller.
#[cfg(feature = "zstd")]
const ZSTD_WINDOW_LOG: u32 = 19;

/// 256 KiB. Arbitrary: most bodies are smaller.
#[cfg(feature = "brotli")]
const BROTLI_WINDOW_LOG: u32 = 18;

/// How many bytes the encoder puts out at a time.
#[cfg(feature = "brotli")]
const BROTLI_BUFFER_BYTES: usize = 4096;
