//! Basic authentication (RFC 7617): a name and a password with each request.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, StatusCode};

use super::auth::{Credentials, challenge, credentials};
use crate::conn::Next;
use crate::message::{Problem, Request, Response};

/// Asks each client for a name and a password. `verify` returns the user, which goes among the
/// [extensions](Request::extensions) of the request, or `None` for a 401; its own error is sent as
/// it is. `realm` is what a browser shows to its user.
///
/// The password is readable on the way, so this is for HTTPS. Compare passwords by their hash, or
/// with [`same_secret`](super::same_secret).
///
/// # Blocking
///
/// `verify` may wait, within the time of the [wrappers](crate::ServerBuilder::wrap).
///
/// # Panics
///
/// If the realm has a control character, or anything that is not ASCII.
///
/// ```
/// use straightline::Request;
/// use straightline::testing::Client;
/// use straightline::web::middleware::{basic_auth, same_secret};
///
/// struct User(String);
///
/// fn hello(request: &mut Request) -> String {
///     let user = request.extensions().get::<User>().expect("behind `basic_auth`");
///     format!("hello, {}\n", user.0)
/// }
///
/// let client = Client::with_settings(hello, |server| {
///     server.wrap(basic_auth("the wards", |name, password| {
///         let is_known = name == "ada" && same_secret(password.as_bytes(), b"engine");
///         Ok(is_known.then(|| User(name.to_owned())))
///     }))
/// });
/// let expected = "Basic realm=\"the wards\", charset=\"UTF-8\"";
/// client.get("/").send().assert_status(401).assert_header("www-authenticate", expected);
/// let known = client.get("/").header("authorization", "Basic YWRhOmVuZ2luZQ==");
/// known.send().assert_status(200).assert_text("hello, ada\n");
/// ```
#[track_caller]
pub fn basic_auth<U: 'static>(
    realm: &str,
    verify: impl Fn(&str, &str) -> Result<Option<U>, Problem> + Send + Sync + 'static,
) -> impl Fn(&mut Request, Next<'_>) -> Result<Response, Problem> + Send + Sync + 'static {
    let is_valid = realm.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
    let challenged = HeaderValue::from_str(&format!("Basic realm=\"{quoted}\", charset=\"UTF-8\""));
    let challenged = challenged.ok().filter(|_| is_valid);
    let Some(challenged) = challenged else {
        panic!("straightline: `basic_auth` with the realm {realm:?}, which is not printable ASCII")
    };
    move |request, next| {
        let user = match credentials(request, "basic") {
            Credentials::Missing => None,
            Credentials::Malformed => {
                return Err(Problem::new(StatusCode::BAD_REQUEST)
                    .with_detail("The Authorization field is malformed."));
            }
            Credentials::Of(token) => match decode(token) {
                Some((name, password)) => verify(&name, &password)?,
                None => None,
            },
        };
        let user = user.ok_or_else(|| challenge(StatusCode::UNAUTHORIZED, &challenged))?;
        request.extensions_mut().insert(user);
        Ok(next.run(request))
    }
}

/// Name and password: UTF-8 without control characters, the name without a colon.
fn decode(token: &str) -> Option<(String, String)> {
    let text = String::from_utf8(BASE64_STANDARD.decode(token).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    let is_good = !text.chars().any(char::is_control);
    is_good.then(|| (name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_with_a_colon_is_a_name_and_a_password() {
        let encode = |text: &[u8]| decode(&BASE64_STANDARD.encode(text));
        let pair = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(encode(b"a:b"), pair("a", "b"));
        assert_eq!(encode(b"a:b:c"), pair("a", "b:c"));
        assert_eq!(encode(":".as_bytes()), pair("", ""));
        assert_eq!(encode("\u{e9}:\u{fc}".as_bytes()), pair("\u{e9}", "\u{fc}"));
        for wrong in [&b"ab"[..], b"a\r:b", b"a:b\0", b"\xe9:b"] {
            assert_eq!(encode(wrong), None, "{wrong:?}");
        }
        for wrong in ["YTpi=", "YTp", "YT-p", "YTpi\n", "="] {
            assert_eq!(decode(wrong), None, "{wrong:?}");
        }
    }
}
