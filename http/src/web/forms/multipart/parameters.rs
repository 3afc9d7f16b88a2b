//! The parameters of a field value: `; name=value`, where a value may be quoted (RFC 2045 section
//! 5.1, RFC 2183 section 2).

use std::borrow::Cow;
use std::str;

/// The parameters behind a media type or a disposition. After a malformed one there are no more.
#[derive(Clone)]
pub(super) struct Parameters<'v> {
    rest: &'v [u8],
}

/// The value of a parameter, as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'v> {
    /// Without quotes: any bytes without spaces, semicolons and quotes.
    Bare(&'v [u8]),
    /// The text between the quotes, with its escapes.
    Quoted(&'v [u8]),
}

/// A parameter is not `name=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'v> Parameters<'v> {
    /// Splits a field value into what stands in front of its parameters, and the parameters.
    pub(super) fn split(value: &'v [u8]) -> (&'v [u8], Self) {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        (value[..end].trim_ascii(), Self { rest: &value[end..] })
    }

    fn next_parameter(&mut self) -> Result<Option<(&'v str, Value<'v>)>, Malformed> {
        // An empty parameter, as behind a last semicolon, is none.
        while let Some(rest) = trim_start(self.rest).strip_prefix(b";") {
            self.rest = rest;
        }
        let text = trim_start(self.rest);
        if text.is_empty() {
            return Ok(None);
        }
        let equals = memchr::memchr(b'=', text).ok_or(Malformed)?;
        let name = &text[..equals];
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return Err(Malformed);
        }
        let (value, rest) = value(&text[equals + 1..])?;
        if !matches!(trim_start(rest).first(), None | Some(b';')) {
            return Err(Malformed);
        }
        self.rest = rest;
        Ok(Some((str::from_utf8(name).map_err(|_| Malformed)?, value)))
    }
}

impl<'v> Iterator for Parameters<'v> {
    type Item = Result<(&'v str, Value<'v>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let parameter = self.next_parameter();
        if parameter.is_err() {
            self.rest = &[];
        }
        parameter.transpose()
    }
}

impl<'v> Value<'v> {
    /// The value without quotes and escapes. A backslash escapes a quote and a backslash, and
    /// nothing else: old browsers send the paths of Windows as they are.
    pub(super) fn unescaped(self) -> Cow<'v, [u8]> {
        let text = match self {
            Self::Bare(text) | Self::Quoted(text) => text,
        };
        if matches!(self, Self::Bare(_)) || !text.contains(&b'\\') {
            return Cow::Borrowed(text);
        }
        let (mut plain, mut at) = (Vec::with_capacity(text.len()), 0);
        while at < text.len() {
            at += usize::from(is_escape(&text[at..]));
            plain.push(text[at]);
            at += 1;
        }
        Cow::Owned(plain)
    }

    /// Whether the value is a token, or quoted.
    pub(super) fn is_token_or_quoted(self) -> bool {
        match self {
            Self::Quoted(_) => true,
            Self::Bare(text) => text.iter().copied().all(is_token),
        }
    }
}

/// The value at the beginning of `text`, and what follows it.
fn value(text: &[u8]) -> Result<(Value<'_>, &[u8]), Malformed> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let is_end = |byte: &u8| matches!(byte, b';' | b' ' | b'\t');
        let end = text.iter().position(is_end).unwrap_or(text.len());
        let (bare, rest) = text.split_at(end);
        if bare.is_empty() || bare.contains(&b'"') {
            return Err(Malformed);
        }
        return Ok((Value::Bare(bare), rest));
    };
    let mut at = 0;
    loop {
        match quoted.get(at).ok_or(Malformed)? {
            b'"' => return Ok((Value::Quoted(&quoted[..at]), &quoted[at + 1..])),
            b'\\' => at += 1 + usize::from(is_escape(&quoted[at..])),
            _ => at += 1,
        }
    }
}

/// Whether an escaped byte is at the beginning of `text`.
fn is_escape(text: &[u8]) -> bool {
    matches!(text, [b'\\', b'"' | b'\\', ..])
}

fn trim_start(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    &text[end..]
}

/// A byte of a token (RFC 9110 section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<(String, String)>, Malformed> {
        let (_, parameters) = Parameters::split(text.as_bytes());
        let own = |value: Value<'_>| String::from_utf8_lossy(&value.unescaped()).into_owned();
        parameters.map(|next| next.map(|(name, value)| (name.to_owned(), own(value)))).collect()
    }

    fn one(text: &str) -> String {
        all(text).unwrap().pop().unwrap().1
    }

    #[test]
    fn quotes_escapes_and_spaces_are_understood() {
        assert_eq!(
            all("form-data; name=\"a; b=c\";x=y ; z=\"\"").unwrap(),
            [("name", "a; b=c"), ("x", "y"), ("z", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(one("a;n=\"say \\\"hi\\\" \\\\\""), "say \"hi\" \\");
        assert_eq!(one("a;n=\"C:\\dir\\file\""), "C:\\dir\\file");
        assert_eq!(one("a;n=----=_Part_1:/?"), "----=_Part_1:/?");
        assert_eq!(all("a;;; ;").unwrap(), []);
    }

    #[test]
    fn what_is_not_a_parameter_is_malformed() {
        for text in [
            "a;b",
            "a;=b",
            "a;b=",
            "a;b=\"c",
            "a;b=\"c\\\"",
            "a;b=\"c\"d",
            "a;b=c d",
            "a;b c=d",
            "a;b=c\"d",
        ] {
            assert_eq!(all(text), Err(Malformed), "{text}");
        }
    }
}
