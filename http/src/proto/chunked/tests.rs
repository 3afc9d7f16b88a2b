//! The decoder of chunked bodies, with bytes alone.

use quickcheck::quickcheck;

use super::*;

fn limits() -> Limits {
    Limits {
        body_bytes: 1 << 40,
        chunk_extension_bytes: 64,
        trailer_bytes: 64,
        ..Limits::default()
    }
}

/// Decodes bytes that arrive in pieces of those lengths: the body, the trailers, and how many
/// bytes are left.
fn decode(mut bytes: &[u8], pieces: &[u8]) -> Result<(Vec<u8>, Vec<u8>, usize), RefusalKind> {
    let (mut decoder, mut body) = (ChunkedDecoder::new(), Vec::new());
    let mut pieces = pieces.iter().cycle();
    let mut there = 0;
    loop {
        let (framing, next) = decoder.next(&bytes[..there], &limits()).map_err(|(kind, _)| kind)?;
        bytes = &bytes[framing..];
        there -= framing;
        match next {
            Next::End => return Ok((body, decoder.trailers.clone(), bytes.len())),
            Next::Data(left) if there > 0 => {
                let count = there.min(usize::try_from(left).unwrap());
                body.extend_from_slice(&bytes[..count]);
                decoder.took(count as u64);
                bytes = &bytes[count..];
                there -= count;
            }
            Next::Data(_) | Next::More => {
                let piece = pieces.next().map_or(bytes.len(), |piece| 1 + usize::from(*piece));
                assert!(there < bytes.len(), "an end without an end");
                there = (there + piece).min(bytes.len());
            }
        }
    }
}

fn encode(chunks: &[Vec<u8>], trailers: &[(HeaderName, HeaderValue)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in chunks {
        let start = begin_chunk(&mut bytes);
        bytes.extend_from_slice(chunk);
        end_chunk(&mut bytes, start);
    }
    put_last_chunk(&mut bytes, trailers);
    bytes
}

quickcheck! {
    fn what_was_encoded_is_decoded_in_any_pieces(
        chunks: Vec<Vec<u8>>,
        pieces: Vec<u8>,
        rest: Vec<u8>
    ) -> bool {
        let trailer = (HeaderName::from_static("a"), HeaderValue::from_static("b"));
        let mut bytes = encode(&chunks, &[trailer]);
        bytes.extend_from_slice(&rest);
        let Ok((body, trailers, left)) = decode(&bytes, &pieces) else { return false };
        body == chunks.concat() && trailers == b"a: b\r\n" && left <= rest.len()
    }

    fn any_bytes_end_in_a_verdict(bytes: Vec<u8>, pieces: Vec<u8>) -> bool {
        // The end behind the bytes ends every unfinished line.
        let mut bytes = bytes;
        bytes.extend_from_slice(b"\n\n");
        let mut decoder = ChunkedDecoder::new();
        let mut pieces = pieces.iter().map(|piece| usize::from(*piece)).chain([usize::MAX]);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let piece = pieces.next().unwrap_or(usize::MAX).clamp(1, rest.len());
            match decoder.next(&rest[..piece], &limits()) {
                Err((_, at)) => return at < piece,
                Ok((_, Next::End)) => return true,
                Ok((framing, Next::More)) => {
                    if framing != piece {
                        return false;
                    }
                    rest = &rest[framing..];
                }
                Ok((framing, Next::Data(left))) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX);
                    let count = count.min(rest.len() - framing);
                    decoder.took(count as u64);
                    rest = &rest[framing + count..];
                    if count == 0 && rest.is_empty() {
                        return true;
                    }
                }
            }
        }
        true
    }
}

