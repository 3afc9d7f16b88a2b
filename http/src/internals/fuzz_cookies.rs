//! Cookies: a pair that is read is a pair of the field; what a response sets is read as the same,
//! and adds neither an attribute nor a header; what the keys have not made does not count.

use std::str;

use crate::web::{CookieKeys, RequestExt, SetCookie};
use crate::{Request, Response, StatusCode};

/// Reads the bytes as a field, and sets them as a cookie.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_cookies(data: &[u8]) {
    read(data);
    if let Ok(text) = str::from_utf8(data) {
        let (name, value) = text.split_once('\n').unwrap_or(("name", text));
        set(name, value);
    }
}

fn read(data: &[u8]) {
    let Ok(value) = http::HeaderValue::from_bytes(data) else { return };
    let Ok(request) = Request::builder().header("cookie", value).build() else { return };
    let cookies = request.cookies();
    let keys = keys();
    for (name, _) in cookies.iter() {
        let raw = cookies.raw(name).expect("a cookie of that name");
        let is_token = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=');
        assert!(is_token && !name.is_empty() && !raw.contains(';'), "{name}={raw}");
        let is_in_field = data.split(|&byte| byte == b';').any(|pair| {
            let text = str::from_utf8(pair).unwrap_or_default();
            text.split_once('=')
                .is_some_and(|pair| (pair.0.trim_ascii(), pair.1.trim_ascii()) == (name, raw))
        });
        assert!(is_in_field, "{name}={raw}");
        assert!(cookies.signed(name, &keys).is_none() && cookies.private(name, &keys).is_none());
    }
}

fn set(name: &str, text: &str) {
    let keys = keys();
    let plain = SetCookie::new(name, text);
    let cookies = [plain.clone(), plain.clone().signed(&keys), plain.private(&keys)];
    for (kind, cookie) in cookies.into_iter().enumerate() {
        let mut response = Response::new(StatusCode::OK);
        if cookie.add_to(&mut response).is_err() {
            assert!(response.headers().is_empty());
            continue;
        }
        let field = response.headers().get("set-cookie").expect("a cookie").to_owned();
        assert_eq!(response.headers().len(), 1);
        let (pair, attributes) = field.split_once(';').expect("attributes");
        assert_eq!(attributes, " HttpOnly; SameSite=Lax; Secure; Path=/");
        let request = Request::builder().header("cookie", pair).build().expect("a request");
        let cookies = request.cookies();
        let read = match kind {
            0 => cookies.get(name).map(String::from),
            1 => cookies.signed(name, &keys),
            _ => cookies.private(name, &keys),
        };
        assert_eq!(read.as_deref(), Some(text), "{field}");
    }
}

fn keys() -> CookieKeys {
    CookieKeys::new(&[7; 64]).expect("a secret of 64 bytes")
}
