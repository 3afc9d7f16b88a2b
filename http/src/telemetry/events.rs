//! What happens in a server, for its operator.

use std::fmt;
use std::io;
use std::time::Duration;

use http::Method;
use straightline_sched::Report;

use super::escaped::Escaped;
use crate::config::{Address, Full, Peer, Phase, Timeout};
use crate::proto::Refusal;

/// A step in the life of a server or of one of its connections, or a fault. `Display` tells it in a
/// line (the report of a fiber may have several). There, what is not printable in the text of a
/// client, a handler or the system is escaped; the fields have it as it was.
///
/// ```
/// use straightline::{Event, Request, Server};
///
/// let server = Server::builder().bind("127.0.0.1:0").hooks(|event: &Event<'_>| match event {
///     Event::HandlerPanicked { target, .. } => eprintln!("look at {target}: {event}"),
///     _ => {}
/// });
/// server.build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'e> {
    /// The server serves from now on.
    Started {
        /// How many connections the server takes at a time:
        /// [`Capacity::connections`](crate::Capacity).
        connections: usize,
        /// How many descriptors the process may open; `None` for any number.
        descriptors: Option<u64>,
        /// How many it could open before the server
        /// [raised](crate::Builder::raise_descriptor_limit) the number.
        raised_from: Option<u64>,
    },
    /// A connection was accepted.
    ConnectionOpened {
        /// Whose.
        peer: &'e Peer,
    },
    /// A connection is over, whatever else was reported of it.
    ConnectionClosed {
        /// Whose.
        peer: &'e Peer,
    },
    /// A connection broke, or the client ended it in the middle of a request.
    ConnectionFailed {
        /// Whose.
        peer: &'e Peer,
        /// What the system said.
        error: &'e io::Error,
    },
    /// A resting connection was closed to make room for a new one.
    ConnectionEvicted {
        /// Whose.
        peer: &'e Peer,
    },
    /// A connection was turned away when it was accepted.
    TurnedAway {
        /// Whose.
        peer: &'e Peer,
        /// What there are too many of.
        full: Full,
    },
    /// A connection could not be accepted.
    AcceptFailed {
        /// What the system said.
        error: &'e io::Error,
        /// How long until the next try; `None` if that is at once, as the fault was the client's.
        pause: Option<Duration>,
    },
    /// A listener has failed: its socket was shut down, or cannot be waited for. It is not tried
    /// again; if no other is left, the server ends with an error.
    ListenerFailed {
        /// Where it listened, for one of the shards.
        address: &'e Address,
        /// What the system said.
        error: &'e io::Error,
    },
    /// A request was refused. The client was told so if it still reads.
    RequestRefused {
        /// Whose.
        peer: &'e Peer,
        /// Why, and at which byte.
        refusal: Refusal,
    },
    /// A request got a 503, as too many are in flight.
    Overloaded {
        /// Whose.
        peer: &'e Peer,
    },
    /// A request got a 503, or its body was not read into memory, because the server uses as much
    /// [memory](crate::Capacity::memory_bytes) for its clients as it may.
    ShortOfMemory {
        /// Whose.
        peer: &'e Peer,
        /// How many bytes that is.
        held: u64,
    },
    /// A timeout expired; [`Timeouts`](crate::Timeouts) documents the effect of each.
    TimedOut {
        /// Whose.
        peer: &'e Peer,
        /// Which timeout.
        timeout: Timeout,
    },
    /// A handler was ended because its time was over, or its client gone.
    HandlerCancelled {
        /// Whose.
        peer: &'e Peer,
    },
    /// A handler panicked.
    HandlerPanicked {
        /// Whose.
        peer: &'e Peer,
        /// The request's method.
        method: &'e Method,
        /// The request's target.
        target: &'e str,
        /// What it said.
        message: &'e str,
        /// Where, as `file:line:column`. Known unless the program has a panic hook that does not
        /// call the one before it.
        place: Option<&'e str>,
    },
    /// A handler could not complete the body of its response, or returned a response that it must
    /// not.
    ResponseFailed {
        /// Whose.
        peer: &'e Peer,
        /// The request's method.
        method: &'e Method,
        /// The request's target.
        target: &'e str,
        /// What is wrong.
        error: &'e io::Error,
    },
    /// A fiber misbehaves: it keeps its thread, or goes on though it was cancelled. Reported by a
    /// thread of its own, or by the shard's; so it may come before or after what is reported of its
    /// shard being stuck.
    FiberReported {
        /// What it does.
        report: &'e Report,
    },
    /// A shard's thread does not come back in time
    /// ([`Builder::busy_limit`](crate::Builder::busy_limit)), so another one accepts from its
    /// listeners as well. Reported by the thread that watches the shards, or by a shard's own.
    ListenersLent {
        /// Its number.
        shard: usize,
        /// The number of the other one.
        helper: usize,
    },
    /// No other shard accepts from a shard's listeners any more: the shard has been healthy for a
    /// while, or was replaced. Reported by the thread that watches the shards, or by the shard's
    /// own.
    ListenersReturned {
        /// Its number.
        shard: usize,
    },
    /// A shard is stuck, and its clients were disconnected. Reported by the thread that watches the
    /// shards.
    ShardStuck {
        /// Its number.
        shard: usize,
        /// The number of the shard that has its listeners from now on; `None` if there may be no
        /// further shard, or none could be started.
        replacement: Option<usize>,
        /// How many clients were disconnected.
        disconnected: usize,
    },
    /// Every shard is stuck, and there may be no further one: no client is served any more, and
    /// [`Builder::all_stuck`](crate::Builder::all_stuck) says what comes next. Reported by the
    /// thread that watches the shards.
    AllStuck {
        /// How many shards there are.
        shards: usize,
    },
    /// SIGHUP came, and the program has reloaded what it reloads. Reported by a thread of its own.
    Reloaded {
        /// What the code of [`Builder::on_reload`](crate::Builder::on_reload) returned; `None` if
        /// there is none.
        outcome: Option<Result<(), &'e io::Error>>,
    },
    /// A shutdown has reached a phase.
    ShutdownAdvanced {
        /// The phase.
        phase: Phase,
    },
    /// A shard has finished its drain.
    ShardDrained {
        /// Its number.
        shard: usize,
        /// How many connections were still at work, and are cut.
        cut: usize,
    },
}

