//! The two values that a program speaks through: the socket, which receives, and senders.

use std::fmt;
use std::rc::{Rc, Weak};

use straightline_sched::sync::{FlagReader, Selectable};

use super::close::{CloseCode, CloseFrame};
use super::conversation::{Conversation, Received};
use super::error::Error;
use super::message::Message;
use crate::config::Peer;

/// A conversation with a client over a WebSocket.
///
/// One fiber receives. Any number of fibers send, through [senders](Self::sender): so one fiber may
/// read what the client says while another writes what others say.
///
/// # What it does by itself
///
/// While a fiber waits in [`receive`](Self::receive) or [`receive_or`](Self::receive_or), the
/// socket answers Pings, sends its own, and ends with [`Error::Idle`] if nothing comes. When the
/// server drains, it closes the conversation with 1001. A program that does not receive for long
/// does none of that, and its client may think that it is gone: such a program has a fiber that
/// receives.
///
/// When the function of the [upgrade](super::Endpoint::upgrade) returns, the conversation is closed
/// with 1000 (`Ok`) or 1011 (`Err`, a panic), unless that has happened. What waits to be sent is
/// sent before that, and the client's Close frame is awaited for the
/// [close timeout](super::Endpoint::close_timeout).
///
/// # Blocking
///
/// Receiving is a yield point, and so is sending.
///
/// # Cancellation
///
/// A cancel or a deadline is raised while nothing is half done: no received message is lost, and a
/// message was sent as a whole or not at all. So a deadline may be put around one call, and the
/// socket be used afterwards.
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use straightline::sched::deadline;
/// use straightline::websocket::{CloseCode, WebSocket};
///
/// /// Echoes, and ends a conversation in which nothing is said for a minute.
/// fn echo(mut socket: WebSocket) -> io::Result<()> {
///     loop {
///         match deadline(Duration::from_secs(60), || socket.receive()) {
///             Ok(Ok(Some(message))) => socket.send(message)?,
///             Ok(received) => return Ok(received.map(drop)?),
///             Err(_) => {
///                 socket.close(CloseCode::POLICY, "say something");
///                 return Ok(());
///             }
///         }
///     }
/// }
/// ```
pub struct WebSocket {
    conversation: Rc<Conversation>,
}

impl WebSocket {
    pub(super) fn new(conversation: &Rc<Conversation>) -> Self {
        Self { conversation: Rc::clone(conversation) }
    }

