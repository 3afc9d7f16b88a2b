//! Server-sent events: a response that goes on, and brings events to the page or program that asked
//! for them (WHATWG HTML, "Server-sent events").
//!
//! | to send | use |
//! |---|---|
//! | what is published for all, on all shards | [`Feed`], which stands on a [`hub`] |
//! | what comes from a channel | [`EventStream::new`] with its receiver |
//! | what a handler makes, in straight-line code | [`stream`] |
//!
//! ```
//! use straightline::sse::{Event, Feed};
//! use straightline::{IntoResponse, Request, Response, Server, StatusCode};
//!
//! let news = Feed::new();
//! let handler = move |request: &mut Request| -> Response {
//!     match request.path() {
//!         "/events" => news.subscribe(request).into_response(),
//!         "/hello" => match news.publish(&Event::new("hello")) {
//!             0 => StatusCode::NO_CONTENT.into_response(),
//!             clients => format!("told {clients} clients\n").into_response(),
//!         },
//!         _ => StatusCode::NOT_FOUND.into_response(),
//!     }
//! };
//! Server::builder().bind("127.0.0.1:0").build(handler)?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # What holds for all streams
//!
//! - **Text injects nothing.** The data of an event may contain line ends of all kinds: each line
//!   becomes a field of its own. An id or a name with a line end is [refused](InvalidField).
//! - **Each event leaves at once**, and proxies are asked not to hold it back: the response has
//!   `Cache-Control: no-store` and `X-Accel-Buffering: no`.
//! - **A heartbeat**, which is a comment, is sent when there was no event for
//!   [twelve seconds](HEARTBEAT), so that proxies do not take the connection for dead and a client
//!   that has vanished is noticed.
//! - **A drain ends the stream** in good order. A browser then connects again, with the id of the
//!   last event. A client that makes no room for what is left is disconnected after five seconds of
//!   the drain, and counted as one that does not read.
//! - **A client that does not read** is disconnected when its
//!   [write timeout](crate::Timeouts::write) expires, and delays no other client.
//! - An [`EventStream`] **holds no stack** between two events, and no buffer: a client that waits
//!   costs about as much as an idle connection. A function of [`stream`] keeps its stack.
//!
//! A stream ends with its connection (`Connection: close`). It does not count against
//! [`Capacity::in_flight`](crate::Capacity) while it waits, but against
//! [`Capacity::connections`](crate::Capacity).
//!
//! [`hub`]: straightline_sched::hub
//!
//! Files: `event` is an event and its encoding, `frame` an encoded event, `source` where events
//! come from, `event_stream` the response, `feed` the events for all, `writer` those of
//! straight-line code, `last_event_id` what a client has seen.

mod event;
mod event_stream;
mod feed;
mod frame;
mod last_event_id;
mod source;
mod writer;

pub use event::{Event, InvalidField};
pub use event_stream::{EventStream, HEARTBEAT};
pub use feed::{Feed, FeedSettings, OnLag};
pub use frame::Frame;
pub use last_event_id::last_event_id;
pub use source::{EventSource, NextEvent};
pub use writer::{EventWriter, stream};
