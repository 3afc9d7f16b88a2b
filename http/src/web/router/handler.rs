//! What a route may have as its handler.

use std::sync::Arc;

use crate::message::{IntoResponse, Request, Response};
use crate::server::Handler;

/// A handler without its type, and with its state, if it takes one.
pub(super) type Endpoint = dyn Fn(&mut Request) -> Response + Send + Sync;

/// What a route of a [`Router<S>`](super::Router) may have as its handler:
///
/// - `fn(&mut Request) -> impl IntoResponse`, and every other [`Handler`], such as another router;
/// - `fn(&mut Request, &S) -> impl IntoResponse`, which gets the router's
///   [state](super::Router::with_state).
///
/// `Kind` is one of the two, and the compiler finds out which. The handler is shared by all shards,
/// so it must be `Send` and `Sync`; a value for each shard is a [`PerShard`](crate::web::PerShard).
///
/// ```
/// use straightline::web::{Router, get};
/// use straightline::{IntoResponse, Request};
///
/// struct App {
///     name: String,
/// }
///
/// fn health(_: &mut Request) -> &'static str {
///     "fine\n"
/// }
///
/// fn about(_: &mut Request, app: &App) -> impl IntoResponse {
///     format!("this is {}\n", app.name)
/// }
///
/// let router = Router::with_state(App { name: "the shop".to_owned() })
///     .route("/health", get(health))
///     .route("/about", get(about))
///     .route("/version", get(|_: &mut Request, _: &App| env!("CARGO_PKG_VERSION")));
/// # let _ = router;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler for a route of a router with the state `{S}`",
    label = "not a function from `&mut Request`, or from `&mut Request` and `&{S}`, to a response",
    note = "a route's handler is `fn(&mut Request) -> impl IntoResponse` or \
            `fn(&mut Request, &{S}) -> impl IntoResponse`, and `Send` and `Sync`; a closure has to \
            name the types of its arguments: `|request: &mut Request| ...`"
)]
pub trait RouteHandler<S, Kind>: Send + Sync + Sized + 'static {
    /// Forgets the type of the handler, and joins it with the state.
    #[doc(hidden)]
    fn into_endpoint(self, state: &Arc<S>) -> Arc<Endpoint>;

    /// What [`Handler::check`] finds.
    #[doc(hidden)]
    fn mistake(&self) -> Option<String> {
        None
    }
}

/// The kind of a handler that takes a request alone.
#[derive(Debug)]
pub struct WithoutState;

/// The kind of a handler that takes a request and the state.
#[derive(Debug)]
pub struct WithState;

impl<S, H> RouteHandler<S, WithoutState> for H
where
    H: for<'r> Handler<'r> + Send + Sync + 'static,
{
    fn into_endpoint(self, _: &Arc<S>) -> Arc<Endpoint> {
        Arc::new(move |request: &mut Request| IntoResponse::response_of(|| self.handle(request)))
    }

    fn mistake(&self) -> Option<String> {
        self.check().err().map(|error| error.to_string())
    }
}

impl<S, H> RouteHandler<S, WithState> for H
where
    H: for<'r> StateHandler<'r, S> + Send + Sync + 'static,
    S: Send + Sync + 'static,
{
    fn into_endpoint(self, state: &Arc<S>) -> Arc<Endpoint> {
        let state = Arc::clone(state);
        Arc::new(move |request: &mut Request| {
            IntoResponse::response_of(|| self.handle_with(request, &state))
        })
    }
}

/// As [`Handler`], with the state; it has a lifetime for the same reason.
pub trait StateHandler<'r, S> {
    /// The type that the handler returns.
    type Response: IntoResponse;

    /// Answers a request.
    fn handle_with(&self, request: &'r mut Request, state: &'r S) -> Self::Response;
}

impl<'r, S, H, R> StateHandler<'r, S> for H
where
    H: Fn(&'r mut Request, &'r S) -> R,
    R: IntoResponse,
    S: 'r,
{
    type Response = R;

    fn handle_with(&self, request: &'r mut Request, state: &'r S) -> R {
        self(request, state)
    }
}
