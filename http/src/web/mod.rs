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
mod redirect;
mod request_ext;
#[cfg(feature = "router")]
mod router;
mod state;

#[cfg(feature = "files")]
pub use files::StaticFiles;
pub use files::{EntityTag, Ranged, Validators, download};
pub use negotiation::{AcceptedEncodings, AcceptedLanguages, AcceptedTypes};
pub use request_ext::RequestExt;
