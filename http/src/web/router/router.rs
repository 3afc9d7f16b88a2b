//! What a program writes: its routes, and what is around them.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::compile::{compile, invalid};
use super::definition::Definition;
use super::dispatch::dispatch;
use super::handler::RouteHandler;
use super::layer::layer;
use super::method_router::{self, MethodRouter};
use super::mount;
use super::site::Sites;
use crate::config::MinRate;
use crate::conn::Next;
use crate::message::{IntoResponse, Request, Response};
use crate::server::Handler;

/// Finds the handler of a request by its host, path and method, and runs it inside of wrappers.
///
/// ```
/// use straightline::web::{RequestExt, Router, get};
/// use straightline::{Next, Problem, Request, Response, Server};
///
/// fn index(_: &mut Request) -> &'static str {
///     "hello\n"
/// }
///
/// fn todo(request: &mut Request) -> Result<String, Problem> {
///     Ok(format!("todo {}\n", request.param::<u64>("id")?))
/// }
///
/// fn remove(request: &mut Request) -> Result<String, Problem> {
///     Ok(format!("todo {} is removed\n", request.param::<u64>("id")?))
/// }
///
/// fn audited(request: &mut Request, next: Next<'_>) -> Response {
///     next.run(request).header("x-audited", "yes")
/// }
///
/// let admin = Router::new().get("/", |_: &mut Request| "the office\n").wrap(audited);
/// let router = Router::new()
///     .get("/", index)
///     .route("/todos/{id}", get(todo).delete(remove))
///     .nest("/admin", admin);
/// Server::builder().bind("127.0.0.1:0").build(router)?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Patterns
///
/// | pattern | paths |
/// |---|---|
/// | `/todos` | this one |
/// | `/todos/{id}` | `/todos/` and one segment, which is not empty |
/// | `/images/{name}.png` | a segment with that end; one parameter for each segment |
/// | `/files/{*path}` | `/files/` and one or more segments |
/// | `/{{x}}` | braces, `/%7Bx%7D` |
///
/// A fixed segment is preferred to a parameter, and a parameter to a wildcard. Two patterns that
/// cannot be told apart are a mistake.
///
/// A slash at the end counts: `/todos` and `/todos/` are two paths. Paths are compared as RFC 3986
/// section 6.2.2 says: an escape of an unreserved character is that character, so `/%74odos` is
/// `/todos`. An escaped slash (`%2F`) is not a slash. Dot segments (`/../`) and empty segments are
/// not resolved: they match no fixed segment, and [`param`](crate::web::RequestExt::param) refuses
/// them. A wrapper that decides by [`Request::path`] sees the path as it was sent, so protect a
/// part of the site by a wrapper around that part's router, and not by comparing paths.
///
/// # What the router answers by itself
///
/// 404 where there is no route (or the [`fallback`](Self::fallback)); HEAD, OPTIONS and 405 where
/// there is one, see [`MethodRouter`]; `OPTIONS *` with a 204; CONNECT with a 501. The bodies are
/// lines of text, which [`ServerBuilder::error_responses`](crate::ServerBuilder::error_responses)
/// can replace.
///
/// # Labels
///
/// [`Request::set_route`] is called with the pattern, prefixes of nested routers included, so
/// metrics and the access log count requests by route. A request without a route has no label.
/// The patterns are kept for the life of the process.
///
/// # Mistakes
///
/// Malformed patterns, and patterns or handlers that contradict each other, are an error of
/// [`ServerBuilder::build`](crate::ServerBuilder::build) that names all of them. A router that is
/// used without this check, as with [`build_with`](crate::ServerBuilder::build_with), answers each
/// request with a 500, and [`Event::ResponseFailed`](crate::Event::ResponseFailed) reports why.
///
/// A router is also a [`Handler`], and may be called without a server:
///
/// ```
/// use straightline::web::Router;
/// use straightline::{Handler, Request, StatusCode};
///
/// let router = Router::new().post("/todos", |_: &mut Request| StatusCode::CREATED);
/// router.check()?;
/// let response = router.handle(&mut Request::builder().target("/todos").build()?);
/// assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
/// assert_eq!(response.headers().get("allow"), Some("POST, OPTIONS"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "`ServerBuilder::build` takes it"]
pub struct Router<S = ()> {
    state: Arc<S>,
    definition: Definition,
    /// Made at the first request or check. The error is all mistakes.
    compiled: OnceLock<Result<Box<Sites>, String>>,
}

