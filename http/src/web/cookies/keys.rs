//! Keys for cookies that the client cannot change, or not even read.

use std::fmt;

use cookie::{Cookie, CookieJar, Key};

/// The keys by which cookies are [signed](super::SetCookie::signed) or
/// [encrypted](super::SetCookie::private) (HMAC-SHA-256 and AES-256-GCM, by the crate `cookie`).
///
/// A cookie is bound to its name: the value of one does not count as that of another. It does not
/// expire by itself, since `Max-Age` is only a request to the client; put a time into the value if
/// it has to.
///
/// ```
/// use straightline::web::{CookieKeys, RequestExt, SetCookie};
/// use straightline::{IntoResponse, Request};
///
/// fn count(request: &mut Request, keys: &CookieKeys) -> impl IntoResponse + use<> {
///     let visits = request.cookies().private("visits", keys);
///     let visits = visits.and_then(|visits| visits.parse().ok()).unwrap_or(0) + 1;
///     let cookie = SetCookie::new("visits", visits.to_string()).private(keys);
///     (cookie, format!("visit {visits}\n"))
/// }
///
/// # let secret = [7; 64];
/// let keys = CookieKeys::new(&secret)?; // random bytes, kept in a file
/// let response = count(&mut Request::builder().build()?, &keys).into_response();
/// let cookie = response.headers().get("set-cookie").unwrap();
/// let cookie = cookie.split(';').next().unwrap();
/// let mut request = Request::builder().header("cookie", cookie).build()?;
/// let response = count(&mut request, &keys).into_response();
/// assert_eq!(response.body().as_bytes(), Some(&b"visit 2\n"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CookieKeys {
    current: Key,
    /// Only to read.
    former: Vec<Key>,
}

/// A secret that is too short for [`CookieKeys`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSecret {
    bytes: usize,
}

impl CookieKeys {
    /// Keys from a secret of at least 64 random bytes, of which the first 64 count. All servers
    /// that read each other's cookies need the same.
    ///
    /// # Errors
    ///
    /// The secret is too short.
    pub fn new(secret: &[u8]) -> Result<Self, InvalidSecret> {
        Ok(Self { current: key(secret)?, former: Vec::new() })
    }

    /// Keys that are lost with the process, and with them the cookies.
    ///
    /// # Panics
    ///
    /// If the operating system has no random bytes.
    pub fn generate() -> Self {
        Self { current: Key::generate(), former: Vec::new() }
    }

    /// Reads also the cookies of a former secret, for the time of a change. May be called several
    /// times; each costs time with every cookie that is not valid.
    ///
    /// # Errors
    ///
    /// The secret is too short.
    ///
    /// ```
    /// use straightline::web::CookieKeys;
    ///
    /// # let (new, old) = ([1; 64], [2; 64]);
    /// let keys = CookieKeys::new(&new)?.with_former(&old)?;
    /// # Ok::<(), straightline::web::InvalidSecret>(())
    /// ```
    pub fn with_former(mut self, secret: &[u8]) -> Result<Self, InvalidSecret> {
        self.former.push(key(secret)?);
        Ok(self)
    }

    pub(super) fn sign(&self, name: &str, value: &str) -> String {
        let text = bound(name, value);
        let mut jar = CookieJar::new();
        jar.signed_mut(&self.current).add(Cookie::new("", text.clone()));
        // The signature stands in front.
        let signed = jar.get("").map_or("", Cookie::value);
        format!("{}{value}", signed.strip_suffix(&*text).unwrap_or_default())
    }

    pub(super) fn verify(&self, name: &str, signed: &str) -> Option<String> {
        let (signature, value) = signed.split_at_checked(SIGNATURE_BYTES)?;
        let text = format!("{signature}{}", bound(name, value));
        let is_by = |key| {
            let cookie = Cookie::new("", text.clone());
            CookieJar::new().signed(key).verify(cookie).is_some()
        };
        self.all().any(is_by).then(|| value.to_owned())
    }

