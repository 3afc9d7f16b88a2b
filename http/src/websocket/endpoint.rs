//! Where WebSockets are opened: the settings that a handler's WebSockets have in common.

use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::{HeaderName, StatusCode, header};

use super::conversation::Conversation;
use super::handshake::{Agreed, agree};
use super::numbers::numbers_of;
use super::origins::Origins;
use super::settings::{Settings, SlowReceiver};
use super::socket::WebSocket;
use crate::config::AllowedHosts;
use crate::message::{IntoResponse, Request, Response};
use crate::telemetry::Event;

/// Answers requests for a WebSocket, with settings of its own. Clones are the same endpoint, and
/// share the bound on its connections; a handler owns one, or captures it.
///
/// ```
/// use std::io;
/// use straightline::websocket::{Endpoint, Origins, WebSocket};
/// use straightline::{Request, Response, Server};
///
/// fn echo(mut socket: WebSocket) -> io::Result<()> {
///     while let Some(message) = socket.receive()? {
///         socket.send(message)?;
///     }
///     Ok(())
/// }
///
/// let endpoint = Endpoint::new()
///     .origins(Origins::list(["https://app.example"]))
///     .message_bytes(16 * 1024 * 1024)
///     .connections(10_000);
/// let server = Server::builder()
///     .bind("127.0.0.1:0")
///     .build(move |request: &mut Request| endpoint.upgrade(request, echo))?;
/// # io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "an endpoint does nothing until `upgrade`"]
pub struct Endpoint {
    settings: Arc<Settings>,
    /// How many of its conversations are open.
    open: Arc<AtomicUsize>,
}

impl Endpoint {
    /// With the defaults of the settings below. Not a yield point.
    pub fn new() -> Self {
        Self { settings: Arc::default(), open: Arc::default() }
    }

