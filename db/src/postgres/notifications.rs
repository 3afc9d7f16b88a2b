//! `LISTEN`: messages between the sessions of a database.
//!
//! The fiber that waits for a message does the input and output of the connection itself. So there
//! is no fiber and no queue in between: a program that is slow leaves the messages to the server.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use straightline_sched::block_on;
use tokio_postgres::{AsyncMessage, Connection, Notification};

use super::wire::Wire;
use crate::error::Error;

/// A connection that gets the messages of `NOTIFY`, which [`Postgres::listen`] makes. It belongs to
/// no pool.
///
/// When the connection breaks, messages are lost. So a program that keeps something up to date with
/// them makes a new connection then, and reads the whole state once more behind that.
///
/// ```no_run
/// use straightline_db::Error;
/// use straightline_db::postgres::Postgres;
///
/// # fn read_all() {}
/// # fn read_one(_: &str) {}
/// # straightline_sched::run(|| {
/// let postgres = Postgres::new("postgres://ann@localhost/shop?keepalives_idle=30")?;
/// let mut messages = postgres.listen(&["goods"])?;
/// read_all();
/// loop {
///     read_one(messages.receive()?.payload());
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), Error>(())
/// # });
/// ```
///
/// [`Postgres::listen`]: super::Postgres::listen
pub struct Notifications {
    /// The connection ends when this is dropped.
    client: tokio_postgres::Client,
    connection: Connection<Wire, Wire>,
    /// Messages that came while something else was waited for.
    received: VecDeque<Notification>,
    address: String,
}

impl Notifications {
    pub(super) fn begin(
        client: tokio_postgres::Client,
        connection: Connection<Wire, Wire>,
        address: String,
        channels: &[&str],
    ) -> Result<Self, Error> {
        let mut begun = Self { client, connection, received: VecDeque::new(), address };
        channels.iter().try_for_each(|channel| begun.listen(channel))?;
        Ok(begun)
    }

    /// Listens to one more channel; the name may have any characters.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// No message is lost. Whether the server listens to the channel is not known.
    ///
    /// # Errors
    ///
    /// [`Error::Postgres`]; [`Error::Connect`] if the connection has ended.
    pub fn listen(&mut self, channel: &str) -> Result<(), Error> {
        let sql = format!("LISTEN \"{}\"", channel.replace('"', "\"\""));
        let Self { client, connection, received, address } = self;
        let mut answer = pin!(client.batch_execute(&sql));
        block_on(poll_fn(|cx| {
            loop {
                if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                    return Poll::Ready(answer.map_err(Error::Postgres));
                }
                match poll_message(connection, address, cx) {
                    Poll::Ready(Ok(message)) => received.extend(message),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }))?
    }

    /// Waits for the next message. Those of one session come in its order.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// No message is lost: a deadline around the wait may be followed by another wait.
    ///
    /// # Errors
    ///
    /// As [`listen`](Self::listen).
    pub fn receive(&mut self) -> Result<Notification, Error> {
        if let Some(message) = self.received.pop_front() {
            return Ok(message);
        }
        loop {
            let next = poll_fn(|cx| poll_message(&mut self.connection, &self.address, cx));
            if let Some(message) = block_on(next)?? {
                return Ok(message);
            }
        }
    }
}

/// The next message; `None` if it is a notice of the server.
fn poll_message(
    connection: &mut Connection<Wire, Wire>,
    address: &str,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Notification>, Error>> {
    connection.poll_message(cx).map(|message| match message {
        Some(Ok(AsyncMessage::Notification(message))) => Ok(Some(message)),
        Some(Ok(_)) => Ok(None),
        Some(Err(error)) => Err(Error::Postgres(error)),
        None => Err(Error::connect(address, "the connection has ended")),
    })
}

impl fmt::Debug for Notifications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifications").field("address", &self.address).finish_non_exhaustive()
    }
}
