//! The protocol of one connection: bytes in, bytes out. It knows no stream and never waits.
//!
//! rustls runs the protocol, by its interface without buffers: what is received stays in our buffer
//! until rustls has used it, and what is to be sent is encrypted into ours. So an idle connection
//! has no buffer at all, and the whole session can move to another thread for a step.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, CommonState, Error, ProtocolVersion, ServerConfig};

use crate::asked_name;
use crate::buffer::Buffer;
use crate::memory_budget::MemoryBudget;

/// The protocol of one connection.
pub(crate) struct Session {
    engine: Engine,
    /// How many received bytes may wait during the handshake.
    handshake_max: usize,
    /// What was received and is not used yet.
    pub(crate) incoming: Buffer,
    /// Whether `incoming` may contain a whole record.
    has_unprocessed: bool,
    /// What was decrypted and is not read yet.
    pub(crate) plain: Buffer,
    /// What was encrypted and is not sent yet.
    pub(crate) outgoing: Buffer,
    end: End,
    is_close_notify_sent: bool,
    /// The stream below takes no more bytes, and some were lost.
    is_cut_off: bool,
    server_name: Option<Box<str>>,
    budget: Option<Arc<dyn MemoryBudget>>,
    /// What is counted in the budget.
    counted: usize,
}

enum Engine {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What the peer can still send.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Open,
    /// The peer has sent its `close_notify` (RFC 8446 section 6.1).
    Closed,
    /// The stream below ended without a `close_notify`.
    Truncated,
    /// One of the peers broke the protocol, or ended the connection with an alert.
    Failed(Error),
}

/// What one look at the received bytes led to.
enum Progress {
    /// There may be more to do with the same bytes.
    Again,
    /// Plaintext came; so much of it went to the caller.
    Plain(usize),
    /// More bytes are needed. Meanwhile data can be written, unless the handshake is not that far.
    Blocked,
}

impl Session {
    pub(crate) fn server(config: Arc<ServerConfig>, asks_clients: bool) -> Result<Self, Error> {
        let engine = Engine::Server(UnbufferedServerConnection::new(config)?);
        Ok(Self::new(engine, if asks_clients { LARGE_MAX } else { SMALL_MAX }))
    }

    pub(crate) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, Error> {
        UnbufferedClientConnection::new(config, name)
            .map(|client| Self::new(Engine::Client(client), LARGE_MAX))
    }

    fn new(engine: Engine, handshake_max: usize) -> Self {
        Self {
            engine,
            handshake_max,
            incoming: Buffer::default(),
            has_unprocessed: false,
            plain: Buffer::default(),
            outgoing: Buffer::default(),
            end: End::Open,
            is_close_notify_sent: false,
            is_cut_off: false,
            server_name: None,
            budget: None,
            counted: 0,
        }
    }

    pub(crate) fn set_budget(&mut self, budget: Option<Arc<dyn MemoryBudget>>) {
        self.budget = budget;
    }

    /// Counts the memory of the buffers anew, because a wait begins; false if there is no room for
    /// it.
    pub(crate) fn count_memory(&mut self) -> bool {
        let held = self.incoming.held() + self.plain.held() + self.outgoing.held();
        let Some(budget) = self.budget.as_ref().filter(|_| held != self.counted) else {
            return true;
        };
        if held < self.counted {
            budget.remove(self.counted - held);
        } else if !budget.try_add(held - self.counted) {
            return false;
        }
        self.counted = held;
        true
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    pub(crate) fn common(&self) -> &CommonState {
        match &self.engine {
            Engine::Server(server) => server,
            Engine::Client(client) => client,
        }
    }

    /// Takes out the name that the client asked for (SNI), on the server's side.
    pub(crate) fn take_server_name(&mut self) -> Option<Box<str>> {
        self.server_name.take()
    }

    pub(crate) fn end(&self) -> &End {
        &self.end
    }

    /// The stream below has ended.
    pub(crate) fn set_truncated(&mut self) {
        if matches!(self.end, End::Open) {
            self.end = End::Truncated;
        }
    }

    /// `count` bytes were received into the room of `incoming`.
    pub(crate) fn receive(&mut self, count: usize) {
        self.incoming.advance(count);
        self.has_unprocessed = true;
    }

    /// Whether a read finds something without another byte from the stream below: data, or the end.
    pub(crate) fn has_news(&self) -> bool {
        !self.plain.is_empty() || self.has_unprocessed || !matches!(self.end, End::Open)
    }

    /// How many received bytes may wait for the rest of a record or of a message. A client's hello
    /// is small, and after it a client that needs no certificate has nothing large to say; records
    /// that are cut into pieces cost five bytes more for each piece. A server's tickets may be
    /// large.
    pub(crate) fn incoming_max(&self) -> usize {
        match self.engine {
            Engine::Server(_) if !self.is_handshaking() => SMALL_MAX,
            _ => self.handshake_max,
        }
    }

    /// Whether nothing is left of what was received.
    pub(crate) fn is_drained(&self) -> bool {
        !self.has_news() && self.incoming.is_empty()
    }

    /// The handshake as far as the received bytes allow. What was encrypted for the peer, an alert
    /// too, is in `outgoing`.
    pub(crate) fn advance(&mut self) -> Result<(), Error> {
        asked_name::take(); // of another session, if there is one
        let mut result = Ok(());
        // The last flight is there when the handshake is over, and still to be encrypted.
        while result.is_ok()
            && matches!(self.end, End::Open)
            && (self.is_handshaking() || self.common().wants_write())
        {
            match self.process(&mut []) {
                Ok(Progress::Blocked) => break,
                Ok(_) => {}
                Err(error) => result = Err(error),
            }
        }
        self.server_name = asked_name::take().or(self.server_name.take());
        result
    }

    /// Plaintext from the received bytes; `None` if there is none, but perhaps the end.
    pub(crate) fn decrypt(&mut self, target: &mut [u8]) -> Result<Option<usize>, Error> {
        while self.has_unprocessed {
            if let Progress::Plain(count) = self.process(target)? {
                return Ok(Some(count));
            }
        }
        Ok(None)
    }

    /// Encrypts `bytes` into `outgoing`, as records of the largest size.
    pub(crate) fn encrypt(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write(Write::Data(bytes))
    }

    /// Tells the peer that no more data comes, once (RFC 8446 section 6.1).
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        let is_over = matches!(self.end, End::Failed(_)) || self.common().is_handshaking();
        if is_over || self.is_close_notify_sent {
            return Ok(());
        }
        self.is_close_notify_sent = true;
        self.write(Write::CloseNotify)
    }

