//! An id for each request, so that the lines of several logs can be joined.

use straightline_sched::random_u64;

use crate::conn::Next;
use crate::message::{Request, Response};

/// The id of a request.
pub(super) struct RequestId(String);

/// Gives each request an id, which the handler gets by
/// [`request_id`](crate::web::RequestExt::request_id), and the client in `X-Request-Id`.
///
/// An id that the client has sent in `X-Request-Id` is kept if it has at most 64 characters, of
/// letters, digits and `-_.`: so it can stand in any log as it is. Otherwise the id is made: 32
/// hexadecimal digits, at random; in a [simulation](crate::guide::simulation) its seed determines
/// them. An id of a client proves nothing: two requests may have the same.
///
/// # Blocking
///
/// A yield point if the handler is one.
///
/// ```
/// use straightline::Request;
/// use straightline::testing::Client;
/// use straightline::web::{RequestExt, middleware};
///
/// fn hello(request: &mut Request) -> String {
///     request.request_id().unwrap_or("none").to_owned()
/// }
///
/// let client = Client::with_settings(hello, |server| server.wrap(middleware::request_id));
/// let response = client.get("/").header("x-request-id", "a-1").send();
/// response.assert_text("a-1").assert_header("x-request-id", "a-1");
/// assert_eq!(client.get("/").header("x-request-id", "a b").send().text().len(), 32);
/// ```
pub fn request_id(request: &mut Request, next: Next<'_>) -> Response {
    let mut sent = request.headers().all(NAME);
    let id = match (sent.next().and_then(usable), sent.next()) {
        (Some(id), None) => id.to_owned(),
        _ => format!("{:016x}{:016x}", random_u64(), random_u64()),
    };
    drop(sent);
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request);
    // A valid id is a valid value.
    let _ = response.try_set_header(NAME, id);
    response
}

/// The id of a request behind the middleware.
pub(in crate::web) fn id_of(request: &Request) -> Option<&str> {
    request.extensions().get::<RequestId>().map(|RequestId(id)| id.as_str())
}

fn usable(id: &[u8]) -> Option<&str> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = !id.is_empty() && id.len() <= ID_BYTES_MAX && id.iter().copied().all(is_good);
    str::from_utf8(id).ok().filter(|_| fits)
}

const NAME: &str = "x-request-id";

/// The longest id of a client. Arbitrary: a UUID has 36 bytes.
const ID_BYTES_MAX: usize = 64;