impl Router {
    /// A router without routes, whose handlers take a request alone.
    pub fn new() -> Self {
        Self::with_state(())
    }
}

macro_rules! short_forms {
    ($($method:ident $text:literal)*) => {
        $(
            #[doc = concat!("Adds a handler for ", $text, " of a path: short for")]
            #[doc = concat!("`route(pattern, ", stringify!($method), "(handler))`.")]
            pub fn $method<K, H: RouteHandler<S, K>>(self, pattern: &str, handler: H) -> Self {
                self.route(pattern, method_router::$method(handler))
            }
        )*
    };
}

impl<S> Router<S> {
    /// A router whose handlers may also take a state, `fn(&mut Request, &S)`. All shards share it,
    /// so it must be `Sync`: what changes is in a `Mutex` or an atomic.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use straightline::web::Router;
    /// use straightline::{Handler, Request};
    ///
    /// #[derive(Default)]
    /// struct App {
    ///     hits: AtomicU64,
    /// }
    ///
    /// fn hit(_: &mut Request, app: &App) -> String {
    ///     format!("number {}\n", app.hits.fetch_add(1, Ordering::Relaxed) + 1)
    /// }
    ///
    /// let router = Router::with_state(App::default()).get("/", hit);
    /// for expected in ["number 1\n", "number 2\n"] {
    ///     let response = router.handle(&mut Request::builder().build()?);
    ///     assert_eq!(response.body().as_bytes(), Some(expected.as_bytes()));
    /// }
    /// # Ok::<(), straightline::InvalidRequest>(())
    /// ```
    pub fn with_state(state: S) -> Self
    where
        S: Send + Sync,
    {
        Self::with_shared_state(Arc::new(state))
    }

    /// As [`with_state`](Self::with_state), with a state that other parts of the program have too,
    /// such as another router.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use straightline::Request;
    /// use straightline::web::Router;
    ///
    /// struct App {
    ///     name: String,
    /// }
    ///
    /// fn admin(app: &Arc<App>) -> Router<App> {
    ///     Router::with_shared_state(Arc::clone(app))
    ///         .get("/", |_: &mut Request, app: &App| format!("the office of {}\n", app.name))
    /// }
    ///
    /// let app = Arc::new(App { name: "the shop".to_owned() });
    /// let router = Router::new().nest("/admin", admin(&app));
    /// # let _ = router;
    /// ```
    pub fn with_shared_state(state: Arc<S>) -> Self
    where
        S: Send + Sync,
    {
        Self { state, definition: Definition::default(), compiled: OnceLock::new() }
    }

    /// Adds the handlers of a path. The same path may be added again with other methods; what the
    /// router answers there by itself is inside of the wrappers of the first.
    pub fn route(self, pattern: &str, methods: MethodRouter<S>) -> Self {
        let route = methods.into_definition(&self.state);
        self.define(|definition| definition.routes.push((pattern.to_owned(), route)))
    }

    short_forms! {
        get "GET (and HEAD)"
        post "POST"
        put "PUT"
        patch "PATCH"
        delete "DELETE"
        any "all methods"
    }

