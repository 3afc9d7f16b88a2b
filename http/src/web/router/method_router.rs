//! The handlers of one path, by method.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::definition::RouteDefinition;
use super::handler::{Endpoint, RouteHandler};
use super::layer::{Layer, layer};
use super::settings::RouteSettings;
use crate::config::MinRate;
use crate::conn::Next;
use crate::message::{IntoResponse, Request};

/// The handlers of one path, by method, and what holds for all of them: what
/// [`Router::route`](super::Router::route) takes. [`get`], [`post`] and so on make one.
///
/// The router answers by itself:
/// - HEAD, with the handler of GET. The handler sees that the method is HEAD, and its response is
///   sent without the body;
/// - OPTIONS, with a 204 and an `Allow` field;
/// - any other method, with a 405 and an `Allow` field (RFC 9110 section 15.5.6).
///
/// ```
/// use std::time::Duration;
/// use straightline::web::{Router, get, put};
/// use straightline::{BodyError, Request};
///
/// fn show(_: &mut Request) -> &'static str {
///     "a picture\n"
/// }
///
/// fn replace(request: &mut Request) -> Result<String, BodyError> {
///     let picture = request.body().read_to_vec(10 << 20)?;
///     Ok(format!("{} bytes\n", picture.len()))
/// }
///
/// let router = Router::new().route(
///     "/picture",
///     get(show).put(replace).body_limit(10 << 20).handler_timeout(Duration::from_secs(60)),
/// );
/// # let _ = (router, put::<(), _, _>(replace));
/// ```
#[must_use = "`Router::route` takes it"]
pub struct MethodRouter<S = ()> {
    handlers: Vec<(Option<Method>, MakeEndpoint<S>)>,
    layers: Vec<Arc<Layer>>,
    settings: RouteSettings,
    name: Option<&'static str>,
}

/// Joins a handler with the state, once the state is known.
type MakeEndpoint<S> = Box<dyn FnOnce(&Arc<S>) -> Arc<Endpoint>>;

macro_rules! methods {
    ($($function:ident $method:ident $text:literal)*) => {
        $(
            #[doc = concat!("A path's handler for ", $text, ".")]
            ///
            /// ```
            /// use straightline::Request;
            #[doc = concat!("use straightline::web::{Router, ", stringify!($function), "};")]
            ///
            /// fn handler(_: &mut Request) -> &'static str {
            ///     "hello\n"
            /// }
            ///
            #[doc = concat!("let router = Router::new().route(\"/\", ", stringify!($function),
                "(handler));")]
            /// # let _ = router;
            /// ```
            pub fn $function<S, K, H: RouteHandler<S, K>>(handler: H) -> MethodRouter<S> {
                MethodRouter::empty().with(Some(Method::$method), handler)
            }
        )*

        impl<S> MethodRouter<S> {
            $(
                #[doc = concat!("Adds the handler for ", $text, ".")]
                pub fn $function<K, H: RouteHandler<S, K>>(self, handler: H) -> Self {
                    self.with(Some(Method::$method), handler)
                }
            )*
        }
    };
}

methods! {
    get GET "GET, and for HEAD if it has none of its own"
    head HEAD "HEAD"
    post POST "POST"
    put PUT "PUT"
    patch PATCH "PATCH (RFC 5789)"
    delete DELETE "DELETE"
    options OPTIONS "OPTIONS, in place of the router's own answer"
}

/// A path's handler for a method of any name.
///
/// ```
/// use straightline::web::{Router, on};
/// use straightline::{Method, Request};
///
/// let report = Method::from_bytes(b"REPORT")?;
/// let router = Router::new().route("/", on(report, |_: &mut Request| "the report\n"));
/// # let _ = router;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn on<S, K, H: RouteHandler<S, K>>(method: Method, handler: H) -> MethodRouter<S> {
    MethodRouter::empty().with(Some(method), handler)
}