    /// The subprotocols that it speaks (RFC 6455 section 1.9). Of those that a client offers, the
    /// client's first that is among them is agreed on, which is
    /// [`WebSocket::protocol`]. If there is none, the conversation has none. Default: none.
    ///
    /// # Panics
    ///
    /// If one of them is no token of RFC 9110, such as `chat.v1`.
    ///
    /// ```
    /// use straightline::websocket::Endpoint;
    ///
    /// let endpoint = Endpoint::new().protocols(["chat.v2", "chat.v1"]);
    /// ```
    #[track_caller]
    pub fn protocols<P: Into<String>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let protocols: Vec<String> = protocols.into_iter().map(Into::into).collect();
        for protocol in &protocols {
            assert!(is_token(protocol), "straightline: {protocol:?} is no subprotocol");
        }
        self.change().protocols = protocols;
        self
    }

    /// Which pages may open a WebSocket. Default: [`Origins::Same`]; a page of another site gets a
    /// 403, because it would speak with the cookies of the user that visits it.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.change().origins = origins;
        self
    }

    /// The hosts that the endpoint is known by; a request for another host gets a 421. Default: any
    /// host. [`Origins::Same`] compares the page with the host that the request names, so it does
    /// not stop a page whose own name resolves to this server's address (DNS rebinding). Such a
    /// page has no cookies of this server, but it is in the network of its visitor. So an endpoint
    /// on the loopback or in an internal network needs this.
    ///
    /// ```
    /// use straightline::AllowedHosts;
    /// use straightline::websocket::Endpoint;
    ///
    /// let endpoint = Endpoint::new().allowed_hosts(AllowedHosts::new(["chat.internal"]));
    /// ```
    pub fn allowed_hosts(mut self, hosts: AllowedHosts) -> Self {
        self.change().hosts = Some(hosts);
        self
    }

    /// How many bytes a message may have. The conversation with a client that sends more ends with
    /// 1009. Also the bound of a [frame](Self::frame_bytes), until that is set. Default: 1 MiB.
    pub fn message_bytes(mut self, bytes: usize) -> Self {
        let limits = &mut self.change().limits;
        if limits.frame_bytes == limits.message_bytes {
            limits.frame_bytes = bytes;
        }
        limits.message_bytes = bytes;
        self
    }

    /// How many bytes one frame of a message may have. The conversation with a client that sends
    /// more ends with 1009. Default: as many as a message.
    pub fn frame_bytes(mut self, bytes: usize) -> Self {
        self.change().limits.frame_bytes = bytes;
        self
    }

    /// How long a client may be silent before it gets a Ping; `None`: never. Default: 25 seconds,
    /// because boxes on the way forget a silent connection after a minute or later.
    pub fn ping_interval(mut self, interval: Option<Duration>) -> Self {
        self.change().ping_interval = interval.map(bounded);
        self
    }

    /// How long a client may be silent altogether, Pongs included, before the conversation ends;
    /// `None`: for ever. Default: 60 seconds, in which two Pings are sent.
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.change().idle_timeout = timeout.map(bounded);
        self
    }

    /// How long a client has to answer a Close frame. Then the connection is closed without an
    /// answer. Default: 5 seconds.
    ///
    /// When the server drains, it is also how long the client may take nothing of what waits for
    /// it, and how long it has for that and for its Close frame together.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.change().close_timeout = bounded(timeout);
        self
    }

    /// How long a client may take nothing of what waits for it. Then the conversation ends with
    /// [`Error::WriteTimeout`](super::Error::WriteTimeout). Default: 30 seconds. Bytes count as
    /// taken when the client's system acknowledges them.
    ///
    /// A client that takes a little now and then has to keep the
    /// [rate](crate::MinRate::bytes_per_second) of the server's
    /// [`Timeouts::write`](crate::Timeouts), with its grace, while something waits. It ends with
    /// [`Error::TooSlow`](super::Error::TooSlow).
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.change().write_timeout = bounded(timeout);
        self
    }

    /// How many bytes may wait for each client, behind the buffers of the system. A longer message
    /// may wait alone. Default: 64 KiB.
    pub fn send_queue_bytes(mut self, bytes: usize) -> Self {
        self.change().send_queue_bytes = bytes;
        self
    }

    /// What happens to a message if the client's queue is full. Default: [`SlowReceiver::Wait`].
    pub fn slow_receiver(mut self, policy: SlowReceiver) -> Self {
        self.change().slow_receiver = policy;
        self
    }

    /// How many of its conversations may be open at a time, on all shards together. Further
    /// requests get a 503. Default: no bound besides the
    /// [server's](crate::Capacity::connections).
    pub fn connections(mut self, connections: usize) -> Self {
        self.change().connections = connections;
        self
    }

    /// Whether messages are compressed if the client offers that (`permessage-deflate`, RFC 7692).
    /// Default: no. Feature `websocket-deflate`.
    ///
    /// Each message is compressed by itself, so a conversation holds no memory for it. The limit of
    /// a message counts the bytes that the program gets. Compression takes CPU time, several times
    /// that of the message itself, and a message that has a secret beside text of an attacker tells
    /// the secret by its length: leave it off for such messages.
    #[cfg(feature = "websocket-deflate")]
    pub fn compression(mut self, compression: bool) -> Self {
        self.change().compression = compression;
        self
    }

    /// Opens the WebSocket that `request` asks for: answers with 101, and calls `run` with the
    /// conversation. The connection ends when `run` has returned, see [`WebSocket`].
    ///
    /// Other requests are refused, and `run` is not called:
    ///
    /// | request | status |
    /// |---|---|
    /// | another method than GET | 405 |
    /// | does not ask for a WebSocket, or for another version than 13 | 426 |
    /// | without a proper `Sec-WebSocket-Key` | 400 |
    /// | of a page that may not open it | 403 |
    /// | beyond the bound on connections | 503 |
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use straightline::websocket::{Endpoint, WebSocket};
    /// use straightline::{Request, StatusCode};
    ///
    /// let greet = |socket: WebSocket| Ok(socket.send("hello")?);
    /// let mut request = Request::builder().target("/greet").build()?;
    /// let response = Endpoint::new().upgrade(&mut request, greet);
    /// assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED); // it asked for a page
    /// # Ok::<(), straightline::InvalidRequest>(())
    /// ```
    pub fn upgrade(
        &self,
        request: &mut Request,
        run: impl FnOnce(WebSocket) -> io::Result<()> + 'static,
    ) -> Response {
        let numbers = numbers_of(&request.server());
        let agreed = agree(request, &self.settings);
        let agreed = agreed.and_then(|agreed| match Place::take(self) {
            Some(place) => Ok((agreed, place)),
            None => Err(full(request)),
        });
        let (agreed, place) = match agreed {
            Ok(agreed) => agreed,
            Err(refusal) => {
                numbers.refused.bump();
                report_refusal(request, refusal.status());
                return refusal;
            }
        };
        let fields = self.fields(&agreed);
        let settings = Arc::clone(&self.settings);
        let mut response = Response::upgrade("websocket", move |upgraded| {
            let _place = place;
            let conversation = Conversation::new(upgraded, settings, numbers, &agreed);
            let _ending = Ending(&conversation);
            let result = run(WebSocket::new(&conversation));
            conversation.finish(result)
        });
        for (name, value) in fields {
            response.set_header(name, value);
        }
        response
    }

    /// What the response says about the agreement.
    fn fields(&self, agreed: &Agreed) -> Vec<(HeaderName, String)> {
        let mut fields = vec![(header::SEC_WEBSOCKET_ACCEPT, agreed.accept.clone())];
        if let Some(protocol) = agreed.protocol {
            let name = self.settings.protocols[protocol].clone();
            fields.push((header::SEC_WEBSOCKET_PROTOCOL, name));
        }
        if let Some(compression) = agreed.compression {
            fields.push((header::SEC_WEBSOCKET_EXTENSIONS, compression.to_owned()));
        }
        fields
    }

    fn change(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::new()
    }
}