    /// The stream below takes no more bytes. What the peer has sent before can still be read.
    pub(crate) fn cut_off(&mut self) {
        self.is_cut_off = true;
        self.outgoing.consume(self.outgoing.len());
    }

    /// Whether data can still be written.
    pub(crate) fn is_writable(&self) -> bool {
        !self.is_close_notify_sent && !self.is_cut_off
    }

    /// Whether the server's last bytes are only offers, which no client waits for: the tickets of
    /// TLS 1.3.
    pub(crate) fn has_only_offers(&self) -> bool {
        let is_tls13 = self.common().protocol_version() == Some(ProtocolVersion::TLSv1_3);
        matches!(self.engine, Engine::Server(_)) && is_tls13 && !self.is_handshaking()
    }

    /// One step with the received bytes. A failure is kept, and its alert encrypted.
    fn process(&mut self, target: &mut [u8]) -> Result<Progress, Error> {
        let (used, progress) = if self.is_close_notify_sent {
            // rustls asserts that it sends no alert behind a `close_notify`, and does so for a peer
            // that breaks the protocol after it. With debug assertions, that peer would end the
            // fiber.
            match catch_unwind(AssertUnwindSafe(|| self.step(target, &mut None))) {
                Ok(step) => step,
                Err(_) => return Err(self.break_off()),
            }
        } else {
            self.step(target, &mut None)
        };
        self.incoming.consume(used);
        match progress {
            Ok(Outcome::Progress(progress)) => {
                let is_blocked = matches!(progress, Progress::Blocked);
                if is_blocked || self.incoming.is_empty() && matches!(progress, Progress::Plain(_))
                {
                    self.has_unprocessed = false;
                }
                Ok(progress)
            }
            Ok(Outcome::PeerClosed) => {
                self.end = End::Closed;
                self.has_unprocessed = false;
                Ok(Progress::Blocked)
            }
            Err(error) => {
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// What rustls does with the received bytes and, once it has looked at all of them, with what
    /// is to be written. Returns how many of the bytes it has used.
    fn step(
        &mut self,
        target: &mut [u8],
        write: &mut Option<Write<'_>>,
    ) -> (usize, Result<Outcome, Error>) {
        let mut step = Step { outgoing: &mut self.outgoing, plain: &mut self.plain, target };
        let received = self.incoming.filled_mut();
        match &mut self.engine {
            Engine::Server(server) => step.take(server.process_tls_records(received), write),
            Engine::Client(client) => step.take(client.process_tls_records(received), write),
        }
    }

    /// The peer broke the protocol, and rustls itself with it: it is not asked again.
    #[cold]
    fn break_off(&mut self) -> Error {
        let error = Error::General("the peer broke the protocol after the end".into());
        self.end = End::Failed(error.clone());
        self.has_unprocessed = false;
        self.incoming.consume(self.incoming.len());
        error
    }

    fn write(&mut self, write: Write<'_>) -> Result<(), Error> {
        let mut write = Some(write);
        while write.is_some() {
            // What was received meanwhile is decrypted first, one buffer of it at the most.
            let (used, progress) = self.step(&mut [], &mut write);
            self.incoming.consume(used);
            match progress {
                Ok(Outcome::PeerClosed) => self.end = End::Closed,
                Ok(Outcome::Progress(Progress::Blocked)) if write.is_some() => {
                    return Err(Error::HandshakeNotComplete);
                }
                Ok(Outcome::Progress(_)) => {}
                Err(error) => {
                    self.fail(&error);
                    return Err(error);
                }
            }
        }
        // Everything that was received has been looked at on the way.
        self.has_unprocessed = false;
        Ok(())
    }

    /// Keeps the failure, and encrypts the alert that rustls has for it.
    #[cold]
    fn fail(&mut self, error: &Error) {
        self.end = End::Failed(error.clone());
        self.has_unprocessed = false;
        // As long as there is something to send, rustls does not look at the received bytes, which
        // it must not judge a second time.
        while self.common().wants_write() {
            let (used, progress) = self.step(&mut [], &mut None);
            self.incoming.consume(used);
            if progress.is_err() {
                break;
            }
        }
        self.incoming.consume(self.incoming.len());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(budget) = self.budget.as_ref().filter(|_| self.counted > 0) {
            budget.remove(self.counted);
        }
    }
}

/// What is to be encrypted.
#[derive(Clone, Copy)]
enum Write<'b> {
    Data(&'b [u8]),
    CloseNotify,
}

enum Outcome {
    Progress(Progress),
    PeerClosed,
}

/// Where the parts of one step go.
struct Step<'s> {
    outgoing: &'s mut Buffer,
    plain: &'s mut Buffer,
    target: &'s mut [u8],
}

impl Step<'_> {
    /// Does what rustls asks for. Returns how many of the received bytes it has used.
    fn take<D>(
        &mut self,
        status: UnbufferedStatus<'_, '_, D>,
        write: &mut Option<Write<'_>>,
    ) -> (usize, Result<Outcome, Error>) {
        let UnbufferedStatus { mut discard, state, .. } = status;
        let state = match state {
            Ok(state) => state,
            Err(error) => return (discard, Err(error)),
        };
        let progress = match state {
            ConnectionState::ReadTraffic(mut traffic) => {
                let mut count = 0;
                while let Some(record) = traffic.next_record() {
                    let record = match record {
                        Ok(record) => record,
                        Err(error) => return (discard, Err(error)),
                    };
                    discard += record.discard;
                    let direct = record.payload.len().min(self.target.len() - count);
                    let (now, later) = record.payload.split_at(direct);
                    self.target[count..count + direct].copy_from_slice(now);
                    count += direct;
                    if let Err(error) = self.plain.push(later) {
                        return (discard, Err(error.into()));
                    }
                }
                if count > 0 { Progress::Plain(count) } else { Progress::Again }
            }
            ConnectionState::EncodeTlsData(mut data) => {
                if let Err(error) = self.encode(&mut data) {
                    return (discard, Err(error));
                }
                Progress::Again
            }
            ConnectionState::TransmitTlsData(data) => {
                // It is in `outgoing`, which is sent in order.
                data.done();
                Progress::Again
            }
            ConnectionState::WriteTraffic(mut traffic) => {
                if let Some(write) = write.take()
                    && let Err(error) = self.encrypt(&mut traffic, write)
                {
                    return (discard, Err(error));
                }
                Progress::Blocked
            }
            ConnectionState::PeerClosed => return (discard, Ok(Outcome::PeerClosed)),
            ConnectionState::BlockedHandshake | ConnectionState::Closed => Progress::Blocked,
            // Early data is off. There are no other states.
            _ => return (discard, Err(Error::General("early data".into()))),
        };
        (discard, Ok(Outcome::Progress(progress)))
    }

    /// Puts a message of the protocol into `outgoing`.
    fn encode<D>(&mut self, data: &mut EncodeTlsData<'_, D>) -> Result<(), Error> {
        let mut room = 0;
        loop {
            match data.encode(self.outgoing.room(room)?) {
                Ok(count) => {
                    self.outgoing.advance(count);
                    return Ok(());
                }
                Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    room = required_size;
                }
                Err(EncodeError::AlreadyEncoded) => return Ok(()),
            }
        }
    }

    /// Encrypts into `outgoing`.
    fn encrypt<D>(
        &mut self,
        traffic: &mut WriteTraffic<'_, D>,
        write: Write<'_>,
    ) -> Result<(), Error> {
        let mut room = 0;
        loop {
            let result = match write {
                Write::Data(bytes) => traffic.encrypt(bytes, self.outgoing.room(room)?),
                Write::CloseNotify => traffic.queue_close_notify(self.outgoing.room(room)?),
            };
            match result {
                Ok(count) => {
                    self.outgoing.advance(count);
                    return Ok(());
                }
                Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    room = required_size;
                }
                Err(EncryptError::EncryptExhausted) => return Err(Error::EncryptError),
            }
        }
    }
}

/// Two records of the largest size.
const SMALL_MAX: usize = 2 * 17 * 1024;

/// A chain of certificates, or a ticket, of the largest size that rustls reads, 64 KiB, in records
/// of its own.
const LARGE_MAX: usize = 96 * 1024;
