//! Events for all: what is published on any thread reaches the clients of all shards.
//!
//! An event is encoded once, and all clients share its bytes. The feed numbers its events, so a
//! client that connects again gets what it has missed, as far as the feed still has it.
//!
//! The id of an event is the feed's own random number, and the number of the event. Numbers begin
//! anew when the process is started again, so without the first part the feed would take a client
//! of the process before for one of its own.

use std::fmt;

use straightline_sched::hub::{Hub, Subscriber, TryRecvError};
use straightline_sched::random_u64;
use straightline_sched::sync::Ready;

use super::event::Event;
use super::event_stream::EventStream;
use super::frame::Frame;
use super::last_event_id::last_event_id;
use super::source::{EventSource, NextEvent};
use crate::message::Request;
use crate::with_fields::with_fields;

/// Publishes events to all clients that have subscribed, on all shards; [the module](super) has an
/// example. Clones are handles of the same feed; when the last one is dropped, the streams end.
///
/// It stands on a [`Hub`], which a program may use itself ([`sched::hub`](straightline_sched::hub))
/// where what is published is no event, such as the messages of WebSockets, or where a subscriber
/// is more than a client.
///
/// # Clients that come again
///
/// A browser whose stream has ended connects again by itself, and sends the id of the last event
/// that it has seen. It then gets the events behind that one. If the feed has removed some of them,
/// or has not sent the id (the process was started again), the client first gets an event with the
/// name `gap`. Its data is the number of events that are lost, or `unknown`. A page that listens
/// for it can load its state anew.
///
/// # Clients that read slowly
///
/// A client that is further behind than the feed is long misses events. It gets a `gap` then, too,
/// or its stream ends ([`FeedSettings::on_lag`]). It delays neither the publisher nor other
/// clients.
#[derive(Clone)]
pub struct Feed {
    hub: Hub<Frame>,
    /// Chosen at random, so that ids of another feed, or of another process, are noticed.
    origin: u32,
    on_lag: OnLag,
}

/// How much a [`Feed`] keeps for clients that come again or read slowly.
///
/// ```
/// use straightline::sse::{Feed, FeedSettings, OnLag};
///
/// let settings = FeedSettings::default().with_events(50).with_on_lag(OnLag::End);
/// let feed = Feed::with_settings(&settings);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedSettings {
    /// At most so many events; 0 counts as 1. Default: 1,024, some minutes of a lively feed.
    pub events: usize,
    /// At most so many bytes of events; the newest event is kept even if it is larger. Default:
    /// 1 MiB, so that a feed with large events stays small.
    pub bytes: usize,
    /// What happens to a client that reads too slowly. Default: [`OnLag::Tell`].
    pub on_lag: OnLag,
}

with_fields! {
    FeedSettings {
        with_events: events: usize,
        with_bytes: bytes: usize,
        with_on_lag: on_lag: OnLag,
    }
}

/// What a [`Feed`] does with a client that reads so slowly that it misses events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLag {
    /// The client gets a `gap`, and then the oldest event that is left.
    #[default]
    Tell,
    /// Its stream ends. A browser connects again, and gets the `gap` then.
    End,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self { events: EVENTS, bytes: BYTES, on_lag: OnLag::default() }
    }
}

impl Feed {
    /// A feed with the default [`FeedSettings`]. Not a yield point.
    #[allow(clippy::new_without_default)] // two feeds are never equal
    pub fn new() -> Self {
        Self::with_settings(&FeedSettings::default())
    }

    /// A feed with these settings. Not a yield point.
    pub fn with_settings(settings: &FeedSettings) -> Self {
        let bytes = |frame: &Frame| frame.as_bytes().len();
        let hub = Hub::bounded(settings.events.max(1), settings.bytes, bytes);
        // Half of the bits are enough to tell two processes apart.
        let origin = (random_u64() >> 32) as u32;
        Self { hub, origin, on_lag: settings.on_lag }
    }

    /// Sends an event to all clients, and returns how many there are. The id of the event is the
    /// feed's, whatever id `event` has. From every thread.
    ///
    /// # Blocking
    ///
    /// It never waits, but is a yield point now and then: it lets other fibers run if the caller
    /// has used up its share of the thread.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or passes its deadline in here has not published.
    ///
    /// ```
    /// use straightline::sse::{Event, Feed};
    ///
    /// assert_eq!(Feed::new().publish(&Event::new("hello")), 0);
    /// ```
    pub fn publish(&self, event: &Event) -> usize {
        self.hub.publish_with(|number| event.encode_with(Some(&self.id(number))));
        self.subscribers()
    }

    /// The response for a client that wants the events from now on, or from the last one that it
    /// has seen. Call it on the shard that serves the request. Not a yield point.
    ///
    /// # Panics
    ///
    /// On a thread without a shard.
    #[track_caller]
    pub fn subscribe(&self, request: &Request) -> EventStream {
        let seen = last_event_id(request).map(|id| self.number(id));
        let (after, gap) = match seen {
            None => (u64::MAX, None),
            Some(Some(number)) => (number, None),
            // All that is left may be new to the client.
            Some(None) => (self.hub.oldest_id() - 1, Some(gap("unknown".to_owned()))),
        };
        let subscriber = self.hub.subscribe_after(after);
        EventStream::new(FeedSource { subscriber, gap, on_lag: self.on_lag })
    }

    /// How many clients there are, on all shards. Not a yield point.
    pub fn subscribers(&self) -> usize {
        self.hub.subscribers()
    }

    /// How many events were not sent to a client that wanted them, because it read too slowly or
    /// came too late. Not a yield point.
    pub fn missed(&self) -> u64 {
        self.hub.missed()
    }

    fn id(&self, number: u64) -> String {
        format!("{:08x}-{number}", self.origin)
    }

    /// The number in an id, if this feed has sent it.
    fn number(&self, id: &str) -> Option<u64> {
        let (origin, number) = id.split_once('-')?;
        let number = number.parse().ok().filter(|number| *number <= self.hub.newest_id())?;
        (u32::from_str_radix(origin, 16) == Ok(self.origin)).then_some(number)
    }
}

/// The events of a feed for one client.
struct FeedSource {
    subscriber: Subscriber<Frame>,
    /// Sent before all others.
    gap: Option<Frame>,
    on_lag: OnLag,
}

impl EventSource for FeedSource {
    fn next(&mut self) -> NextEvent {
        if let Some(gap) = self.gap.take() {
            return NextEvent::Event(gap);
        }
        match self.subscriber.try_recv() {
            Ok(message) => NextEvent::Event(Frame::clone(&message)),
            Err(TryRecvError::Empty) => NextEvent::Wait,
            Err(TryRecvError::Closed) => NextEvent::End,
            Err(TryRecvError::Lagged(missed)) => match self.on_lag {
                OnLag::Tell => NextEvent::Event(gap(missed.to_string())),
                OnLag::End => NextEvent::End,
            },
        }
    }

    fn ready(&self) -> Ready<'_> {
        if self.gap.is_some() { Ready::now() } else { Ready::with(&self.subscriber) }
    }
}

/// The event that says that events are lost. It has no id, so the client's last one stays.
fn gap(missed: String) -> Frame {
    let event = Event::new(missed).with_name("gap");
    event.map_or_else(|_| unreachable!("the name is a word"), |event| event.encode())
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("subscribers", &self.subscribers()).finish_non_exhaustive()
    }
}

/// The default of [`FeedSettings::events`].
const EVENTS: usize = 1024;

/// The default of [`FeedSettings::bytes`].
const BYTES: usize = 1024 * 1024;
