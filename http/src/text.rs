//! Received bytes as text, under a name that the protocol core may use.

pub(crate) use straightline_net::ascii_text;

/// The bytes as text, if they are UTF-8.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    match ascii_text(bytes) {
        None => other_text(bytes),
        found => found,
    }
}

#[cold]
#[inline(never)]
fn other_text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok()
}