    /// The next message; `None` when the conversation has been closed, by either side.
    ///
    /// # Blocking
    ///
    /// A yield point: waits for a message.
    ///
    /// # Cancellation
    ///
    /// As above: no message is lost.
    ///
    /// # Errors
    ///
    /// Why the conversation failed. It is over then, and the client has been told as far as that is
    /// possible.
    ///
    /// ```
    /// use straightline::websocket::WebSocket;
    ///
    /// fn echo(mut socket: WebSocket) -> std::io::Result<()> {
    ///     while let Some(message) = socket.receive()? {
    ///         socket.send(message)?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn receive(&mut self) -> Result<Option<Message>, Error> {
        Ok(match self.conversation.next(&[])? {
            Received::Message(message) => Some(message),
            Received::Other(_) | Received::Closed => None,
        })
    }

    /// The next message, or the first of `others` that is ready, as
    /// [`select`](straightline_sched::sync::select()) finds it: so one fiber does it all.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// As above: no message is lost, and the others are left as they are.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    ///
    /// ```
    /// use std::io;
    /// use straightline::sched::sync::broadcast;
    /// use straightline::websocket::{Incoming, Message, WebSocket};
    ///
    /// /// Passes on what others say, and what this client says.
    /// fn chat(mut socket: WebSocket, room: &broadcast::Sender<Message>) -> io::Result<()> {
    ///     let others = room.subscribe();
    ///     loop {
    ///         match socket.receive_or(&[&others])? {
    ///             Incoming::Message(message) => drop(room.send(message)),
    ///             Incoming::Other(_) => match others.try_recv() {
    ///                 Ok(message) => socket.send(message)?,
    ///                 Err(error) => println!("nothing, or too much: {error}"),
    ///             },
    ///             Incoming::Closed => return Ok(()),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn receive_or(&mut self, others: &[&dyn Selectable]) -> Result<Incoming, Error> {
        Ok(match self.conversation.next(others)? {
            Received::Message(message) => Incoming::Message(message),
            Received::Other(index) => Incoming::Other(index),
            Received::Closed => Incoming::Closed,
        })
    }

    /// Sends a message, as [`Sender::send`].
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// The message was sent as a whole or not at all.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    pub fn send(&self, message: impl Into<Message>) -> Result<(), Error> {
        self.conversation.send(message.into())
    }

    /// Another value that sends, for another fiber of the shard. Not a yield point.
    ///
    /// When the conversation ends, a fiber that sends gets an error. A fiber that waits for
    /// something else has to be cancelled, or its scope waits for it.
    ///
    /// ```
    /// use std::io;
    /// use std::time::Duration;
    /// use straightline::sched;
    /// use straightline::websocket::WebSocket;
    ///
    /// /// Tells the time each second, and drops what the client says.
    /// fn clock(mut socket: WebSocket) -> io::Result<()> {
    ///     let sender = socket.sender();
    ///     sched::scope(|scope| {
    ///         let ticks = scope.spawn(move || {
    ///             (1..).try_for_each(|second: u64| {
    ///                 sched::sleep(Duration::from_secs(1));
    ///                 sender.send(second.to_string())
    ///             })
    ///         });
    ///         while socket.receive()?.is_some() {}
    ///         ticks.cancel();
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub fn sender(&self) -> Sender {
        Sender { conversation: Rc::downgrade(&self.conversation) }
    }

    /// Closes the conversation: sends a Close frame behind what waits to be sent. Nothing more can
    /// be sent; [`receive`](Self::receive) drops messages that come, and returns `None` when the
    /// client has answered, or after the [close timeout](super::Endpoint::close_timeout). If the
    /// conversation has been closed already, this does nothing.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use straightline::websocket::{CloseCode, WebSocket};
    ///
    /// fn refuse(socket: WebSocket) -> std::io::Result<()> {
    ///     socket.close(CloseCode::POLICY, "the room is full");
    ///     Ok(())
    /// }
    /// ```
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.conversation.close(code, reason);
    }

    /// What the client said in its Close frame, if one has come. Not a yield point.
    pub fn close_frame(&self) -> Option<CloseFrame> {
        self.conversation.close_frame()
    }

    /// The subprotocol that was agreed on, one of the
    /// [endpoint's](super::Endpoint::protocols). Not a yield point.
    pub fn protocol(&self) -> Option<&str> {
        self.conversation.protocol()
    }

    /// The client's address. Not a yield point.
    pub fn peer(&self) -> &Peer {
        self.conversation.peer()
    }

    /// Set from the moment when the drain of this shard begins, as
    /// [`Request::draining`](crate::Request::draining). Only a program that waits for something
    /// else than the client needs it: a call that receives closes the conversation by itself. Not a
    /// yield point.
    pub fn draining(&self) -> FlagReader {
        self.conversation.draining()
    }
}

/// What [`receive_or`](WebSocket::receive_or) has found.
///
/// It has no variant besides these three, so a `match` can name them all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A message.
    Message(Message),
    /// The other thing of that index is ready.
    Other(usize),
    /// The conversation has been closed.
    Closed,
}

/// Sends to the client of a WebSocket, from any fiber of the shard; from [`WebSocket::sender`].
///
/// Clones send to the same client. A sender does not keep the connection open: when the function of
/// the [upgrade](super::Endpoint::upgrade) has returned, it can send nothing more.
#[derive(Clone)]
pub struct Sender {
    conversation: Weak<Conversation>,
}

impl Sender {
    /// Sends a message. It returns when the message is in the hands of the system, or in the send
    /// queue of the client. If that is full, the
    /// [policy](super::Endpoint::slow_receiver) says what happens.
    ///
    /// # Blocking
    ///
    /// A yield point: with [`SlowReceiver::Wait`](super::SlowReceiver::Wait) it waits while the
    /// queue is full.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline is raised before anything is sent: the message was sent as a whole or
    /// not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the conversation is closed, or why it failed.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), Error> {
        let conversation = self.conversation.upgrade().ok_or(Error::Closed)?;
        conversation.send(message.into())
    }

    /// As [`WebSocket::close`]. Does nothing if the conversation is over. Not a yield point.
    pub fn close(&self, code: CloseCode, reason: &str) {
        if let Some(conversation) = self.conversation.upgrade() {
            conversation.close(code, reason);
        }
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("peer", self.peer()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}
