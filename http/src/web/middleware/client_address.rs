//! Finds the client behind trusted proxies once, for all that come after.

use crate::conn::Next;
use crate::message::{Problem, Request, Response};
use crate::web::client_address::TrustedProxies;

/// Puts the [`ClientAddress`](crate::web::ClientAddress) of each request among its
/// [extensions](Request::extensions), where the handler and [`RateLimit`](super::RateLimit) find
/// it. A request whose proxy has sent a malformed field gets a 400.
///
/// ```
/// use straightline::testing::Client;
/// use straightline::web::{ClientAddress, TrustedProxies, middleware};
/// use straightline::{Networks, Request};
///
/// fn hello(request: &mut Request) -> String {
///     let client = request.extensions().get::<ClientAddress>().expect("behind the middleware");
///     format!("{}://{}", client.scheme(), client.host().unwrap_or("?"))
/// }
///
/// let proxies = TrustedProxies::by_forwarded(Networks::new(["127.0.0.1"])?);
/// let client = Client::with_settings(hello, move |server| {
///     server.wrap(middleware::client_address(proxies.clone()))
/// });
/// let forwarded = "for=203.0.113.7;proto=https;host=example.org";
/// let answer = client.get("/").header("forwarded", forwarded).send();
/// answer.assert_text("https://example.org");
/// # Ok::<(), straightline::NetworkError>(())
/// ```
pub fn client_address(
    proxies: TrustedProxies,
) -> impl Fn(&mut Request, Next<'_>) -> Result<Response, Problem> + Send + Sync + 'static {
    move |request, next| {
        let client = proxies.client(request)?;
        request.extensions_mut().insert(client);
        Ok(next.run(request))
    }
}