/// Code that is told of events as they happen. Functions and closures are; the samples and the
/// logger show both.
///
/// The shards' threads call it, on the fiber that the event is about. A call should be short: it
/// counts, or sends to a channel. It must not wait. A panic of it is printed and goes no further.
pub trait Hooks: Send + Sync + 'static {
    /// Called when something has happened.
    fn on_event(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Hooks for F {
    fn on_event(&self, event: &Event<'_>) {
        self(event);
    }
}

impl Event<'_> {
    /// The client that it is about, if it is about one.
    pub fn peer(&self) -> Option<&Peer> {
        match self {
            Self::ConnectionOpened { peer }
            | Self::ConnectionClosed { peer }
            | Self::ConnectionFailed { peer, .. }
            | Self::ConnectionEvicted { peer }
            | Self::TurnedAway { peer, .. }
            | Self::RequestRefused { peer, .. }
            | Self::Overloaded { peer }
            | Self::ShortOfMemory { peer, .. }
            | Self::TimedOut { peer, .. }
            | Self::HandlerCancelled { peer }
            | Self::HandlerPanicked { peer, .. }
            | Self::ResponseFailed { peer, .. } => Some(peer),
            _ => None,
        }
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(peer) = self.peer() {
            write!(f, "{peer}: ")?;
        }
        match self {
            Self::Started { connections, descriptors, raised_from } => {
                write!(f, "serving up to {connections} connections at a time; ")?;
                fmt_descriptors(f, *descriptors, *raised_from)
            }
            Self::ConnectionOpened { .. } => f.write_str("connected"),
            Self::ConnectionClosed { .. } => f.write_str("closed"),
            Self::ConnectionFailed { error, .. } => {
                write!(f, "the connection failed: {}", Escaped(error))
            }
            Self::ConnectionEvicted { .. } => f.write_str("closed at rest: its place is needed"),
            Self::TurnedAway { full: Full::Connections, .. } => {
                f.write_str("turned away: too many connections")
            }
            Self::TurnedAway { full: Full::Peer, .. } => {
                f.write_str("turned away: too many connections of this client")
            }
            Self::AcceptFailed { error, pause } => {
                write!(f, "accept failed: {}", Escaped(error))?;
                pause.map_or(Ok(()), |pause| write!(f, "; again in {pause:?}"))
            }
            Self::ListenerFailed { address, error } => {
                write!(f, "the listener on {address} failed, and is closed: {}", Escaped(error))
            }
            Self::RequestRefused { refusal, .. } => write!(f, "refused: {refusal}"),
            Self::Overloaded { .. } => f.write_str("refused: too many requests in flight"),
            Self::ShortOfMemory { held, .. } => {
                write!(f, "refused: {held} bytes of memory are in use for clients")
            }
            Self::TimedOut { timeout, .. } => timeout.fmt(f),
            Self::HandlerCancelled { .. } => f.write_str("the handler was ended"),
            Self::HandlerPanicked { method, target, message, place, .. } => {
                let place = Escaped(place.unwrap_or("an unknown place"));
                let (target, message) = (Escaped(target), Escaped(message));
                write!(f, "the handler of {method} {target} panicked at {place}: {message}")
            }
            Self::ResponseFailed { method, target, error, .. } => {
                let (target, error) = (Escaped(target), Escaped(error));
                write!(f, "the response to {method} {target} could not be completed: {error}")
            }
            Self::FiberReported { report } => report.fmt(f),
            Self::ShardStuck { shard, replacement, disconnected } => {
                fmt_stuck(f, *shard, *replacement, *disconnected)
            }
            Self::ListenersLent { shard, helper } => write!(
                f,
                "shard {shard} does not come back: shard {helper} accepts from its listeners"
            ),
            Self::ListenersReturned { shard } => {
                write!(f, "shard {shard} has its listeners to itself again")
            }
            Self::AllStuck { shards } => write!(
                f,
                "every shard is stuck ({shards}), and no other may take over: nobody is served"
            ),
            Self::Reloaded { outcome: None } => f.write_str("SIGHUP: there is nothing to reload"),
            Self::Reloaded { outcome: Some(Ok(())) } => f.write_str("SIGHUP: reloaded"),
            Self::Reloaded { outcome: Some(Err(error)) } => {
                write!(f, "SIGHUP: the reload failed: {error}")
            }
            Self::ShutdownAdvanced { phase } => f.write_str(words_of(*phase)),
            Self::ShardDrained { shard, cut } => {
                write!(f, "shard {shard} is drained, {cut} connections are cut")
            }
        }
    }
}

fn fmt_descriptors(
    f: &mut fmt::Formatter<'_>,
    count: Option<u64>,
    raised_from: Option<u64>,
) -> fmt::Result {
    match count {
        Some(count) => write!(f, "there may be {count} descriptors")?,
        None => f.write_str("there may be any number of descriptors")?,
    }
    raised_from.map_or(Ok(()), |count| write!(f, ", raised from {count}"))
}

fn fmt_stuck(
    f: &mut fmt::Formatter<'_>,
    shard: usize,
    replacement: Option<usize>,
    disconnected: usize,
) -> fmt::Result {
    match replacement {
        Some(replacement) => write!(
            f,
            "shard {shard} is stuck: shard {replacement} takes over, and {disconnected} clients \
             were disconnected"
        ),
        None => write!(
            f,
            "shard {shard} is stuck, and no other takes over: {disconnected} clients were \
             disconnected"
        ),
    }
}

fn words_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Serving => "serving",
        Phase::Unready => "stopping: still serving, but not ready",
        Phase::Draining => "stopping: finishing what is in flight",
        Phase::Cutting => "stopping: cutting what is in flight",
    }
}
