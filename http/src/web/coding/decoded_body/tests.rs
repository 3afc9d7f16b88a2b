//! Bodies in each coding: whole, cut, in pieces, and with more behind their end.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn br(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    brotli::CompressorWriter::new(&mut encoded, 4096, 4, 22).write_all(bytes).unwrap();
    encoded
}

#[cfg(feature = "zstd")]
fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

type Encode = fn(&[u8]) -> Vec<u8>;

const CODINGS: &[(&str, Encode)] = &[
    ("gzip", gzip),
    ("x-gzip", gzip),
    ("deflate", deflate),
    ("br", br),
    #[cfg(feature = "zstd")]
    ("zstd", zstd),
];

/// Returns the bytes in pieces of one size.
struct InPieces(Vec<u8>, usize, usize);

impl Read for InPieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(buffer.len()).min(self.0.len() - self.2);
        buffer[..count].copy_from_slice(&self.0[self.2..self.2 + count]);
        self.2 += count;
        Ok(count)
    }
}

fn request(coding: &str, body: impl Read + 'static) -> Request {
    let builder = Request::builder().header("content-encoding", coding.to_owned());
    builder.reader(body).build().unwrap()
}

fn decode(coding: &str, body: &[u8], piece: usize, bytes_max: u64) -> Result<Vec<u8>, BodyError> {
    let request = request(coding, InPieces(body.to_vec(), piece, 0));
    DecodedBody::of(&request, bytes_max).unwrap().read_to_vec()
}

fn text() -> Vec<u8> {
    (0..20_000_u32).flat_map(|n| (n * n % 977).to_string().into_bytes()).collect()
}

#[test]
fn a_body_decodes_to_what_was_encoded_in_any_pieces() {
    let text = text();
    for (coding, encode) in CODINGS {
        for content in [&b""[..], b"x", &text] {
            let encoded = encode(content);
            for piece in [1, 7, usize::MAX] {
                let length = content.len() as u64;
                let decoded = decode(coding, &encoded, piece, length);
                assert_eq!(decoded.as_deref(), Ok(content), "{coding}");
                if length > 0 {
                    let too_long = decode(coding, &encoded, piece, length - 1);
                    assert_eq!(too_long, Err(BodyError::TooLong(length - 1)), "{coding}");
                }
            }
        }
    }
}

#[test]
fn a_cut_or_continued_body_is_malformed() {
    let content = &text()[..500];
    for (coding, encode) in CODINGS {
        let encoded = encode(content);
        for cut in 0..encoded.len() {
            let decoded = decode(coding, &encoded[..cut], usize::MAX, 1 << 20);
            assert!(matches!(decoded, Err(BodyError::Malformed(_))), "{coding} {cut}: {decoded:?}");
        }
        let more = [&encoded[..], b"more"].concat();
        let decoded = decode(coding, &more, usize::MAX, 1 << 20);
        assert!(matches!(decoded, Err(BodyError::Malformed(_))), "{coding}: {decoded:?}");
    }
}

#[test]
fn members_follow_each_other() {
    let two = [gzip(b"one "), gzip(b"two")].concat();
    assert_eq!(decode("gzip", &two, 5, 100).as_deref(), Ok(&b"one two"[..]));
    assert_eq!(decode("GZip,,identity ", &two, 3, 100).as_deref(), Ok(&b"one two"[..]));
    assert_eq!(decode("", b"text", 3, 4).as_deref(), Ok(&b"text"[..]));
    assert_eq!(decode("identity", b"text", 3, 3), Err(BodyError::TooLong(3)));
}

#[test]
fn other_codings_are_refused_with_those_that_are_understood() {
    use crate::message::IntoResponse;

    for coding in ["compress", "gzip, unknown", "gzip, br", "gzip, gzip", "gzip;q=1", "*"] {
        let problem = DecodedBody::of(&request(coding, io::empty()), 1).unwrap_err();
        assert_eq!(problem.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{coding}");
        let response = problem.into_response();
        let understood = response.headers().get("accept-encoding").unwrap();
        assert!(understood.ends_with("br, gzip, deflate"), "{understood}");
    }
}

/// Zeros in gzip, without an end.
struct Bomb {
    encoder: GzEncoder<Vec<u8>>,
}

impl Read for Bomb {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.encoder.get_ref().len() < buffer.len() {
            self.encoder.write_all(&[0; 16 * 1024])?;
        }
        buffer.copy_from_slice(&self.encoder.get_ref()[..buffer.len()]);
        self.encoder.get_mut().drain(..buffer.len());
        Ok(buffer.len())
    }
}

#[test]
fn a_bomb_ends_at_the_bound() {
    let encoder = GzEncoder::new(Vec::new(), Compression::new(1));
    let request = request("gzip", Bomb { encoder });
    let mut body = DecodedBody::of(&request, 8 << 20).unwrap();
    let error = body.copy_to(&mut io::sink()).unwrap_err();
    assert_eq!(BodyError::of(&error), Some(BodyError::TooLong(8 << 20)));
}

#[test]
#[cfg(feature = "zstd")]
fn a_window_beyond_the_bound_is_malformed() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(24).unwrap();
    encoder.write_all(b"text").unwrap();
    let body = encoder.finish().unwrap();
    let decoded = decode("zstd", &body, usize::MAX, 100);
    assert!(matches!(decoded, Err(BodyError::Malformed(_))), "{decoded:?}");
}
