//! What an upstream may send: the head of its response and the framing of its body mean the same in
//! one piece and in several, and to a plain reader. `httparse` finds the same head.

use super::plain_response::{FIELDS_MAX, INTERIM_MAX, Plain, PlainResponse, read_plainly};
use crate::proto::{HeadBounds, ReceivedHead, ResponseParser};
use crate::proxy::{BodyDecoder, BodyNext};

/// Tries the bytes of an upstream. The first byte says how they are cut into pieces, and the second
/// one whether the request was a HEAD and whether the connection ends behind them.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_response(data: &[u8]) {
    let [step, flags, bytes @ ..] = data else { return };
    let (is_head, is_closed) = (flags & 1 != 0, flags & 2 != 0);
    let whole = read(bytes, is_head, is_closed, 0);
    assert_eq!(whole, read(bytes, is_head, is_closed, (*step).max(1)), "in pieces");
    let plain = read_plainly(bytes, is_head, is_closed);
    assert_eq!(whole, plain, "{}", bytes.escape_ascii());
}

/// Reads a response as the proxy does, in pieces whose sizes follow from `step`; all at once if it
/// is 0.
fn read(bytes: &[u8], is_head: bool, is_closed: bool, step: u8) -> Plain {
    let bounds = HeadBounds { head_bytes: bytes.len().max(1), fields: FIELDS_MAX };
    let mut pieces = Pieces { bytes, start: 0, there: 0, step, size: usize::from(step) };
    let (mut parser, mut count, mut interim) = (ResponseParser::default(), 0, 0);
    let head = loop {
        match parser.parse(pieces.unread(), is_head, bounds) {
            Ok(Some(head)) => {
                check_head(&head, pieces.unread());
                match head.status.as_u16() {
                    101 => return Plain::None,
                    100..200 if count == INTERIM_MAX => return Plain::None,
                    status @ 100..200 => {
                        (count, interim) = (count + 1, interim + usize::from(status != 100));
                    }
                    _ => break head,
                }
                pieces.start += head.end;
            }
            Ok(None) if pieces.more() => {}
            Ok(None) | Err(_) => return Plain::None,
        }
    };
    let fields = head.headers(pieces.unread()).iter();
    let mut response = PlainResponse {
        status: head.status.as_u16(),
        fields: fields.map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
        body: Vec::new(),
        interim,
        end: 0,
        is_reusable: head.keep_alive,
    };
    pieces.start += head.end;
    response.end = pieces.start;
    let mut decoder = BodyDecoder::new(head.body, TRAILERS_MAX);
    let (mut body, mut is_whole) = (Vec::new(), false);
    while let Ok((framing, next)) = decoder.next(pieces.unread()) {
        pieces.start += framing;
        match next {
            BodyNext::Data(count) => {
                body.extend_from_slice(&pieces.unread()[..count]);
                decoder.took(count);
                pieces.start += count;
            }
            BodyNext::End => {
                is_whole = true;
                break;
            }
            BodyNext::More => {
                assert!(pieces.unread().is_empty(), "bytes that are neither framing nor data");
                if !pieces.more() {
                    is_whole = is_closed && decoder.ends_with_connection();
                    break;
                }
            }
        }
    }
    if !is_whole {
        return Plain::Cut(response);
    }
    (response.body, response.end) = (body, pieces.start);
    Plain::Whole(response)
}

/// Bytes that arrive in pieces: `bytes[start..there]` have arrived, and are not used.
struct Pieces<'b> {
    bytes: &'b [u8],
    start: usize,
    there: usize,
    step: u8,
    size: usize,
}

impl<'b> Pieces<'b> {
    fn unread(&self) -> &'b [u8] {
        &self.bytes[self.start..self.there]
    }

    /// Lets another piece arrive; false if there is none.
    fn more(&mut self) -> bool {
        let is_more = self.there < self.bytes.len();
        self.size = if self.step == 0 { self.bytes.len() } else { (self.size * 5 + 1) % 37 };
        self.there = (self.there + 1 + self.size).min(self.bytes.len());
        is_more
    }
}

/// httparse accepts every head that this parser accepts, except for versions above 1.1, and finds
/// the same values in it.
fn check_head(head: &ReceivedHead, bytes: &[u8]) {
    assert!(bytes[..head.end].ends_with(b"\r\n\r\n"));
    let mut headers = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut theirs = httparse::Response::new(&mut headers);
    match theirs.parse(&bytes[..head.end]) {
        Ok(status) => assert_eq!(status, httparse::Status::Complete(head.end)),
        Err(httparse::Error::Version) => return,
        Err(error) => panic!("httparse does not accept {head:?}: {error}"),
    }
    assert_eq!(theirs.code, Some(head.status.as_u16()));
    let fields = theirs.headers.iter().map(|field| (field.name, field.value));
    assert!(fields.eq(head.headers(bytes).iter()), "{}", bytes[..head.end].escape_ascii());
}

/// More than fit into the bound on their bytes.
const TRAILERS_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::super::plain_response::responses_of;
    use super::*;

    quickcheck::quickcheck! {
        /// Bytes at random are hardly ever a head, so these are responses of parts.
        fn a_response_of_any_parts_means_the_same_in_pieces_and_to_a_plain_reader(
            step: u8,
            flags: u8,
            parts: Vec<u8>
        ) -> bool {
            responses_of(&parts).all(|text| {
                fuzz_response(&[&[step, flags], text.as_bytes()].concat());
                true
            })
        }
    }
}
