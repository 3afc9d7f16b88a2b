//! A text that no log shows.

use std::fmt;

use straightline::web::middleware::same_secret;

/// A token or a password. It is not printed by accident, because its text is shown as `***`.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    /// A secret of printable ASCII, as RFC 6750 wants it of a bearer token.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // The message does not show the text.
        if text.len() < CHARS_MIN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("wanted are at least {CHARS_MIN} printable characters of ASCII"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it is that text. The time that the comparison takes tells nothing about the secret.
    pub(crate) fn is(&self, text: &str) -> bool {
        same_secret(text.as_bytes(), self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Arbitrary: as many as `openssl rand -hex 8` makes.
const CHARS_MIN: usize = 16;
