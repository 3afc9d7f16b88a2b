//! The program's handler, and how each shard gets one.

use std::rc::Rc;

use crate::conn::Service;
use crate::request::Request;
use crate::into_response::IntoResponse;

/// A function from a request to a response: what
/// [`ServerBuilder::build`](crate::ServerBuilder::build) takes.
///
/// There is nothing to implement: every such function and closure is a handler. The trait exists
/// only so that the returned type can use the request's lifetime, as in `fn(&mut Request) -> impl
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
pub trait Handler<'r>: Fn(&'r mut Request) -> Self::Response {
    /// The type that the function returns.
    type Response: IntoResponse;
}

impl<'r, H, R> Handler<'r> for H
where
    H: Fn(&'r mut Request) -> R,
    R: IntoResponse,
{
    type Response = R;
}

/// Makes a shard's handler, on the shard's thread.
pub(super) type ServiceFactory = dyn Fn() -> Rc<Service> + Send + Sync;
