//! Finds the handler of a request by its host, method and path.
//!
//! - `router` is what a program writes: routes, nested routers, hosts, wrappers, a fallback;
//!   `method_router` has the handlers of one path, and `handler` says what such a handler is;
//! - `definition` is what a router was told, and `compile` makes of it, once, what `site` looks up:
//!   a flat tree of all paths, nested routers included, beside it a table of the `fixed_paths`, and
//!   each handler with the layers around it (`layer`);
//! - `dispatch` answers a request, `automatic` where the program has no handler; `params` are the
//!   parts of its path that have names, and `mount` has handlers that see only the end of the path;
//! - `pattern` reads the patterns of routes, `path` the paths of requests, `hosts` their hosts, and
//!   `settings` are the limits of a route.

mod automatic;
mod compile;
mod definition;
mod dispatch;
mod fixed_paths;
mod handler;
mod hosts;
mod layer;
mod method_router;
mod mount;
mod params;
mod path;
mod pattern;
#[allow(clippy::module_inception)] // the file has the type of that name
mod router;
mod settings;
mod site;

pub use handler::RouteHandler;
pub use method_router::{MethodRouter, any, delete, get, head, on, options, patch, post, put};
pub use params::Params;
pub(super) use params::{param, params};
pub use router::Router;
