//! The handshake of a connection: straight-line code that reads, computes and writes, until both
//! sides agree or one of them fails.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, Error, HandshakeKind, ProtocolVersion};
use straightline_net::Transport;
use straightline_sched::{Interest, checkpoint, deadline, now};

use crate::buffer::Buffer;
use crate::config::TlsConfig;
use crate::handshake_error::{HandshakeError, HandshakeFailure};
use crate::handshakes::Handshakes;
use crate::info::TlsInfo;
use crate::memory_budget::MemoryBudget;
use crate::pump::{flush, receive, send_what_fits};
use crate::session::{End, Session};

/// What a handshake begins with.
pub(crate) struct Begin {
    side: Side,
    budget: Option<Arc<dyn MemoryBudget>>,
}

enum Side {
    Server(TlsConfig),
    Client { config: Arc<ClientConfig>, name: ServerName<'static>, handshakes: Arc<Handshakes> },
}

impl Begin {
    pub(crate) fn server(config: TlsConfig) -> Self {
        Self { side: Side::Server(config), budget: None }
    }

    pub(crate) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        handshakes: Arc<Handshakes>,
    ) -> Self {
        Self { side: Side::Client { config, name, handshakes }, budget: None }
    }

    pub(crate) fn set_budget(&mut self, budget: Arc<dyn MemoryBudget>) {
        self.budget = Some(budget);
    }

    fn is_server(&self) -> bool {
        matches!(self.side, Side::Server(_))
    }

    fn handshakes(&self) -> &Arc<Handshakes> {
        match &self.side {
            Side::Server(config) => config.handshakes(),
            Side::Client { handshakes, .. } => handshakes,
        }
    }

    /// Called as late as possible: a session is some kilobytes, and new certificates count.
    fn session(&self) -> Result<Session, Error> {
        let mut session = match &self.side {
            Side::Server(config) => Session::server(config.current(), config.asks_clients())?,
            Side::Client { config, name, .. } => Session::client(Arc::clone(config), name.clone())?,
        };
        session.set_budget(self.budget.clone());
        Ok(session)
    }
}

/// The handshake, within its time. A session is returned also with a failure: its alert may be
/// unsent.
///
/// A yield point.
pub(crate) fn run(
    stream: &impl Transport,
    begin: &Begin,
) -> (Option<Session>, Result<TlsInfo, HandshakeError>) {
    let start = now();
    let mut session = None;
    let timeout = begin.handshakes().timeout();
    let result = deadline(timeout, || agree(stream, begin, &mut session));
    let result = match result {
        Ok(result) => result,
        Err(_) => Err(HandshakeError::new(HandshakeFailure::TimedOut)),
    };
    let agreed = result.map(|()| session.as_mut().map(|session| describe(session, start)));
    let agreed =
        agreed.and_then(|info| info.ok_or_else(|| HandshakeError::new(HandshakeFailure::Other)));
    (session, agreed)
}

fn agree(
    stream: &impl Transport,
    begin: &Begin,
    place: &mut Option<Session>,
) -> Result<(), HandshakeError> {
    let mut session = begin.session().map_err(HandshakeError::of)?;
    if begin.is_server() {
        if let Err(error) = wait_for_bytes(stream, &mut session) {
            let has_left = error.failure() == HandshakeFailure::Closed;
            return Err(if has_left { HandshakeError::left_at_once() } else { error });
        }
        if let Some(failure) = recognise(session.incoming.filled()[0]) {
            return refuse_foreign(stream, failure);
        }
    }
    let mut is_first = true;
    loop {
        let is_client_hello = session.incoming.is_empty(); // a client speaks first
        if is_first && is_too_old(session.incoming.filled()) {
            return refuse_foreign(stream, HandshakeFailure::Version);
        }
        if is_client_hello || has_record(&session.incoming) {
            let result;
            (session, result) = begin.handshakes().run(is_first, move || {
                let result = session.advance();
                (session, result)
            })?;
            is_first = false;
            if result.is_ok() && session.has_only_offers() {
                // The client need not read now, nor at all.
                send_what_fits(stream, &mut session);
                *place = Some(session);
                return Ok(());
            }
            let sent = send(stream, &mut session);
            if let Err(error) = result {
                *place = Some(session);
                return Err(HandshakeError::of(error));
            }
            sent.map_err(HandshakeError::io)?;
            if !session.is_handshaking() {
                *place = Some(session);
                return Ok(());
            }
        }
        wait_for_bytes(stream, &mut session)?;
    }
}

/// Receives at least one byte.
fn wait_for_bytes(stream: &impl Transport, session: &mut Session) -> Result<(), HandshakeError> {
    block(stream, Interest::Read, || receive(stream, session))?;
    match session.end() {
        End::Truncated => Err(HandshakeError::new(HandshakeFailure::Closed)),
        _ => Ok(()),
    }
}

