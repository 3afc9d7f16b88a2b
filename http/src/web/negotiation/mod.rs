//! What the client prefers to get (RFC 9110 section 12): media types, languages, content codings.
//!
//! - `weighted_list` parses the three fields, which are lists of ranges with weights;
//! - `types`, `languages` and `encodings` have the rules by which a range matches what there is.

mod encodings;
mod languages;
mod types;
mod weighted_list;

pub use encodings::AcceptedEncodings;
pub use languages::AcceptedLanguages;
pub use types::AcceptedTypes;
