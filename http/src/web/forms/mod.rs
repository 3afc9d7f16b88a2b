//! What clients send from forms: queries, urlencoded bodies, multipart bodies.

#[cfg(feature = "form")]
mod urlencoded;

#[cfg(feature = "form")]
pub use serde_html_form::de::empty_as_none;
#[cfg(feature = "form")]
pub(super) use urlencoded::{FORM_BYTES_MAX, read_form, read_query};
mod multipart;

pub use multipart::{Multipart, MultipartLimits, Part};