/// Opens the WebSocket that `request` asks for, with the settings of [`Endpoint::new`]: pages of
/// the same origin, messages up to 1 MiB, Pings and timeouts.
///
/// Not a yield point.
///
/// ```
/// use straightline::websocket::{WebSocket, upgrade};
/// use straightline::{Request, Response};
///
/// fn echo(request: &mut Request) -> Response {
///     upgrade(request, |mut socket: WebSocket| {
///         while let Some(message) = socket.receive()? {
///             socket.send(message)?;
///         }
///         Ok(())
///     })
/// }
/// ```
pub fn upgrade(
    request: &mut Request,
    run: impl FnOnce(WebSocket) -> io::Result<()> + 'static,
) -> Response {
    /// One for all: its settings are in no conversation's memory, and it bounds no connections.
    static DEFAULT: LazyLock<Endpoint> = LazyLock::new(Endpoint::new);
    DEFAULT.upgrade(request, run)
}

/// A place among the endpoint's connections, until it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(endpoint: &Endpoint) -> Option<Self> {
        let place = Self(Arc::clone(&endpoint.open));
        // The drop of the place gives it back in any case.
        let before = place.0.fetch_add(1, Ordering::Relaxed);
        (before < endpoint.settings.connections).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends a conversation, also if its function unwinds.
struct Ending<'c>(&'c Rc<Conversation>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn full(_: &Request) -> Response {
    "too many WebSockets are open\n".into_response().with_status(StatusCode::SERVICE_UNAVAILABLE)
}

fn report_refusal(request: &Request, status: StatusCode) {
    let message = format_args!("refused with {status}");
    let (peer, protocol) = (request.peer(), "websocket");
    let event = Event::ProtocolReported { peer, protocol, message: &message };
    request.link().host.emit(&event);
}

/// A token of RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

/// A time that can be added to any other.
fn bounded(time: Duration) -> Duration {
    time.min(TIME_MAX)
}

/// What any longer time means. Arbitrary: no program runs so long.
const TIME_MAX: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 100);
