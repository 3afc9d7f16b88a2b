//! The events of a server, for its operator.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use http::Method;
use straightline_sched::Report;
#[cfg(feature = "_tls")]
use straightline_tls::{HandshakeError, TlsConfigError, TlsInfo, TlsWarning};

use super::escaped::Escaped;
use super::finished_request::FinishedRequest;
use crate::config::{Address, CapacityLimit, Peer, Phase, Timeout};
use crate::proto::{ProxyHeaderError, Refusal};

/// A step in the life of a server or of one of its connections, or a fault. `Display` writes it as
/// one line (the report of a fiber may have several). In that line, characters of the text of a
/// client, a handler or the system that are not printable are escaped; the fields hold the text
/// unchanged.
///
/// ```
/// use straightline::{Event, Request, Server};
///
/// let server = Server::builder().bind("127.0.0.1:0").observer(|event: &Event<'_>| match event {
///     Event::HandlerPanicked { target, .. } => eprintln!("look at {target}: {event}"),
///     _ => {}
/// });
/// server.build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'e> {
    /// The server has started to serve.
    #[non_exhaustive]
    Started {
        /// How many connections the server accepts at a time:
        /// [`Capacity::connections`](crate::Capacity).
        connections: usize,
        /// How many descriptors the process may open; `None` for any number.
        descriptors: Option<u64>,
        /// How many it could open before the server
        /// [raised](crate::ServerBuilder::raise_descriptor_limit) the limit, if it did.
        raised_from: Option<u64>,
    },
    /// A connection was accepted.
    #[non_exhaustive]
    ConnectionOpened {
        /// The client.
        peer: &'e Peer,
    },
    /// A connection was closed. Reported for every opened connection, also after other events.
    #[non_exhaustive]
    ConnectionClosed {
        /// The client.
        peer: &'e Peer,
    },
    /// A connection broke, or the client closed it in the middle of a request.
    #[non_exhaustive]
    ConnectionFailed {
        /// The client.
        peer: &'e Peer,
        /// The system's error.
        error: &'e io::Error,
    },
    /// An idle connection was closed to make room for a new one.
    #[non_exhaustive]
    ConnectionEvicted {
        /// The client.
        peer: &'e Peer,
    },
    /// A connection was rejected when it was accepted.
    #[non_exhaustive]
    ConnectionRejected {
        /// The client.
        peer: &'e Peer,
        /// Which limit was reached.
        full: CapacityLimit,
    },
    /// A [proxy](crate::ServerBuilder::proxy_protocol) has named its client: the events before this
    /// one were about the proxy, and those after it are about the client.
    #[non_exhaustive]
    ProxyHeader {
        /// The client.
        peer: &'e Peer,
        /// The other end of the connection.
        proxy: &'e Peer,
    },
    /// A connection of a [proxy](crate::ServerBuilder::proxy_protocol) does not begin with a PROXY
    /// header that the server takes, and is closed.
    #[non_exhaustive]
    ProxyHeaderRefused {
        /// The proxy.
        peer: &'e Peer,
        /// What is wrong.
        error: ProxyHeaderError,
    },
    /// A connection could not be accepted.
    #[non_exhaustive]
    AcceptFailed {
        /// The system's error.
        error: &'e io::Error,
        /// How long until the next try; `None` if the next try is at once, because the fault was
        /// the client's.
        pause: Option<Duration>,
    },
    /// A listener has failed: its socket was shut down, or the server cannot wait for it. The
    /// server does not try it again; if no other listener is left, the server ends with an error.
    #[non_exhaustive]
    ListenerFailed {
        /// The address of the listener, which belongs to one of the shards.
        address: &'e Address,
        /// The system's error.
        error: &'e io::Error,
    },
    /// A request was refused. The client gets an error response if it still reads.
    #[non_exhaustive]
    RequestRefused {
        /// The client.
        peer: &'e Peer,
        /// The reason, and at which byte.
        refusal: Refusal,
    },
    /// A request got a 503 because too many requests are in flight.
    #[non_exhaustive]
    Overloaded {
        /// The client.
        peer: &'e Peer,
    },
    /// A request got a 503, or its body was not read into memory, because the server uses as much
    /// [memory](crate::Capacity::memory_bytes) for its clients as it may.
    #[non_exhaustive]
    ShortOfMemory {
        /// The client.
        peer: &'e Peer,
        /// How many bytes the server uses.
        held: u64,
    },
    /// A request is over: answered, refused, or given up. Reported for every request, also after
    /// other events about it, and only to observers that
    /// [want it](Observer::wants_requests).
    RequestFinished(&'e FinishedRequest<'e>),
    /// A timeout expired; [`Timeouts`](crate::Timeouts) documents the effect of each.
    #[non_exhaustive]
    TimedOut {
        /// The client.
        peer: &'e Peer,
        /// Which timeout.
        timeout: Timeout,
    },
    /// A handler was cancelled because its timeout expired or its client was gone.
    #[non_exhaustive]
    HandlerCancelled {
        /// The client.
        peer: &'e Peer,
    },
    /// A handler panicked.
    #[non_exhaustive]
    HandlerPanicked {
        /// The client.
        peer: &'e Peer,
        /// The request's method.
        method: &'e Method,
        /// The request's target.
        target: &'e str,
        /// The message of the panic.
        message: &'e str,
        /// Where the handler panicked, as `file:line:column`. Known unless the program has a panic
        /// hook that does not call the hook before it.
        place: Option<&'e str>,
    },
    /// A [background fiber](crate::ServerHandle::spawn) panicked.
    #[non_exhaustive]
    BackgroundPanicked {
        /// The message of the panic.
        message: &'e str,
        /// Where it panicked, as for [`HandlerPanicked`](Self::HandlerPanicked).
        place: Option<&'e str>,
    },
    /// A request failed for a reason of the program: a handler or a wrapper returned an error
    /// ([`HandlerError`](crate::HandlerError), an `std::io` error), or a response that it must not
    /// return, or the body of a response could not be completed. As text, it is for example
    /// `GET /x failed: No such file or directory (os error 2)`, behind the client's address.
    ///
    /// The client gets a 500 if nothing of the response was sent before, and otherwise a response
    /// that ends too early. What the client did wrong, such as a malformed body, is not reported
    /// here.
    #[non_exhaustive]
    ResponseFailed {
        /// The client.
        peer: &'e Peer,
        /// The request's method.
        method: &'e Method,
        /// The request's target.
        target: &'e str,
        /// What is wrong.
        error: &'e (dyn Error + 'static),
    },
    /// A fiber misbehaves: it keeps its thread, or goes on after it was cancelled. Reported by a
    /// separate thread, or by the thread of the shard. So the order of this event and of
    /// [`ShardStuck`](Self::ShardStuck) for the same shard is not fixed.
    #[non_exhaustive]
    FiberReported {
        /// What the fiber does.
        report: &'e Report,
    },
    /// A shard's thread does not return to its scheduler in time
    /// ([`ServerBuilder::busy_limit`](crate::ServerBuilder::busy_limit)), so another shard accepts
    /// from its listeners as well. Reported by the thread that watches the shards, or by a shard's
    /// own thread.
    #[non_exhaustive]
    ListenersLent {
        /// The number of the busy shard.
        shard: usize,
        /// The number of the other shard.
        helper: usize,
    },
    /// No other shard accepts from a shard's listeners any more: the shard has been healthy for a
    /// while, or was replaced. Reported by the thread that watches the shards, or by a shard's own
    /// thread.
    #[non_exhaustive]
    ListenersReturned {
        /// The number of the shard.
        shard: usize,
    },
    /// A shard is stuck, and its clients were disconnected. Reported by the thread that watches the
    /// shards.
    #[non_exhaustive]
    ShardStuck {
        /// The number of the stuck shard.
        shard: usize,
        /// The number of the shard that has its listeners from now on; `None` if no further shard
        /// may or can be started.
        replacement: Option<usize>,
        /// How many clients were disconnected.
        disconnected: usize,
    },
    /// A handler of a shard has panicked, and the shard is drained for that
    /// ([`PanicPolicy::DrainShard`](crate::PanicPolicy::DrainShard)).
    #[non_exhaustive]
    ShardRenewed {
        /// The number of the shard, which ends with its connections.
        shard: usize,
        /// The number of the shard that has its listeners from now on.
        replacement: usize,
    },
    /// Every shard is stuck, and no further shard may be started: no client is served any more, and
    /// [`ServerBuilder::all_stuck`](crate::ServerBuilder::all_stuck) decides what happens next.
    /// Reported by the thread that watches the shards.
    #[non_exhaustive]
    AllStuck {
        /// How many shards there are.
        shards: usize,
    },
    /// SIGHUP arrived, and the program's reload code has run, if there is any. Reported by a
    /// separate thread.
    #[non_exhaustive]
    Reloaded {
        /// The result of the code of [`ServerBuilder::on_reload`](crate::ServerBuilder::on_reload);
        /// `None` if there is no such code.
        outcome: Option<Result<(), &'e io::Error>>,
    },
    /// The [service manager](crate::ServerBuilder::systemd) did not get a message within a second:
    /// its queue is full, or it is gone. Further attempts follow. Reported once, until a message
    /// reaches it again; [counted](crate::Metrics::notify_failures) for each message.
    #[non_exhaustive]
    NotifyFailed {
        /// The system's error.
        error: &'e io::Error,
    },
    /// A client and the server have agreed on TLS. Requests follow.
    #[cfg(feature = "_tls")]
    #[non_exhaustive]
    TlsHandshake {
        /// The client.
        peer: &'e Peer,
        /// What they agreed on.
        info: &'e TlsInfo,
    },
    /// A TLS handshake failed, and the connection is closed.
    #[cfg(feature = "_tls")]
    #[non_exhaustive]
    TlsHandshakeFailed {
        /// The client.
        peer: &'e Peer,
        /// Why.
        error: &'e HandshakeError,
    },
    /// The certificates and the other files of TLS were read again, and new connections get them.
    #[cfg(feature = "_tls")]
    TlsReloaded,
    /// The certificates and the other files of TLS could not be read again. The server goes on with
    /// the old ones.
    #[cfg(feature = "_tls")]
    #[non_exhaustive]
    TlsReloadFailed {
        /// What is wrong, and with which file.
        error: &'e TlsConfigError,
    },
    /// Something in the files of TLS is odd, such as a certificate that has expired. Reported when
    /// the server starts, and when the files were read again.
    #[cfg(feature = "_tls")]
    #[non_exhaustive]
    TlsWarned {
        /// What it is.
        warning: &'e TlsWarning,
    },
    /// A protocol that stands above HTTP, such as a WebSocket, tells what has become of it.
    #[non_exhaustive]
    ProtocolReported {
        /// The client.
        peer: &'e Peer,
        /// The protocol, such as `websocket`.
        protocol: &'static str,
        /// What happened, in one line.
        message: &'e fmt::Arguments<'e>,
    },
    /// A shutdown has reached a phase.
    #[non_exhaustive]
    ShutdownAdvanced {
        /// The phase.
        phase: Phase,
    },
    /// A shard has finished its drain.
    #[non_exhaustive]
    ShardDrained {
        /// The number of the shard.
        shard: usize,
        /// How many connections were still active, and are force-closed.
        force_closed: usize,
    },
}

