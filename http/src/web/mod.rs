//! The web kit: what a service with routes, forms, files and JSON needs, each piece usable alone.
//!
//! Nothing here is needed to serve; the server knows none of it.

mod client_address;
mod coding;
#[cfg(feature = "cookies")]
mod cookies;
#[cfg(feature = "files")]
mod files;
mod forms;
mod html;
#[cfg(feature = "json")]
mod json;
pub mod middleware;
mod negotiation;
mod redirect;
mod request_ext;
#[cfg(feature = "router")]
mod router;
mod state;
#[cfg(feature = "_serde")]
mod whole_body;

pub use coding::DecodedBody;
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
pub use coding::{Coding, Compression};
#[cfg(feature = "form")]
pub use forms::empty_as_none;
pub use forms::{Multipart, MultipartLimits, Part};
#[cfg(feature = "json")]
pub use json::Json;
pub use negotiation::{AcceptedEncodings, AcceptedLanguages, AcceptedTypes};
pub use request_ext::RequestExt;
#[cfg(feature = "router")]
pub use router::{
    MethodRouter, Params, RouteHandler, Router, any, delete, get, head, on, options, patch, post,
    put,
};
pub use state::PerShard;
