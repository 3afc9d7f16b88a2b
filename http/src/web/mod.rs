//! The web kit: what people reach for in the first hour, in straight-line style.
//!
//! Each piece is usable alone, with any handler. The server knows none of them.
//!
//! ```
//! # #[cfg(all(feature = "router", feature = "json", feature = "form"))]
//! # fn main() -> std::io::Result<()> {
//! use std::sync::Mutex;
//!
//! use serde::Deserialize;
//! use straightline::web::{Json, RequestExt, Router, get, middleware};
//! use straightline::{Problem, Request, Server};
//!
//! type Notes = Mutex<Vec<String>>;
//!
//! #[derive(Deserialize)]
//! struct Page {
//!     limit: Option<usize>,
//! }
//!
//! fn list(request: &mut Request, notes: &Notes) -> Result<Json<Vec<String>>, Problem> {
//!     let page: Page = request.query_as()?;
//!     let notes = notes.lock().unwrap();
//!     Ok(Json(notes.iter().take(page.limit.unwrap_or(20)).cloned().collect()))
//! }
//!
//! fn add(request: &mut Request, notes: &Notes) -> Result<String, Problem> {
//!     let note = request.json()?;
//!     notes.lock().unwrap().push(note);
//!     Ok("thank you\n".to_owned())
//! }
//!
//! fn one(request: &mut Request, notes: &Notes) -> Result<Option<String>, Problem> {
//!     let number: usize = request.param("number")?;
//!     Ok(notes.lock().unwrap().get(number).cloned())
//! }
//!
//! let app = Router::with_state(Notes::default())
//!     .route("/notes", get(list).post(add))
//!     .get("/notes/{number}", one)
//!     .wrap(middleware::request_id);
//! Server::builder().bind("127.0.0.1:0").build(app)?;
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "router", feature = "json", feature = "form")))]
//! # fn main() {}
//! ```
//!
//! | what a service needs | the piece | feature |
//! |---|---|---|
//! | routes, parameters, groups, limits of a route | `Router`, `get`, `post`, ... | `router` |
//! | state of handlers | `Router::with_state`; [`PerShard`]: one for each thread | |
//! | functions around handlers | [`middleware`] | `auth` for authentication |
//! | queries and forms | [`RequestExt`] | `form` |
//! | JSON in and out | [`RequestExt`], `Json` | `json` |
//! | what a client prefers | [`RequestExt`] | |
//! | errors that a client can read | [`Problem`](crate::Problem) | |
//! | HTML | [`Html`] | |
//! | redirects that stay on the site | [`Redirect`], [`local_target`] | |
//! | cookies, plain, signed and encrypted | `Cookies`, `SetCookie`, `CookieKeys` | `cookies` |
//! | uploads in flat memory | [`Multipart`], [`MultipartLimits`] | |
//! | compressed requests | [`DecodedBody`] | `gzip`, `brotli`, `zstd` |
//! | compressed responses | `middleware::Compression` | `gzip`, `brotli`, `zstd` |
//! | directories of files | `StaticFiles` | `files` |
//! | ranges of any source, downloads | [`Ranged`], [`download`] | |
//! | conditional requests | [`Validators`], [`EntityTag`] | |
//! | the client behind proxies | [`TrustedProxies`], [`proxy_protocol`] | |
//! | tests | `testing::Client` | `testing` |
//!
//! [`proxy_protocol`]: crate::ServerBuilder::proxy_protocol
//!
//! The feature `web` has all of it but `zstd`, which needs a C compiler, and `testing`, which
//! belongs to the tests of a program.
//!
//! Every error that is the client's fault is a [`Problem`](crate::Problem), so `?` answers it.
//! Every bound on what a client may send has a default, which the page of the piece tells.

mod client_address;
mod coding;
#[cfg(feature = "cookies")]
mod cookies;
mod files;
mod forms;
mod html;
#[cfg(feature = "json")]
mod json;
pub mod middleware;
mod negotiation;
#[cfg(any(feature = "files", feature = "router"))]
mod original_path;
mod redirect;
mod request_ext;
#[cfg(feature = "router")]
mod router;
mod state;
#[cfg(feature = "_serde")]
mod whole_body;

pub use client_address::{ClientAddress, TrustedProxies};
pub use coding::DecodedBody;
#[cfg(feature = "cookies")]
pub use cookies::{CookieKeys, Cookies, InvalidSecret, SameSite, SetCookie};
#[cfg(feature = "files")]
pub use files::StaticFiles;
pub use files::{EntityTag, Ranged, Validators, download};
#[cfg(feature = "form")]
pub use forms::empty_as_none;
pub use forms::{Multipart, MultipartLimits, Part};
pub use html::Html;
#[cfg(feature = "json")]
pub use json::Json;
pub use negotiation::{AcceptedEncodings, AcceptedLanguages, AcceptedTypes};
pub use redirect::{Redirect, local_target};
pub use request_ext::RequestExt;
#[cfg(feature = "router")]
pub use router::{
    MethodRouter, Params, RouteHandler, Router, any, delete, get, head, on, options, patch, post,
    put,
};
pub use state::PerShard;
