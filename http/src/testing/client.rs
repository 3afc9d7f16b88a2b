//! The client of a test.

use std::cell::RefCell;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::Method;

use super::connection::Bounds;
use super::cookie_store::CookieStore;
use super::in_process::InProcess;
use super::target::{Address, Place, Target};
use super::test_request::TestRequest;
use crate::config::Peer;
use crate::server::{Handler, ServerBuilder};

/// Asks a handler, a router or a whole server. The [module](super) has examples of each.
///
/// It works in a plain test, on a fiber and in a simulation, and belongs to one thread.
pub struct Client {
    target: Target,
}

impl Client {
    /// A client that calls `handler` in process, without sockets: a function, a closure or a
    /// router.
    ///
    /// Each request has a server of its own on the calling fiber's shard, with the default
    /// settings. On a plain thread a shard runs for the time of the request, so the handler may
    /// wait there as well. What the handler has [spawned](crate::ServerHandle::spawn) on its server
    /// ends before the response is returned. Faults, such as a handler's panic, are told on
    /// standard error.
    ///
    /// # Panics
    ///
    /// If the handler has a [mistake](Handler::check), such as routes that contradict each other.
    ///
    /// ```
    /// use straightline::testing::Client;
    /// use straightline::{Request, sched};
    ///
    /// fn slow(_: &mut Request) -> &'static str {
    ///     sched::sleep(std::time::Duration::from_millis(1));
    ///     "done\n"
    /// }
    ///
    /// Client::new(slow).get("/").send().assert_status(200).assert_text("done\n");
    /// ```
    #[track_caller]
    pub fn new<H>(handler: H) -> Self
    where
        H: for<'r> Handler<'r> + 'static,
    {
        Self::with_settings(handler, |server| server)
    }

    /// As [`new`](Self::new), with settings of the server: limits, timeouts, wrappers, error
    /// responses. An address or TLS is an error when the request is sent.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use straightline::testing::Client;
    /// use straightline::{Limits, Next, Request, Response};
    ///
    /// fn marked(request: &mut Request, next: Next<'_>) -> Response {
    ///     next.run(request).header("x-mark", "1")
    /// }
    ///
    /// let client = Client::with_settings(
    ///     |_: &mut Request| "hi\n",
    ///     |server| server.limits(Limits::default().with_fields(4)).wrap(marked),
    /// );
    /// client.get("/").send().assert_header("x-mark", "1");
    /// let many = client.get("/").header("a", "1").header("b", "2").header("c", "3");
    /// many.header("d", "4").send().assert_status(431);
    /// ```
    #[track_caller]
    pub fn with_settings<H>(
        handler: H,
        settings: impl Fn(ServerBuilder) -> ServerBuilder + 'static,
    ) -> Self
    where
        H: for<'r> Handler<'r> + 'static,
    {
        let peer = Peer::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        match InProcess::new(handler, settings, peer) {
            Ok(handler) => Self::of(Place::InProcess(handler)),
            Err(error) => panic!("not a handler: {error}"),
        }
    }

    /// A client of the server at `address`: host and port, such as `127.0.0.1:8080`.
    ///
    /// It connects with its first request, and keeps the connection for the next one, as long as
    /// the server keeps it. On a fiber the connection is a
    /// [`net::TcpStream`](straightline_net::TcpStream), so in a simulation it goes through the
    /// simulated network.
    pub fn connect(address: impl fmt::Display) -> Self {
        let kept = RefCell::default();
        Self::of(Place::Address(Address { authority: address.to_string(), kept }))
    }

    fn of(place: Place) -> Self {
        let bounds = Bounds { timeout: TIMEOUT, body_bytes_max: BODY_BYTES_MAX };
        Self { target: Target { place, bounds, cookies: None } }
    }

    /// The address that the handler sees as its client's ([`Request::peer`](crate::Request::peer)).
    /// Default: 127.0.0.1. Without effect for a client of an address.
    ///
    /// ```
    /// use straightline::testing::Client;
    /// use straightline::{Peer, Request};
    ///
    /// let client = Client::new(|request: &mut Request| request.peer().to_string());
    /// let client = client.with_peer(Peer::Tcp("203.0.113.7:4711".parse().unwrap()));
    /// client.get("/").send().assert_text("203.0.113.7:4711");
    /// ```
    #[must_use]
    pub fn with_peer(mut self, peer: Peer) -> Self {
        if let Place::InProcess(handler) = &mut self.target.place {
            handler.peer = peer;
        }
        self
    }

    /// How long a response may take, until its last byte; on a plain thread with a client of an
    /// address, how long each wait may take. Default: 30 seconds.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.target.bounds.timeout = timeout;
        self
    }

    /// How many bytes the body of a response may have. Default: 256 MiB.
    #[must_use]
    pub fn with_body_bytes_max(mut self, bytes: usize) -> Self {
        self.target.bounds.body_bytes_max = bytes;
        self
    }

    /// Keeps the cookies of responses, and sends them with later requests. Default: no.
    ///
    /// ```
    /// use straightline::testing::Client;
    /// use straightline::{IntoResponse, Request, Response};
    ///
    /// fn count(request: &mut Request) -> Response {
    ///     let cookie = request.headers().get("cookie").and_then(|text| text.strip_prefix("n="));
    ///     let next = cookie.and_then(|number| number.parse().ok()).unwrap_or(0) + 1;
    ///     format!("{next}").into_response().header("set-cookie", format!("n={next}; Path=/"))
    /// }
    ///
    /// let client = Client::new(count).with_cookies();
    /// client.get("/").send().assert_text("1");
    /// client.get("/").send().assert_text("2");
    /// assert_eq!(client.cookie("n").as_deref(), Some("2"));
    /// ```
    #[must_use]
    pub fn with_cookies(mut self) -> Self {
        self.target.cookies = Some(RefCell::new(CookieStore::default()));
        self
    }

    /// The value of a cookie that the client keeps.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.target.cookies.as_ref()?.borrow().get(name).map(str::to_owned)
    }

    /// Begins a GET of a request target: path and query, percent-encoded.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn get(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::GET, target)
    }

    /// Begins a HEAD.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn head(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::HEAD, target)
    }

    /// Begins a POST.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn post(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::POST, target)
    }

    /// Begins a PUT.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn put(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::PUT, target)
    }

    /// Begins a PATCH.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn patch(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::PATCH, target)
    }

    /// Begins a DELETE.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn delete(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::DELETE, target)
    }

    /// Begins an OPTIONS.
    ///
    /// # Panics
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn options(&self, target: &str) -> TestRequest<'_> {
        self.request(Method::OPTIONS, target)
    }

    /// Begins a request with any method.
    ///
    /// # Panics
    ///
    /// If the target is empty, or has a space, a control character or anything that is not ASCII.
    #[track_caller]
    pub fn request(&self, method: Method, target: &str) -> TestRequest<'_> {
        TestRequest::new(&self.target, method, target)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("target", &self.target.name()).finish_non_exhaustive()
    }
}

/// How long a response may take. Arbitrary: a busy machine that builds and tests at once is slow.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The most bytes of a body. Arbitrary: more than a test needs, less than a machine has.
const BODY_BYTES_MAX: usize = 256 << 20;
