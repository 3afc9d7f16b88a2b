//! Files as responses, and what else has validators and parts: directories, ranges, conditions,
//! downloads.
//!
//! - `static_files` serves a directory: `name` reads the path of a request, `beneath` opens the
//!   file without leaving the directory, `media_type` guesses its type, and `variants` finds the
//!   compressed files beside it;
//! - `ranged` sends a file or another source, whole or in the parts that the client asks for, which
//!   `range` reads;
//! - `validators` evaluates the conditions of a request, with the tags of `entity_tag`;
//! - `disposition` names what the client saves as a file.

#[cfg(feature = "files")]
mod beneath;
mod disposition;
mod entity_tag;
#[cfg(feature = "files")]
mod media_type;
#[cfg(feature = "files")]
mod name;
mod range;
mod ranged;
#[cfg(feature = "files")]
mod static_files;
mod validators;
#[cfg(feature = "files")]
mod variants;

pub use disposition::download;
pub use entity_tag::EntityTag;
pub use ranged::Ranged;
#[cfg(feature = "files")]
pub use static_files::StaticFiles;
pub use validators::Validators;