    /// Adds the routes of another router behind a prefix, which may have parameters. The route `/`
    /// of that router is the prefix itself, or the prefix with a slash if the prefix ends with one.
    ///
    /// The other router's wrappers and settings stay around its routes, inside of those of this
    /// one. All that is below the prefix and has no route is answered by the other router too: its
    /// wrappers run, and its fallback, or this router's.
    ///
    /// ```
    /// use straightline::web::{RequestExt, Router};
    /// use straightline::{Handler, Problem, Request};
    ///
    /// fn comment(request: &mut Request) -> Result<String, Problem> {
    ///     let (post, id) = (request.param::<u64>("post")?, request.param::<u64>("id")?);
    ///     Ok(format!("comment {id} of post {post}\n"))
    /// }
    ///
    /// let comments = Router::new().get("/{id}", comment);
    /// let router = Router::new().nest("/posts/{post}/comments", comments);
    /// let mut request = Request::builder().target("/posts/3/comments/1").build()?;
    /// let response = router.handle(&mut request);
    /// assert_eq!(response.body().as_bytes(), Some(&b"comment 1 of post 3\n"[..]));
    /// # Ok::<(), straightline::InvalidRequest>(())
    /// ```
    pub fn nest<T>(self, prefix: &str, router: Router<T>) -> Self {
        // An empty prefix is for `merge`.
        let prefix = if prefix.is_empty() { "/" } else { prefix }.to_owned();
        self.define(|definition| definition.nested.push((prefix, router.definition)))
    }

    /// Adds the routes of another router without a prefix: a group of routes with wrappers and
    /// settings of its own. It cannot have a fallback.
    ///
    /// ```
    /// use straightline::web::Router;
    /// use straightline::{Next, Request, Response};
    ///
    /// fn uncached(request: &mut Request, next: Next<'_>) -> Response {
    ///     next.run(request).header("cache-control", "no-store")
    /// }
    ///
    /// let private = Router::new().get("/account", |_: &mut Request| "yours\n").wrap(uncached);
    /// let router = Router::new().get("/", |_: &mut Request| "for all\n").merge(private);
    /// # let _ = router;
    /// ```
    pub fn merge<T>(self, router: Router<T>) -> Self {
        self.define(|definition| definition.nested.push((String::new(), router.definition)))
    }

    /// Adds a handler that finds its way by the path itself, such as a static directory, below a
    /// prefix: its requests have the path behind the prefix. It gets all methods. The prefix
    /// without a slash at its end is redirected to the prefix with one (308).
    ///
    /// ```
    /// use straightline::web::Router;
    /// use straightline::{Handler, Request};
    ///
    /// fn directory(request: &mut Request) -> String {
    ///     format!("the file {}\n", request.path())
    /// }
    ///
    /// let router = Router::new().mount("/assets", directory);
    /// let mut request = Request::builder().target("/assets/css/site.css").build()?;
    /// let response = router.handle(&mut request);
    /// assert_eq!(response.body().as_bytes(), Some(&b"the file /css/site.css\n"[..]));
    /// # Ok::<(), straightline::InvalidRequest>(())
    /// ```
    pub fn mount<K, H: RouteHandler<S, K>>(self, prefix: &str, handler: H) -> Self {
        let mistake = handler.mistake();
        let routes = mount::routes(prefix, handler.into_endpoint(&self.state));
        self.define(|definition| {
            definition.routes.extend(routes);
            definition.mistakes.extend(mistake);
        })
    }

    /// Adds a router for a host: `api.example.org`, or `*.example.org` for all hosts below it, of
    /// any depth. Case and port do not count. A request for this host sees that router alone,
    /// inside of this one's wrappers; what is not found there gets its fallback, or this router's.
    ///
    /// The host is what the client says: a program that protects something by its host needs a
    /// proxy in front of it that does not let other hosts through.
    ///
    /// ```
    /// use straightline::Request;
    /// use straightline::web::Router;
    ///
    /// let api = Router::new().get("/todos", |_: &mut Request| "[]\n");
    /// let router = Router::new()
    ///     .host("api.example.org", api)
    ///     .get("/", |_: &mut Request| "the site for all other hosts\n");
    /// # let _ = router;
    /// ```
    pub fn host<T>(self, host: &str, router: Router<T>) -> Self {
        let host = host.to_owned();
        self.define(|definition| definition.hosts.push((host, router.definition)))
    }

    /// The handler for what is not found. Default: that of the router around this one, or a 404.
    ///
    /// ```
    /// use straightline::web::Router;
    /// use straightline::{Request, StatusCode};
    ///
    /// let router = Router::new()
    ///     .fallback(|_: &mut Request| (StatusCode::NOT_FOUND, "there is nothing here\n"));
    /// # let _ = router;
    /// ```
    pub fn fallback<K, H: RouteHandler<S, K>>(self, handler: H) -> Self {
        let mistake = handler.mistake();
        let endpoint = handler.into_endpoint(&self.state);
        self.define(|definition| {
            definition.fallback = Some(endpoint);
            definition.mistakes.extend(mistake);
        })
    }

