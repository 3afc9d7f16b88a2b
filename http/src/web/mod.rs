//! The web kit: what a service with routes, forms, files and JSON needs, each piece usable alone.
//!
//! Nothing here is needed to serve; the server knows none of it.

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
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
pub use coding::{Coding, Compression};
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
