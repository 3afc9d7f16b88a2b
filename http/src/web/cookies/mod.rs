//! Cookies (RFC 6265, with the rules that browsers have added in its successor, RFC 6265bis).
//!
//! - `received` reads what the client has sent;
//! - `set_cookie` is a cookie that a response sets;
//! - `keys` has the keys of cookies that the client cannot change, or not even read.

mod keys;
mod received;
mod set_cookie;

pub use cookie::SameSite;
pub use keys::{CookieKeys, InvalidSecret};
pub use received::Cookies;
pub use set_cookie::SetCookie;
