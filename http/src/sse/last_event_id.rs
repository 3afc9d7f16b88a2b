//! What a client that connects again has seen.

use crate::message::Request;

/// The id of the last event that the client has seen (`Last-Event-ID`): an
/// [`EventSource`](super::EventSource) of the program's own goes on behind it. `None` if the client
/// has seen none, or if the field is not visible ASCII text.
///
/// Not a yield point.
///
/// ```
/// use straightline::Request;
/// use straightline::sse::last_event_id;
///
/// let request = Request::builder().header("last-event-id", "17").build()?;
/// assert_eq!(last_event_id(&request), Some("17"));
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
pub fn last_event_id(request: &Request) -> Option<&str> {
    request.headers().get("last-event-id").filter(|id| !id.is_empty())
}
