//! Where the events of a stream come from.

use straightline_sched::sync::{Ready, broadcast, mpsc};

use super::event::Event;
use super::frame::Frame;

/// Something that events come from, for an [`EventStream`](super::EventStream): the receiver of a
/// channel, or a type of the program's own.
///
/// ```
/// use straightline::sched::sync::{Ready, mpsc};
/// use straightline::sse::{Event, EventSource, EventStream, Next};
///
/// /// Readings of a sensor, of which only those above a limit are events.
/// struct Above(mpsc::Receiver<u32>, u32);
///
/// impl EventSource for Above {
///     fn next(&mut self) -> Next {
///         loop {
///             match self.0.try_recv() {
///                 Ok(reading) if reading <= self.1 => {}
///                 Ok(reading) => return Next::Event(Event::new(reading.to_string()).encode()),
///                 Err(mpsc::TryRecvError::Empty) => return Next::Wait,
///                 Err(mpsc::TryRecvError::Disconnected) => return Next::End,
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
    /// The next event, if there is one. It must not wait: return [`Next::Wait`].
    fn next(&mut self) -> Next;

    /// Becomes ready when there may be an event, or the end. The stream asks this after a
    /// [`Next::Wait`].
    fn ready(&self) -> Ready<'_>;
}

/// What an [`EventSource`] has at the moment; its example shows it.
#[derive(Clone, Debug)]
pub enum Next {
    /// An event.
    Event(Frame),
    /// Nothing yet.
    Wait,
    /// There will be no further event: the stream ends.
    End,
}

/// Ends when all senders are gone.
impl EventSource for mpsc::Receiver<Event> {
    fn next(&mut self) -> Next {
        match self.try_recv() {
            Ok(event) => Next::Event(event.encode()),
            Err(mpsc::TryRecvError::Empty) => Next::Wait,
            Err(mpsc::TryRecvError::Disconnected) => Next::End,
        }
    }

    fn ready(&self) -> Ready<'_> {
        Ready::with(self)
    }
}

/// Ends when all senders are gone. What a slow client misses is left out without a word; a
/// [`Feed`](super::Feed) tells the client.
impl EventSource for broadcast::Receiver<Frame> {
    fn next(&mut self) -> Next {
        loop {
            match self.try_recv() {
                Ok(frame) => return Next::Event(frame),
                Err(broadcast::TryRecvError::Empty) => return Next::Wait,
                Err(broadcast::TryRecvError::Closed) => return Next::End,
                Err(broadcast::TryRecvError::Lagged(_)) => {}
            }
        }
    }

    fn ready(&self) -> Ready<'_> {
        Ready::with(self)
    }
}