/// Sends everything that was encrypted.
fn send(stream: &impl Transport, session: &mut Session) -> Result<(), io::Error> {
    block_io(stream, Interest::Write, || flush(stream, &mut session.outgoing))
}

fn block(
    stream: &impl Transport,
    interest: Interest,
    attempt: impl FnMut() -> io::Result<()>,
) -> Result<(), HandshakeError> {
    block_io(stream, interest, attempt).map_err(HandshakeError::io)
}

/// Repeats `attempt` while it would block.
fn block_io(
    stream: &impl Transport,
    interest: Interest,
    mut attempt: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stream.wait_until(interest, None)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => checkpoint(),
            result => return result,
        }
    }
}

/// Whether a whole record is there, so that a step is worth its turn. What is no record at all, or
/// too large for one, is for rustls to refuse at once.
fn has_record(incoming: &Buffer) -> bool {
    let bytes = incoming.filled();
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return false };
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    let is_refused = !(20..=24).contains(&header[0]) || length > PAYLOAD_BYTES_MAX;
    is_refused || bytes.len() >= HEADER_BYTES + length
}

/// What a client speaks whose first byte begins no handshake record (RFC 8446 section 5.1).
fn recognise(first: u8) -> Option<HandshakeFailure> {
    match first {
        22 => None,
        b'A'..=b'Z' => Some(HandshakeFailure::PlainHttp),
        _ => Some(HandshakeFailure::NotTls),
    }
}

/// Whether a client's hello is for TLS 1.1 or older. rustls refuses it too, but for what such a
/// hello lacks, and the alert has to be the one for the version (RFC 8446 section 4.1.3, RFC 5246
/// E.1).
fn is_too_old(hello: &[u8]) -> bool {
    const CLIENT_HELLO: u8 = 1;
    // The record's header, the message's header, and the version in the message.
    matches!(hello, [22, _, _, _, _, CLIENT_HELLO, _, _, _, 3, 0..=2, ..])
}

/// Tells a client in its own language that this is TLS, or that it is another version.
#[cold]
fn refuse_foreign(
    stream: &impl Transport,
    failure: HandshakeFailure,
) -> Result<(), HandshakeError> {
    let answer: &[u8] = match failure {
        HandshakeFailure::PlainHttp => PLAIN_HTTP_ANSWER,
        HandshakeFailure::Version => PROTOCOL_VERSION,
        _ => UNEXPECTED_MESSAGE,
    };
    // The send buffer of a new connection has room for this. If it fails, the client is gone.
    let _ = stream.try_write(answer);
    Err(HandshakeError::new(failure))
}

fn describe(session: &mut Session, began: Instant) -> TlsInfo {
    let server_name = session.take_server_name();
    let common = session.common();
    TlsInfo {
        version: match common.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        },
        cipher_suite: common.negotiated_cipher_suite().map_or("", |suite| iana_name(suite.suite())),
        server_name,
        alpn: common.alpn_protocol().map(Into::into),
        peer_certificates: common
            .peer_certificates()
            .map(|chain| chain.iter().map(|one| one.clone().into_owned()).collect())
            .unwrap_or_default(),
        is_resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
        duration: now().saturating_duration_since(began),
    }
}

/// rustls has names of its own for the suites of TLS 1.3.
fn iana_name(suite: rustls::CipherSuite) -> &'static str {
    match suite.as_str() {
        Some("TLS13_AES_128_GCM_SHA256") => "TLS_AES_128_GCM_SHA256",
        Some("TLS13_AES_256_GCM_SHA384") => "TLS_AES_256_GCM_SHA384",
        Some("TLS13_CHACHA20_POLY1305_SHA256") => "TLS_CHACHA20_POLY1305_SHA256",
        Some(name) => name,
        None => "unknown",
    }
}

/// The bytes of a record's header.
const HEADER_BYTES: usize = 5;

/// The largest payload of a record (RFC 5246 section 6.2.3).
const PAYLOAD_BYTES_MAX: usize = (1 << 14) + 2048;

/// The answer to a client that speaks HTTP where TLS is spoken.
const PLAIN_HTTP_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 53\r\n\
    Connection: close\r\n\r\n\
    This port speaks HTTPS. Use https:// in the address.\n";

/// The fatal alert `protocol_version`, as a record of its own.
const PROTOCOL_VERSION: &[u8] = &[21, 3, 1, 0, 2, 2, 70];

/// The fatal alert `unexpected_message`, as a record of its own (RFC 8446 section 6).
const UNEXPECTED_MESSAGE: &[u8] = &[21, 3, 3, 0, 2, 2, 10];
