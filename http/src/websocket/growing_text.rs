//! A text that arrives in pieces: each byte is checked once, when it comes.
//!
//! Only whole characters are in the text. The beginning of a character whose rest has not come, at
//! most three bytes, is kept beside it.

use super::violation::Violation;

/// A text that is not complete.
#[derive(Debug, Default)]
pub(super) struct GrowingText {
    text: String,
    /// The beginning of a character: the first `begun_bytes` of these.
    begun: [u8; 4],
    begun_bytes: usize,
}

impl GrowingText {
    /// How many bytes have come.
    pub(super) fn len(&self) -> usize {
        self.text.len() + self.begun_bytes
    }

    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Makes room for that many bytes behind those that have come.
    pub(super) fn reserve_exact(&mut self, additional: usize) {
        self.text.reserve_exact(self.begun_bytes + additional);
    }

    /// Adds bytes, or says that no text has them at this place.
    pub(super) fn append(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        while self.begun_bytes > 0 {
            let Some((first, rest)) = bytes.split_first() else { return Ok(()) };
            bytes = rest;
            self.begin(*first)?;
        }
        let (whole, begun) = bytes.split_at(bytes.len() - bytes_of_begun(bytes));
        self.text.push_str(str::from_utf8(whole).map_err(|_| Violation::INVALID_TEXT)?);
        begun.iter().try_for_each(|byte| self.begin(*byte))
    }

    /// The whole text, if no character lacks its end.
    pub(super) fn finish(self) -> Result<String, Violation> {
        if self.begun_bytes > 0 { Err(Violation::INVALID_TEXT) } else { Ok(self.text) }
    }

    /// Adds a byte to the character that has begun.
    fn begin(&mut self, byte: u8) -> Result<(), Violation> {
        self.begun[self.begun_bytes] = byte;
        self.begun_bytes += 1;
        match str::from_utf8(&self.begun[..self.begun_bytes]) {
            Ok(character) => {
                self.text.push_str(character);
                self.begun_bytes = 0;
                Ok(())
            }
            // It may become one: so there are no more than three bytes.
            Err(error) if error.error_len().is_none() => Ok(()),
            Err(_) => Err(Violation::INVALID_TEXT),
        }
    }
}

/// How many bytes at the end seem to begin a character.
fn bytes_of_begun(bytes: &[u8]) -> usize {
    for (count, byte) in (1..=3).zip(bytes.iter().rev()) {
        let length = match byte {
            0x80..=0xbf => continue, // one of the other bytes of a character
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            _ => 1,
        };
        return if count < length { count } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    /// The text of these pieces, and how many bytes had come when it was refused.
    fn grown<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Result<String, usize> {
        let (mut text, mut count) = (GrowingText::default(), 0);
        for piece in pieces {
            count += piece.len();
            text.append(piece).map_err(|_| count)?;
            assert_eq!(text.len(), count);
        }
        text.finish().map_err(|_| count)
    }

    fn expected(bytes: &[u8]) -> Result<String, usize> {
        str::from_utf8(bytes).map(str::to_owned).map_err(|error| match error.error_len() {
            // The byte that shows the fault has to come.
            Some(length) => {
                let at = error.valid_up_to() + length;
                let shown = |end: &usize| {
                    str::from_utf8(&bytes[..*end]).is_err_and(|error| error.error_len().is_some())
                };
                (1..=at + 1).find(shown).expect("it is a fault")
            }
            None => bytes.len(),
        })
    }

    #[test]
    fn every_beginning_of_every_kind_of_character_is_told_from_a_fault() {
        let marks = [0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf];
        let leads = [0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff];
        let all: Vec<u8> = marks.into_iter().chain(leads).collect();
        for &a in &all {
            for &b in &all {
                for &c in &all {
                    for &d in &all {
                        let bytes = [b'x', a, b, c, d];
                        assert_eq!(grown(bytes.chunks(1)), expected(&bytes), "{bytes:x?}");
                        for size in 2..=5 {
                            let found = grown(bytes.chunks(size));
                            assert_eq!(found.ok(), expected(&bytes).ok(), "{bytes:x?}");
                        }
                    }
                }
            }
        }
    }

    quickcheck! {
        fn a_text_is_the_same_in_any_pieces(text: String, size: u8) -> bool {
            let pieces = text.as_bytes().chunks(usize::from(size % 9) + 1);
            grown(pieces) == Ok(text.clone())
        }

        fn bytes_are_refused_as_the_standard_library_does(bytes: Vec<u8>, size: u8) -> bool {
            let found = grown(bytes.chunks(usize::from(size % 9) + 1));
            found.ok() == str::from_utf8(&bytes).ok().map(str::to_owned)
        }
    }
}