/// Code that gets events as they happen. Functions and closures implement it; the samples and the
/// logger show both.
///
/// The shards' threads call it, on the fiber that the event is about. A call should be short (it
/// counts, or sends to a channel), and must not wait. If it panics, the panic is printed and goes
/// no further.
pub trait Observer: Send + Sync + 'static {
    /// Called for each event.
    fn on_event(&self, event: &Event<'_>);

    /// Whether it gets [`Event::RequestFinished`], which costs something for each request. Called
    /// once, when the server starts. Default: yes.
    fn wants_requests(&self) -> bool {
        true
    }
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Observer for F {
    fn on_event(&self, event: &Event<'_>) {
        self(event);
    }
}

impl Event<'_> {
    /// The client that the event is about, if it is about a client.
    pub fn peer(&self) -> Option<&Peer> {
        match self {
            Self::ConnectionOpened { peer }
            | Self::ConnectionClosed { peer }
            | Self::ConnectionFailed { peer, .. }
            | Self::ConnectionEvicted { peer }
            | Self::ConnectionRejected { peer, .. }
            | Self::ProxyHeader { peer, .. }
            | Self::ProxyHeaderRefused { peer, .. }
            | Self::RequestRefused { peer, .. }
            | Self::Overloaded { peer }
            | Self::ShortOfMemory { peer, .. }
            | Self::TimedOut { peer, .. }
            | Self::HandlerCancelled { peer }
            | Self::HandlerPanicked { peer, .. }
            | Self::ProtocolReported { peer, .. }
            | Self::ResponseFailed { peer, .. } => Some(peer),
            Self::RequestFinished(request) => Some(request.peer),
            #[cfg(feature = "_tls")]
            Self::TlsHandshake { peer, .. } | Self::TlsHandshakeFailed { peer, .. } => Some(peer),
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
            Self::ConnectionEvicted { .. } => f.write_str("evicted: its place is needed"),
            Self::ConnectionRejected { full, .. } => {
                write!(f, "rejected: too many {}", words_of_full(*full))
            }
            Self::ProxyHeader { proxy, .. } => write!(f, "named by the proxy {proxy}"),
            Self::ProxyHeaderRefused { error, .. } => error.fmt(f),
            Self::AcceptFailed { error, pause } => {
                write!(f, "accept failed: {}", Escaped(error))?;
                pause.map_or(Ok(()), |pause| write!(f, "; next try in {pause:?}"))
            }
            Self::ListenerFailed { address, error } => {
                write!(f, "the listener on {address} failed, and is closed: {}", Escaped(error))
            }
            Self::RequestRefused { refusal, .. } => write!(f, "refused: {refusal}"),
            Self::Overloaded { .. } => f.write_str("refused: too many requests in flight"),
            Self::ShortOfMemory { held, .. } => fmt_short_of_memory(f, *held),
            Self::RequestFinished(request) => fmt_finished(f, request),
            Self::TimedOut { timeout, .. } => timeout.fmt(f),
            Self::HandlerCancelled { .. } => f.write_str("the handler was cancelled"),
            Self::HandlerPanicked { method, target, message, place, .. } => {
                write!(f, "the handler of {method} {} ", Escaped(target))?;
                fmt_panic(f, message, *place)
            }
            Self::BackgroundPanicked { message, place } => {
                f.write_str("a background fiber ")?;
                fmt_panic(f, message, *place)
            }
            Self::ResponseFailed { method, target, error, .. } => {
                write!(f, "{method} {} failed: {}", Escaped(target), Escaped(error))
            }
            Self::ProtocolReported { protocol, message, .. } => {
                write!(f, "{protocol}: {}", Escaped(message))
            }
            Self::FiberReported { report } => report.fmt(f),
            Self::ShardStuck { shard, replacement, disconnected } => {
                fmt_stuck(f, *shard, *replacement, *disconnected)
            }
            Self::ShardRenewed { shard, replacement } => fmt_renewed(f, *shard, *replacement),
            Self::ListenersLent { shard, helper } => fmt_lent(f, *shard, *helper),
            Self::ListenersReturned { shard } => fmt_returned(f, *shard),
            Self::AllStuck { shards } => fmt_all_stuck(f, *shards),
            Self::Reloaded { outcome } => fmt_reloaded(f, *outcome),
            Self::NotifyFailed { error } => fmt_unheard(f, error),
            #[cfg(feature = "_tls")]
            Self::TlsHandshake { .. }
            | Self::TlsHandshakeFailed { .. }
            | Self::TlsReloaded
            | Self::TlsReloadFailed { .. }
            | Self::TlsWarned { .. } => fmt_tls(f, self),
            Self::ShutdownAdvanced { phase } => f.write_str(words_of(*phase)),
            Self::ShardDrained { shard, force_closed } => {
                write!(f, "shard {shard} is drained, {force_closed} connections are force-closed")
            }
        }
    }
}

