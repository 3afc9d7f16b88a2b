//! What a service over TLS adds to its responses: the redirect from HTTP, and HSTS.

#[cfg(feature = "_tls")]
use std::time::Duration;

use http::{StatusCode, header};

#[cfg(feature = "_tls")]
use crate::conn::Next;
use crate::message::{IntoResponse, Request, Response};

/// A handler that redirects every request to HTTPS: to the same host and target, on `port`. For a
/// second server on port 80, [beside](crate::Server::also) the one with TLS.
///
/// The status is 308 whatever the method is: after a 301 many clients repeat a POST as a GET (RFC
/// 9110 section 15.4.2). A request without a host (HTTP/1.0) gets a 400, and so does a CONNECT.
///
/// Not for a server behind a proxy that ends TLS: it would redirect each request for ever.
///
/// The host is the one that the client names. A server that also answers for foreign names
/// redirects to them: if a cache stands in front of it, let a wrapper check
/// [`Request::host`](crate::Request::host) first.
///
/// Not a yield point, and neither is the handler.
///
/// ```
/// use straightline::{Request, Server, StatusCode, https};
///
/// let redirect = https::redirect(8443);
/// let request = Request::builder().target("/x?y=1").header("host", "example.org:8080");
/// let response = redirect(&mut request.build()?);
/// assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
/// assert_eq!(response.headers().get("location"), Some("https://example.org:8443/x?y=1"));
///
/// let http = Server::builder().bind("127.0.0.1:0").workers(1).build(https::redirect(443))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn redirect(port: u16) -> impl Fn(&mut Request) -> Response + Clone + Send + Sync + 'static {
    move |request| match location(request, port) {
        Some(location) => {
            StatusCode::PERMANENT_REDIRECT.into_response().header(header::LOCATION, location)
        }
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// The URL of the same resource over HTTPS.
fn location(request: &Request, port: u16) -> Option<String> {
    // The parser has checked the form of the authority, and lets no user name into it.
    let host = without_port(request.host()?);
    let path = match request.path() {
        _ if host.is_empty() => return None,
        "*" => "", // the form of a server-wide OPTIONS (RFC 9112 section 3.2.4)
        path if path.starts_with('/') => path,
        _ => return None,
    };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let query = request.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("https://{host}{port}{path}{query}"))
}

/// The host of an authority, with the brackets of an IPv6 address.
fn without_port(authority: &str) -> &str {
    let end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    &authority[..end]
}

/// A wrapper ([`ServerBuilder::wrap`](crate::ServerBuilder::wrap)) that tells browsers to use only
/// HTTPS for this host during `max_age` (HSTS, RFC 6797): each response of the
/// handler over TLS gets a `Strict-Transport-Security` field, unless it has one. What the server
/// refuses before it calls a handler, such as bytes that are no request, gets none. A response
/// without TLS never does, as the RFC demands (section 7.2).
///
/// A browser that has seen it refuses HTTP, and refuses certificates that it does not trust, until
/// `max_age` is over: begin with some minutes. `Duration::ZERO` takes it back.
///
/// Not a yield point, and neither is the wrapper.
///
/// ```
/// use std::time::Duration;
/// use straightline::{Request, Server, https};
///
/// let year = Duration::from_secs(365 * 24 * 3600);
/// let server = Server::builder().bind("127.0.0.1:0").wrap(https::hsts(year));
/// server.build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[cfg(feature = "_tls")]
pub fn hsts(
    max_age: Duration,
) -> impl Fn(&mut Request, Next<'_>) -> Response + Clone + Send + Sync + 'static {
    hsts_of(format!("max-age={}", max_age.as_secs()))
}

/// As [`hsts`], for all subdomains of the host as well.
///
/// Not a yield point, and neither is the wrapper.
///
/// ```
/// use std::time::Duration;
/// use straightline::{Request, Server, https};
///
/// let hour = Duration::from_secs(3600);
/// let server = Server::builder().bind("127.0.0.1:0").wrap(https::hsts_with_subdomains(hour));
/// server.build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[cfg(feature = "_tls")]
pub fn hsts_with_subdomains(
    max_age: Duration,
) -> impl Fn(&mut Request, Next<'_>) -> Response + Clone + Send + Sync + 'static {
    hsts_of(format!("max-age={}; includeSubDomains", max_age.as_secs()))
}

#[cfg(feature = "_tls")]
fn hsts_of(
    value: String,
) -> impl Fn(&mut Request, Next<'_>) -> Response + Clone + Send + Sync + 'static {
    move |request, next| {
        let response = next.run(request);
        let name = header::STRICT_TRANSPORT_SECURITY;
        if request.tls().is_none() || response.headers().contains(&name) {
            return response;
        }
        response.header(name, &value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_left_out_and_an_ipv6_address_is_kept() {
        for (authority, host) in [
            ("example.org", "example.org"),
            ("example.org:80", "example.org"),
            ("example.org:", "example.org"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            (":80", ""),
            ("", ""),
        ] {
            assert_eq!(without_port(authority), host, "{authority}");
        }
    }
}
