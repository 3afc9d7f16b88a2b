//! A client that speaks TLS on a fiber, and the bytes of one that is about to.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use straightline::net::{TcpListener, TcpStream};
use straightline::sched;
use straightline::tls::{TlsConnector, TlsInfo, TlsStream};
use straightline_harness::{Reply, ReplyReader};

use super::NAME;
use crate::answer::Answer;
use crate::body::Body;
use crate::client::{MARGIN, get, within};
use crate::outcome::Outcome;

/// A connection to the server, after its handshake.
pub(crate) struct TlsClient {
    stream: TlsStream<TcpStream>,
    replies: ReplyReader,
}

impl TlsClient {
    pub(crate) fn connect(server: SocketAddr, connector: &TlsConnector) -> io::Result<Self> {
        let stream = connect_raw(server)?;
        // The connector bounds its own time.
        let stream = connector.connect(NAME, stream)?;
        Ok(Self { stream, replies: ReplyReader::default() })
    }

    /// The server's certificate.
    pub(crate) fn certificate(&self) -> &[u8] {
        let chain = self.stream.info().map(TlsInfo::peer_certificates).unwrap_or_default();
        chain.first().map(|certificate| &**certificate).unwrap_or_default()
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.stream.info().is_some_and(TlsInfo::is_resumed)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        within(MARGIN, || self.stream.write_all(bytes))
    }

    /// Sends a GET and returns the whole response. It may be the first on this connection: then the
    /// last step of the server's handshake comes before it.
    pub(crate) fn get(&mut self, target: &str) -> io::Result<Answer> {
        self.get_within(PATIENCE, target)
    }

    /// As [`get`](Self::get), within `bound`.
    pub(crate) fn get_within(&mut self, bound: Duration, target: &str) -> io::Result<Answer> {
        self.send(get(target).as_bytes())?;
        whole(within(bound, || self.replies.reply(&mut self.stream))?)
    }

    /// Sends a GET and returns its outcome.
    pub(crate) fn outcome_of(&mut self, target: &str) -> Outcome {
        self.get(target).map_or_else(Outcome::from, |answer| Outcome::Answered(answer.status))
    }

    /// Sends a body and reads the response at the same time. Each may take as long as it makes
    /// progress.
    pub(crate) fn exchange(&mut self, target: &str, body: &Body) -> io::Result<Answer> {
        let Self { stream, replies } = self;
        let stream = &*stream;
        sched::scope(|s| {
            let writer = s.spawn(|| {
                let mut to = stream;
                to.write_all(body.head(target).as_bytes()).and_then(|()| body.write_to(&mut to))
            });
            let reply = replies.reply(&mut Patient(stream));
            if reply.is_err() {
                s.cancel();
                return whole(reply?);
            }
            writer.join().map_err(|error| io::Error::other(error.to_string()))??;
            whole(reply?)
        })
    }

    /// Tells the server that nothing more comes, and closes.
    pub(crate) fn close(self) -> io::Result<()> {
        within(MARGIN, || self.stream.close())
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) -> io::Result<()> {
        self.stream.get_ref().set_zero_linger()
    }
}

/// Bounds each read.
struct Patient<'s>(&'s TlsStream<TcpStream>);

impl Read for Patient<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        within(MARGIN, || self.0.read(to))
    }
}

fn whole(reply: Reply<Answer>) -> io::Result<Answer> {
    match reply {
        Reply::Whole(answer) => Ok(answer),
        Reply::Nothing(end) => Err(io::Error::other(format!("{end} without a response"))),
        Reply::Half(end) => Err(io::Error::other(format!("{end} within a response"))),
    }
}

/// A connection without TLS.
pub(crate) fn connect_raw(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, MARGIN)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The first bytes of a client: one record with its hello (RFC 8446 section 4.1.2).
pub(crate) fn hello(connector: &TlsConnector) -> io::Result<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    sched::scope(|s| {
        s.spawn(|| {
            // It ends when the other side goes away.
            let _ = TlsClient::connect(address, connector);
        });
        within(MARGIN, || {
            let (mut stream, _) = listener.accept()?;
            let mut record = vec![0; HEADER_BYTES];
            stream.read_exact(&mut record)?;
            let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
            record.resize(HEADER_BYTES + length, 0);
            stream.read_exact(&mut record[HEADER_BYTES..])?;
            Ok(record)
        })
    })
}

/// Longer than [`MARGIN`]: the handshakes of the slow provider have a low priority, and other
/// processes may keep the processors busy.
const PATIENCE: Duration = MARGIN.saturating_mul(3);

/// The header of a record (RFC 8446 section 5.1).
const HEADER_BYTES: usize = 5;