fn fmt_panic(f: &mut fmt::Formatter<'_>, message: &str, place: Option<&str>) -> fmt::Result {
    let place = Escaped(place.unwrap_or("an unknown place"));
    write!(f, "panicked at {place}: {}", Escaped(message))
}

fn fmt_short_of_memory(f: &mut fmt::Formatter<'_>, held: u64) -> fmt::Result {
    write!(f, "refused: {held} bytes of memory are in use for clients")
}

fn fmt_unheard(f: &mut fmt::Formatter<'_>, error: &io::Error) -> fmt::Result {
    write!(f, "the service manager cannot be told: {}", Escaped(error))
}

fn fmt_all_stuck(f: &mut fmt::Formatter<'_>, shards: usize) -> fmt::Result {
    write!(f, "every shard is stuck ({shards}), no other may start: no client is served")
}

fn fmt_lent(f: &mut fmt::Formatter<'_>, shard: usize, helper: usize) -> fmt::Result {
    write!(f, "shard {shard} is busy: shard {helper} accepts from its listeners too")
}

fn fmt_returned(f: &mut fmt::Formatter<'_>, shard: usize) -> fmt::Result {
    write!(f, "only shard {shard} accepts from its listeners again")
}

fn fmt_renewed(f: &mut fmt::Formatter<'_>, shard: usize, replacement: usize) -> fmt::Result {
    write!(
        f,
        "a handler of shard {shard} has panicked: shard {replacement} takes over, and shard \
         {shard} finishes its requests"
    )
}