    /// Adds a function around everything that this router answers: its routes and those of the
    /// routers in it, its fallback, its 404 and 405, whether they are added before or after the
    /// wrapper. The first wrapper is the outermost.
    ///
    /// In contrast to [`ServerBuilder::wrap`](crate::ServerBuilder::wrap), a wrapper here is inside
    /// of the handler's time, and a panic of the handler passes through it. The route is known by
    /// then ([`param`](crate::web::RequestExt::param)).
    ///
    /// ```
    /// use straightline::web::Router;
    /// use straightline::{Handler, Next, Request, Response};
    ///
    /// fn with_frame_options(request: &mut Request, next: Next<'_>) -> Response {
    ///     next.run(request).header("x-frame-options", "DENY")
    /// }
    ///
    /// let router = Router::new().wrap(with_frame_options).get("/", |_: &mut Request| "hello\n");
    /// let response = router.handle(&mut Request::builder().build()?);
    /// assert!(response.headers().contains("x-frame-options"));
    /// # Ok::<(), straightline::InvalidRequest>(())
    /// ```
    pub fn wrap<R: IntoResponse>(
        self,
        wrapper: impl Fn(&mut Request, Next<'_>) -> R + Send + Sync + 'static,
    ) -> Self {
        let layer = layer(wrapper);
        self.define(|definition| definition.layers.push(layer))
    }

    /// How long a body may be, where a route says nothing else
    /// ([`MethodRouter::body_limit`]). Default: the server's [limit](crate::Limits::body_bytes),
    /// which is also the most that a route may allow: a server with less is not built.
    pub fn body_limit(self, bytes_max: u64) -> Self {
        self.define(|definition| definition.settings.body_limit = Some(bytes_max))
    }

    /// How long a handler may take, where a route says nothing else
    /// ([`MethodRouter::handler_timeout`]). Default: the server's
    /// [timeout](crate::Timeouts::handler).
    pub fn handler_timeout(self, timeout: Duration) -> Self {
        self.define(|definition| definition.settings.handler_timeout = Some(timeout))
    }

    /// How fast clients have to send bodies, where a route says nothing else
    /// ([`MethodRouter::min_body_rate`]). Default: the server's [rate](crate::Timeouts::body).
    pub fn min_body_rate(self, rate: MinRate) -> Self {
        self.define(|definition| definition.settings.min_body_rate = Some(rate))
    }

    fn define(mut self, change: impl FnOnce(&mut Definition)) -> Self {
        change(&mut self.definition);
        self.compiled = OnceLock::new();
        self
    }

    #[inline]
    fn compiled(&self) -> &Result<Box<Sites>, String> {
        self.compiled.get_or_init(|| compile(&self.definition).map(Box::new))
    }
}

impl<'r, S> Handler<'r> for Router<S> {
    type Response = Response;

    /// Answers a request: as the route's handler and the wrappers around it.
    #[inline]
    fn handle(&self, request: &'r mut Request) -> Response {
        match self.compiled() {
            Ok(sites) => dispatch(sites, request),
            Err(mistakes) => Response::failed(invalid(mistakes).into()),
        }
    }

    fn check(&self) -> io::Result<()> {
        self.compiled().as_ref().map(drop).map_err(|mistakes| invalid(mistakes))
    }

    /// The largest of the routes' bounds.
    fn largest_body(&self) -> Option<u64> {
        self.compiled().as_ref().ok()?.largest_body
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Definition { routes, nested, hosts, layers, .. } = &self.definition;
        f.debug_struct("Router")
            .field("routes", &routes.iter().map(|(pattern, _)| pattern).collect::<Vec<_>>())
            .field("nested", &nested.iter().map(|(prefix, _)| prefix).collect::<Vec<_>>())
            .field("hosts", &hosts.iter().map(|(host, _)| host).collect::<Vec<_>>())
            .field("wrappers", &layers.len())
            .finish_non_exhaustive()
    }
}