    pub(super) fn encrypt(&self, name: &str, value: &str) -> String {
        let mut jar = CookieJar::new();
        jar.private_mut(&self.current).add(Cookie::new(name.to_owned(), value.to_owned()));
        jar.get(name).map_or("", Cookie::value).to_owned()
    }

    pub(super) fn decrypt(&self, name: &str, encrypted: &str) -> Option<String> {
        let jar = CookieJar::new();
        let cookie = Cookie::new(name.to_owned(), encrypted.to_owned());
        let plain = self.all().find_map(|key| jar.private(key).decrypt(cookie.clone()))?;
        Some(plain.value().to_owned())
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.former)
    }
}

/// What is signed. The library signs the value alone, and so a value would count for each name; a
/// name has no `=`.
fn bound(name: &str, value: &str) -> String {
    format!("{name}={value}")
}

fn key(secret: &[u8]) -> Result<Key, InvalidSecret> {
    Key::try_from(secret).map_err(|_| InvalidSecret { bytes: secret.len() })
}

impl fmt::Debug for CookieKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieKeys").field("former", &self.former.len()).finish_non_exhaustive()
    }
}

impl fmt::Display for InvalidSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a secret of {} bytes for cookies, which needs at least 64", self.bytes)
    }
}

impl std::error::Error for InvalidSecret {}

/// The length of a signature: HMAC-SHA-256 in base64.
const SIGNATURE_BYTES: usize = 44;

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(byte: u8) -> CookieKeys {
        CookieKeys::new(&[byte; 64]).expect("long enough")
    }

    #[test]
    fn what_was_written_is_read_and_bound_to_its_name() {
        let keys = keys(1);
        for value in ["", "7", "a=b; c", "é\0\r\n"] {
            let (signed, private) = (keys.sign("a", value), keys.encrypt("a", value));
            assert_eq!(keys.verify("a", &signed).as_deref(), Some(value));
            assert_eq!(keys.decrypt("a", &private).as_deref(), Some(value));
            assert_eq!(keys.verify("b", &signed), None);
            assert_eq!(keys.decrypt("b", &private), None);
            assert!(signed.ends_with(value));
            assert_ne!(private, keys.encrypt("a", value), "a new nonce each time");
        }
    }

    #[test]
    fn a_changed_value_is_none() {
        let keys = keys(1);
        for text in [keys.sign("a", "value"), keys.encrypt("a", "value")] {
            for at in 0..text.len() {
                let mut bytes = text.clone().into_bytes();
                bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
                let changed = String::from_utf8(bytes).expect("ASCII");
                assert_eq!(keys.verify("a", &changed), None);
                assert_eq!(keys.decrypt("a", &changed), None);
                assert_eq!(keys.verify("a", &text[..at]), None);
                assert_eq!(keys.decrypt("a", &text[..at]), None);
            }
        }
        assert_eq!(keys.verify("a", &"é".repeat(40)), None);
    }

    #[test]
    fn a_former_secret_reads_and_does_not_write() {
        let old = keys(1);
        let (signed, private) = (old.sign("a", "v"), old.encrypt("a", "v"));
        assert_eq!(keys(2).verify("a", &signed), None);
        let both = keys(2).with_former(&[1; 64]).expect("long enough");
        assert_eq!(both.verify("a", &signed).as_deref(), Some("v"));
        assert_eq!(both.decrypt("a", &private).as_deref(), Some("v"));
        assert_eq!(old.verify("a", &both.sign("a", "v")), None);
    }

    #[test]
    fn a_secret_has_64_bytes_and_is_not_shown() {
        let error = CookieKeys::new(&[0; 63]).expect_err("too short");
        assert_eq!(error.to_string(), "a secret of 63 bytes for cookies, which needs at least 64");
        assert!(!format!("{:?}", keys(77)).contains("77"));
    }
}
