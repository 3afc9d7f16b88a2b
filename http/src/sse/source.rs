//! Where the events of a stream come from.

use straightline_sched::sync::{Ready, broadcast, mpsc};

use super::event::Event;
use super::frame::Frame;

/// Something that events come from, for an [`EventStream`](super::EventStream): the receiver of a
/// channel, or a type of the program's own.
///
/// ```
/// use straightline::sched::sync::{Ready, mpsc};
/// use straightline::sse::{Event, EventSource, EventStream, NextEvent};
///
/// /// Readings of a sensor, of which only those above a limit are events.
/// struct Above(mpsc::Receiver<u32>, u32);
///
/// impl EventSource for Above {
///     fn next(&mut self) -> NextEvent {
///         loop {
///             match self.0.try_recv() {
///                 Ok(reading) if reading <= self.1 => {}
///                 Ok(reading) => {
///                     let event = Event::new(reading.to_string());
///                     return NextEvent::Event(event.encode());
///                 }
///                 Err(mpsc::TryRecvError::Empty) => return NextEvent::Wait,
///                 Err(mpsc::TryRecvError::Disconnected) => return NextEvent::End,
///             }
///         }
///     }
///
///     fn ready(&self) -> Ready<'_> {
///         Ready::with(&self.0)
///     }
/// }
///
/// let (sender, readings) = mpsc::channel(8);
/// let stream = EventStream::new(Above(readings, 40));
/// # drop(sender);
/// ```
pub trait EventSource: 'static {
    /// The next event, if there is one. It must not wait: return [`NextEvent::Wait`].
    fn next(&mut self) -> NextEvent;

    /// Becomes ready when there may be an event, or the end. The stream asks this after a
    /// [`NextEvent::Wait`].
    fn ready(&self) -> Ready<'_>;
}

/// What an [`EventSource`] has at the moment; its example shows it.
#[derive(Clone, Debug)]
pub enum NextEvent {
    /// An event.
    Event(Frame),
    /// Nothing yet.
    Wait,
    /// There will be no further event: the stream ends.
    End,
}

/// Ends when all senders are gone.
impl EventSource for mpsc::Receiver<Event> {
    fn next(&mut self) -> NextEvent {
        match self.try_recv() {
            Ok(event) => NextEvent::Event(event.encode()),
            Err(mpsc::TryRecvError::Empty) => NextEvent::Wait,
            Err(mpsc::TryRecvError::Disconnected) => NextEvent::End,
        }
    }

    fn ready(&self) -> Ready<'_> {
        Ready::with(self)
    }
}

/// Ends when all senders are gone. What a slow client misses is left out without a word; a
/// [`Feed`](super::Feed) tells the client.
impl EventSource for broadcast::Receiver<Frame> {
    fn next(&mut self) -> NextEvent {
        loop {
            match self.try_recv() {
                Ok(frame) => return NextEvent::Event(frame),
                Err(broadcast::TryRecvError::Empty) => return NextEvent::Wait,
                Err(broadcast::TryRecvError::Closed) => return NextEvent::End,
                Err(broadcast::TryRecvError::Lagged(_)) => {}
            }
        }
    }

    fn ready(&self) -> Ready<'_> {
        Ready::with(self)
    }
}
