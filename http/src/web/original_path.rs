//! The path of a request before a router has taken a prefix off: for what redirects within the path
//! that the client knows.

use crate::message::Request;

/// The path that the client has sent, in the extensions of a request whose path is another.
#[cfg_attr(not(feature = "files"), allow(dead_code))] // only files redirect within it
struct OriginalPath(String);

/// The path that the client has sent.
#[cfg(feature = "files")]
pub(super) fn original_path(request: &Request) -> &str {
    request.extensions().get().map_or(request.path(), |OriginalPath(path)| path)
}

/// Keeps the path, before it is changed; false if that was done already.
#[cfg(feature = "router")]
pub(super) fn keep_original_path(request: &mut Request) -> bool {
    if request.extensions().get::<OriginalPath>().is_some() {
        return false;
    }
    let path = OriginalPath(request.path().to_owned());
    request.extensions_mut().insert(path);
    true
}

/// The path of the request is the original one again.
#[cfg(feature = "router")]
pub(super) fn forget_original_path(request: &mut Request) {
    request.extensions_mut().remove::<OriginalPath>();
}