/// A path's handler for all methods that have none of their own, OPTIONS and HEAD included.
///
/// ```
/// use straightline::Request;
/// use straightline::web::{Router, any};
///
/// fn method(request: &mut Request) -> String {
///     request.method().to_string()
/// }
///
/// let router = Router::new().route("/", any(method));
/// # let _ = router;
/// ```
pub fn any<S, K, H: RouteHandler<S, K>>(handler: H) -> MethodRouter<S> {
    MethodRouter::empty().with(None, handler)
}

impl<S> MethodRouter<S> {
    fn empty() -> Self {
        let settings = RouteSettings::default();
        Self { handlers: Vec::new(), layers: Vec::new(), settings, name: None }
    }

    fn with<K, H: RouteHandler<S, K>>(mut self, method: Option<Method>, handler: H) -> Self {
        self.handlers.push((method, Box::new(|state| handler.into_endpoint(state))));
        self
    }

    /// Adds the handler for a method of any name.
    pub fn on<K, H: RouteHandler<S, K>>(self, method: Method, handler: H) -> Self {
        self.with(Some(method), handler)
    }

    /// Adds the handler for all methods that have none of their own.
    pub fn any<K, H: RouteHandler<S, K>>(self, handler: H) -> Self {
        self.with(None, handler)
    }

    /// Adds a function around everything that this path answers, also around its 405 and its answer
    /// to OPTIONS. It is inside of the wrappers of the [router](super::Router::wrap); the first is
    /// the outermost.
    ///
    /// ```
    /// use straightline::web::{Router, get};
    /// use straightline::{Next, Request, Response};
    ///
    /// fn uncached(request: &mut Request, next: Next<'_>) -> Response {
    ///     next.run(request).header("cache-control", "no-store")
    /// }
    ///
    /// let router = Router::new().route("/now", get(|_: &mut Request| "now\n").wrap(uncached));
    /// # let _ = router;
    /// ```
    pub fn wrap<R: IntoResponse>(
        mut self,
        wrapper: impl Fn(&mut Request, Next<'_>) -> R + Send + Sync + 'static,
    ) -> Self {
        self.layers.push(layer(wrapper));
        self
    }

    /// How long a body may be. A request that announces more gets a 413, a problem, before the
    /// handler runs; without an announcement the read fails
    /// ([`Request::set_body_limit`](crate::Request::set_body_limit)). Default: the router's
    /// [setting](super::Router::body_limit). The server's own
    /// [limit](crate::Limits::body_bytes) is the most that a route may allow: a server with less is
    /// not built.
    pub fn body_limit(mut self, bytes_max: u64) -> Self {
        self.settings.body_limit = Some(bytes_max);
        self
    }

    /// How long the handler may take
    /// ([`Request::set_handler_timeout`](crate::Request::set_handler_timeout)). Default: the
    /// router's [setting](super::Router::handler_timeout).
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.settings.handler_timeout = Some(timeout);
        self
    }

    /// How fast the client has to send its body
    /// ([`Request::set_min_body_rate`](crate::Request::set_min_body_rate)). Default: the router's
    /// [setting](super::Router::min_body_rate).
    pub fn min_body_rate(mut self, rate: MinRate) -> Self {
        self.settings.min_body_rate = Some(rate);
        self
    }

    /// The name of this path in logs and metrics. Default: its pattern.
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    pub(super) fn into_definition(self, state: &Arc<S>) -> RouteDefinition {
        let handlers = self.handlers.into_iter();
        RouteDefinition {
            handlers: handlers.map(|(method, make)| (method, make(state))).collect(),
            layers: self.layers,
            settings: self.settings,
            name: self.name,
        }
    }
}

impl<S> fmt::Debug for MethodRouter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<_> = self.handlers.iter().map(|(method, _)| method).collect();
        f.debug_struct("MethodRouter").field("methods", &methods).finish_non_exhaustive()
    }
}
