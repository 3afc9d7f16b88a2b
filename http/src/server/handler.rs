//! The program's handler, and how each shard gets one.

use std::io;
use std::rc::Rc;

use crate::conn::{Service, ShardHandler};
use crate::message::{IntoResponse, Request};
use crate::proto::Limits;

/// What answers requests: what [`ServerBuilder::build`](crate::ServerBuilder::build) takes.
///
/// Every function and closure from `&mut Request` to a [response](IntoResponse) is a handler.
///
/// A closure has to name the type of its argument, `|request: &mut Request| ...`; otherwise the
/// compiler says that an implementation of `Handler` is not general enough. The trait has a
/// lifetime, so that the returned type can use the request's, as in `fn(&mut Request) -> impl
/// IntoResponse`.
///
/// A handler runs on a fiber of a shard's thread, so it may wait, but should not block that thread
/// (code that blocks belongs in [`sched::offload`](straightline_sched::offload)). A handler that
/// still runs at the end of a shutdown's drain unwinds at its next yield point.
///
/// ```
/// use straightline::{Request, Server};
///
/// fn named(request: &mut Request) -> String {
///     format!("{} {}\n", request.method(), request.path())
/// }
///
/// Server::builder().bind("127.0.0.1:0").build(named)?;
/// Server::builder().bind("127.0.0.1:0").build(|_: &mut Request| "a closure\n")?;
/// # std::io::Result::Ok(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not a function from `&mut Request` to a response",
    note = "a handler is `fn(&mut Request) -> impl IntoResponse`; a closure has to name the type \
            of its argument: `|request: &mut Request| ...`"
)]
pub trait Handler<'r> {
    /// The type that the handler returns.
    type Response: IntoResponse;

    /// Answers a request.
    fn handle(&self, request: &'r mut Request) -> Self::Response;

    /// Looks for mistakes that show before the first request, such as routes that contradict each
    /// other. [`ServerBuilder::build`](crate::ServerBuilder::build) returns them. A function has
    /// none.
    ///
    /// # Errors
    ///
    /// The mistake.
    fn check(&self) -> io::Result<()> {
        Ok(())
    }

    /// The longest body in bytes that a part of this handler asks for, as a route of a router may.
    /// A server that allows less ([`Limits::body_bytes`](crate::Limits::body_bytes)) is not built:
    /// it would refuse such a body before the handler could read it. A function asks for none.
    fn largest_body(&self) -> Option<u64> {
        None
    }
}

impl<'r, H, R> Handler<'r> for H
where
    H: Fn(&'r mut Request) -> R,
    R: IntoResponse,
{
    type Response = R;

    #[inline]
    fn handle(&self, request: &'r mut Request) -> R {
        self(request)
    }
}

/// The handler of one shard.
pub(super) fn boxed<H: for<'r> Handler<'r> + 'static>(handler: H) -> Box<ShardHandler> {
    Box::new(move |request: &mut Request| IntoResponse::response_of(|| handler.handle(request)))
}

/// Looks for the mistakes of a handler, also beside the limits of its server.
pub(super) fn check<'r>(handler: &impl Handler<'r>, limits: &Limits) -> io::Result<()> {
    handler.check()?;
    let bytes_max = limits.body_bytes;
    match handler.largest_body() {
        Some(bytes) if bytes > bytes_max => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "a route allows bodies of {bytes} bytes, and the server only {bytes_max}: raise \
                 `Limits::body_bytes`"
            ),
        )),
        _ => Ok(()),
    }
}

/// A handler that all shards may share; every such type is one.
#[diagnostic::on_unimplemented(
    message = "the shards cannot share this handler: it holds something of one thread, such as an \
               `Rc`, a `RefCell` or a `Cell`",
    label = "not `Send` and `Sync`",
    note = "`build_with(|| handler)` makes a handler for each shard: what the closure makes inside \
            itself may be an `Rc`; \
            or share the state between the shards in an `Arc` with a `Mutex`"
)]
pub trait Shareable: Send + Sync {}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync> Shareable for T {}

/// Makes a shard's handler, on the shard's thread.
pub(super) type HandlerFactory = dyn Fn() -> Box<ShardHandler> + Send + Sync;

/// Makes what serves the requests of a shard, on the shard's thread.
pub(super) type ServiceFactory = dyn Fn() -> Rc<Service> + Send + Sync;