#[test]
fn good_and_bad_framing() {
    for (text, expected) in [
        ("0\r\n\r\n", Ok("")),
        ("3\r\nabc\r\n0\r\n\r\n", Ok("abc")),
        ("03\r\nabc\r\n00\r\n\r\n", Ok("abc")),
        ("a\r\n0123456789\r\n0\r\n\r\n", Ok("0123456789")),
        ("A;x\r\n0123456789\r\n0;y=z\r\n\r\n", Ok("0123456789")),
        ("1 ;x = \"q\\\"; \r\"\r\n", Err(RefusalKind::Chunk)),
        ("1;x=\"a;b\"\r\n!\r\n0\r\n\r\n", Ok("!")),
        ("1 ; x\r\n!\r\n0\r\n\r\n", Ok("!")),
        ("1 \r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1;a=b;c ; d\t=\te;f=\"g\"\r\n!\r\n0\r\n\r\n", Ok("!")),
        ("1;\r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1; \r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1;;a\r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1;=a\r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1;a=\r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1;a \r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1;a b\r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1;a=\"b\r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1;a=b\"c\"\r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1;\"a\"\r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        (" 1\r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("\r\n", Err(RefusalKind::Chunk)),
        ("+1\r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("-1\r\n", Err(RefusalKind::Chunk)),
        ("0x1\r\n!\r\n", Err(RefusalKind::Chunk)),
        ("1_0\r\n", Err(RefusalKind::Chunk)),
        ("g\r\n", Err(RefusalKind::Chunk)),
        ("1\n!\n0\n\n", Err(RefusalKind::Chunk)),
        ("1\r!\r\n", Err(RefusalKind::Chunk)),
        ("1\r\n!\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1\r\n!0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1\r\n!!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1;\u{1}\r\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("1;a\n!\r\n0\r\n\r\n", Err(RefusalKind::Chunk)),
        ("00000000000000001\r\n", Err(RefusalKind::Chunk)),
        ("ffffffffffffffff\r\n", Err(RefusalKind::BodyBytes)),
        ("1\r\n!\r\nfffffffffffffffff\r\n", Err(RefusalKind::Chunk)),
        ("0\r\na: b\r\n\r\n", Ok("")),
        ("0\r\na : b\r\n\r\n", Err(RefusalKind::FieldName)),
        ("0\r\n: b\r\n\r\n", Err(RefusalKind::FieldName)),
        ("0\r\na\r\n\r\n", Err(RefusalKind::FieldName)),
        ("0\r\n folded\r\n\r\n", Err(RefusalKind::FieldName)),
        ("0\r\na: \u{1}\r\n\r\n", Err(RefusalKind::FieldValue)),
        ("0\r\nContent-length: 5\r\n\r\n", Err(RefusalKind::TrailerField)),
        ("0\r\na: b\n\r\n", Err(RefusalKind::LineEnd)),
        ("0\r\n\n", Err(RefusalKind::LineEnd)),
        ("0\r\n\ra", Err(RefusalKind::LineEnd)),
    ] {
        let text_in_pieces = |piece| {
            let decoded = decode(text.as_bytes(), &[piece]);
            decoded.map(|(body, ..)| String::from_utf8(body).unwrap())
        };
        for piece in [0, 1, 2, 254] {
            assert_eq!(text_in_pieces(piece), expected.map(str::to_owned), "{text:?}");
        }
    }
}

#[test]
fn extensions_and_trailers_are_bounded_over_the_whole_body() {
    let with_extension = |bytes: usize| format!("1;{}\r\n!\r\n0\r\n\r\n", "x".repeat(bytes - 1));
    assert!(decode(with_extension(64).as_bytes(), &[]).is_ok());
    let refused = decode(with_extension(65).as_bytes(), &[]).unwrap_err();
    assert_eq!(refused, RefusalKind::ChunkExtensionBytes);
    let many = "1;xxxxxxxxxxxxxxx\r\n!\r\n".repeat(5);
    assert_eq!(decode(many.as_bytes(), &[]).unwrap_err(), RefusalKind::ChunkExtensionBytes);

    let with_trailer = |bytes: usize| format!("0\r\na:{}\r\n\r\n", "x".repeat(bytes - 4));
    assert!(decode(with_trailer(64).as_bytes(), &[]).is_ok());
    let refused = decode(with_trailer(65).as_bytes(), &[]).unwrap_err();
    assert_eq!(refused, RefusalKind::TrailerBytes);
}

#[test]
fn trailers_are_fields_once_the_body_is_complete() {
    let text = b"0\r\nFirst:  one \r\nsecond:\r\nTE: x\r\nthird:\ta b\t\r\n\r\n";
    let mut decoder = ChunkedDecoder::new();
    let most = text.len() - 1;
    assert_eq!(decoder.next(&text[..most], &limits()), Ok((most, Next::More)));
    assert!(!decoder.is_complete());
    assert_eq!(decoder.next(&text[most..], &limits()), Ok((1, Next::End)));
    assert!(decoder.is_complete());
    let trailers = decoder.take_trailers().expect("three of them");
    let expected: [(&str, &[u8]); 3] = [("First", b"one"), ("second", b""), ("third", b"a b")];
    assert!(trailers.fields().iter().eq(expected), "{:?}", trailers.fields());
    assert!(decoder.take_trailers().is_none());
}

#[test]
fn what_a_trailer_must_not_say_has_no_case() {
    for name in ["Host", "content-Length", "TE", "if-Match"] {
        assert!(is_forbidden_trailer(name.as_bytes()), "{name}");
    }
    for name in ["etag", "hos", "hostt", ""] {
        assert!(!is_forbidden_trailer(name.as_bytes()), "{name}");
    }
}
