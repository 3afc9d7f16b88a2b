//! What clients send from forms: queries, urlencoded bodies, multipart bodies.

mod multipart;

pub use multipart::{Multipart, MultipartLimits, Part};
