//! Encoded bodies: a body decodes to the same in one piece and in several, never beyond its bound,
//! and what was encoded decodes to itself.

use std::io::Write;

use super::in_pieces::InPieces;
use crate::web::RequestExt;
use crate::{Method, Request};

/// Tries an encoded body. The first byte chooses its coding, and the second says how it is cut into
/// pieces.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_decode(data: &[u8]) {
    let [choice, step, body @ ..] = data else { return };
    let coding = CODINGS[usize::from(*choice) % CODINGS.len()];
    let whole = decode(coding, body, 0);
    assert_eq!(whole, decode(coding, body, *step));
    if let Ok(content) = &whole {
        assert!(content.len() <= BYTES_MAX);
    }
    let content = &body[..body.len().min(BYTES_MAX)];
    let decoded = decode(coding, &encode(coding, content), *step);
    assert_eq!(decoded.as_deref(), Ok(content));
}

/// The content, or the text of the error.
fn decode(coding: &str, body: &[u8], step: u8) -> Result<Vec<u8>, String> {
    let request = Request::builder()
        .method(Method::POST)
        .header("content-encoding", coding)
        .reader(InPieces::new(body, step))
        .build();
    let request = request.map_err(|error| error.to_string())?;
    let mut body = request.decoded_body(BYTES_MAX as u64).map_err(|problem| problem.to_string())?;
    body.read_to_vec().map_err(|error| error.to_string())
}

fn encode(codings: &str, content: &[u8]) -> Vec<u8> {
    let mut encoded = content.to_vec();
    for coding in codings.split(", ") {
        encoded = match coding {
            "gzip" => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), LEVEL);
                let _ = writer.write_all(&encoded);
                writer.finish().unwrap_or_default()
            }
            "deflate" => {
                let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), LEVEL);
                let _ = writer.write_all(&encoded);
                writer.finish().unwrap_or_default()
            }
            _ => {
                let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, 1, 18);
                let _ = writer.write_all(&encoded);
                writer.into_inner()
            }
        };
    }
    encoded
}

const CODINGS: [&str; 3] = ["gzip", "deflate", "br"];

const LEVEL: flate2::Compression = flate2::Compression::new(1);

/// How many bytes a body may decode to.
const BYTES_MAX: usize = 10_000;
