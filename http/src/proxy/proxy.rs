//! The proxy itself, as a handler.

use std::fmt;
use std::sync::Arc;

use http::{Method, StatusCode};

use super::exchange::Exchange;
use super::failure::Failure;
use super::keeper;
use super::metrics::ProxyMetrics;
use super::request_head::max_forwards;
use super::shared::Shared;
use super::upstreams::Upstream;
use crate::config::OnDisconnect;
use crate::message::{IntoResponse, Problem, Request, Response};
use crate::server::Handler;

/// A reverse proxy: a handler that passes requests on to upstream servers, and their responses
/// back.
///
/// A clone is the same proxy.
///
/// ```no_run
/// use straightline::Server;
/// use straightline::proxy::Proxy;
///
/// let proxy = Proxy::builder().upstream("127.0.0.1:9000").upstream("127.0.0.1:9001").build()?;
/// Server::builder().bind("127.0.0.1:8080").shutdown_on_signals().build(proxy)?.run()?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
}

impl Proxy {
    pub(super) fn of(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Passes a request on, and returns the response of an upstream, or a [`Problem`] in its place:
    /// a 502 if the upstream fails, a 504 if it takes too long, a 503 if there is none. CONNECT and
    /// TRACE are answered with a 405.
    ///
    /// A wrapper or a handler in front may change the request, such as its
    /// [target](Request::set_target), and may change the response.
    ///
    /// # Blocking
    ///
    /// A yield point. The body of the response is passed on when the handler has returned.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline closes the connection to the upstream.
    ///
    /// ```
    /// use straightline::proxy::Proxy;
    /// use straightline::{IntoResponse, Request, Response, Server};
    ///
    /// let proxy = Proxy::builder().upstream("127.0.0.1:9000").build()?;
    /// let handler = move |request: &mut Request| match request.path() {
    ///     "/about" => "a proxy\n".into_response(),
    ///     _ => proxy.pass(request),
    /// };
    /// Server::builder().bind("127.0.0.1:0").build(handler)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn pass(&self, request: &mut Request) -> Response {
        if let Some(response) = answer_of_proxy(request) {
            return response;
        }
        let pool = self.shared.pools.get();
        keeper::ensure(&self.shared, &pool, request);
        if self.shared.on_disconnect == OnDisconnect::Finish {
            request.on_disconnect(OnDisconnect::Finish);
        }
        let exchange = Exchange::begin(&self.shared, &pool, request);
        exchange.and_then(Exchange::run).unwrap_or_else(Failure::into_response)
    }

    /// What the proxy has counted so far. Works from any thread. Not a yield point.
    pub fn metrics(&self) -> ProxyMetrics {
        ProxyMetrics::of(&self.shared.upstreams)
    }
}

impl<'r> Handler<'r> for Proxy {
    type Response = Response;

    /// As [`pass`](Proxy::pass).
    fn handle(&self, request: &'r mut Request) -> Response {
        self.pass(request)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.shared.upstreams.all().iter().map(Upstream::address);
        f.debug_struct("Proxy")
            .field("upstreams", &addresses.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// What the proxy answers itself. A tunnel would let clients reach every address that the proxy
/// reaches, and TRACE would show a client the fields that the proxy adds.
fn answer_of_proxy(request: &Request) -> Option<Response> {
    match *request.method() {
        Method::CONNECT | Method::TRACE => {
            let detail = format!("The proxy does not pass {} on.", request.method());
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED).with_detail(detail);
            Some(problem.into_response().header("allow", ALLOWED).close())
        }
        // RFC 9110 section 7.6.2
        Method::OPTIONS if max_forwards(request) == Some(0) => {
            Some(Response::new(StatusCode::NO_CONTENT).header("allow", ALLOWED))
        }
        _ => None,
    }
}

const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