fn fmt_finished(f: &mut fmt::Formatter<'_>, request: &FinishedRequest<'_>) -> fmt::Result {
    let FinishedRequest { duration, response_bytes, outcome, .. } = request;
    match request.method.zip(request.target) {
        Some((method, target)) => write!(f, "{method} {}: ", Escaped(target))?,
        None => f.write_str("not a request: ")?,
    }
    match request.status {
        Some(status) => write!(f, "{}, ", status.as_u16())?,
        None => f.write_str("no response, ")?,
    }
    write!(f, "{}, {response_bytes} bytes in {duration:?}", outcome.name())
}

fn words_of_full(full: CapacityLimit) -> &'static str {
    match full {
        CapacityLimit::Connections => "connections",
        CapacityLimit::Peer => "connections of this client",
    }
}

fn fmt_reloaded(
    f: &mut fmt::Formatter<'_>,
    outcome: Option<Result<(), &io::Error>>,
) -> fmt::Result {
    match outcome {
        None => f.write_str("SIGHUP: there is nothing to reload"),
        Some(Ok(())) => f.write_str("SIGHUP: reloaded"),
        Some(Err(error)) => write!(f, "SIGHUP: the reload failed: {error}"),
    }
}

/// An event of TLS, without its peer.
#[cfg(feature = "_tls")]
fn fmt_tls(f: &mut fmt::Formatter<'_>, event: &Event<'_>) -> fmt::Result {
    match event {
        Event::TlsHandshake { info, .. } => fmt_handshake(f, info),
        Event::TlsHandshakeFailed { error, .. } => {
            write!(f, "the TLS handshake failed: {}", Escaped(error))
        }
        Event::TlsReloaded => f.write_str("TLS: the certificates are reloaded"),
        Event::TlsReloadFailed { error } => {
            let error = Escaped(error);
            write!(f, "TLS: the reload failed, the old certificates are kept: {error}")
        }
        Event::TlsWarned { warning } => write!(f, "TLS: {}", Escaped(warning)),
        _ => Ok(()),
    }
}

#[cfg(feature = "_tls")]
fn fmt_handshake(f: &mut fmt::Formatter<'_>, info: &TlsInfo) -> fmt::Result {
    let resumed = if info.is_resumed() { ", resumed" } else { "" };
    write!(f, "{} with {}{resumed}", info.version(), info.cipher_suite())?;
    let name = info.server_name().map(Escaped);
    name.map_or(Ok(()), |name| write!(f, ", for {name}"))?;
    write!(f, ", in {:?}", info.duration())
}

fn fmt_descriptors(
    f: &mut fmt::Formatter<'_>,
    count: Option<u64>,
    raised_from: Option<u64>,
) -> fmt::Result {
    match count {
        Some(count) => write!(f, "the process may open {count} descriptors")?,
        None => f.write_str("the process may open any number of descriptors")?,
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
            "shard {shard} is stuck, and no other shard takes over: {disconnected} clients were \
             disconnected"
        ),
    }
}

fn words_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Serving => "serving",
        Phase::Unready => "shutdown: still serving, but not ready",
        Phase::Draining => "shutdown: draining, requests in flight are finished",
        Phase::ForceClosing => "shutdown: requests in flight are force-closed",
    }
}
