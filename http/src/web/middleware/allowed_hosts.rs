//! Requests for hosts that this server is not known by.

use http::StatusCode;

use crate::config::AllowedHosts;
use crate::conn::Next;
use crate::message::{IntoResponse, Request, Response};

/// Refuses requests for another host than these, with 421: a page of an attacker whose name
/// resolves to this server's address (DNS rebinding), and a proxy that is wrong about what runs
/// here. For a server that a browser reaches without a proxy in front that checks the host, above
/// all on the loopback and in an internal network.
///
/// # Blocking
///
/// It does not wait.
///
/// ```
/// use straightline::testing::Client;
/// use straightline::web::middleware::allowed_hosts;
/// use straightline::{AllowedHosts, Request};
///
/// let client = Client::with_settings(|_: &mut Request| "hello\n", |server| {
///     server.wrap(allowed_hosts(AllowedHosts::new(["app.example"])))
/// });
/// client.get("/").header("host", "app.example").send().assert_status(200);
/// client.get("/").header("host", "rebound.evil.example").send().assert_status(421);
/// ```
pub fn allowed_hosts(
    hosts: AllowedHosts,
) -> impl Fn(&mut Request, Next<'_>) -> Response + Send + Sync + 'static {
    move |request, next| {
        if hosts.allows(request.host()) {
            next.run(request)
        } else {
            let text = "this server is not known by that host\n";
            (StatusCode::MISDIRECTED_REQUEST, text).into_response()
        }
    }
}
