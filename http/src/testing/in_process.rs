//! A handler that is called in process: by a server of its own, over a stream in memory.
//!
//! The server is a [`LocalServer`](crate::LocalServer), so the client sees what a client of a real
//! server sees: the framing, HEAD without a body, the error response of a panic or of a timeout.

use std::fmt;
use std::io;
use std::rc::Rc;

use straightline_net::MemoryStream;
use straightline_sched as sched;

use super::connection::{Bounds, ExchangeError, exchange_in_memory};
use super::outgoing::Outgoing;
use super::response_reader::Received;
use crate::config::Peer;
use crate::message::{IntoResponse, Request, Response};
use crate::server::{Handler, Server, ServerBuilder};

/// A handler, and the server around it.
#[derive(Clone)]
pub(super) struct InProcess {
    handler: Rc<dyn Fn(&mut Request) -> Response>,
    settings: Rc<dyn Fn(ServerBuilder) -> ServerBuilder>,
    pub(super) peer: Peer,
}

impl InProcess {
    /// # Errors
    ///
    /// A mistake in the handler, such as routes that contradict each other.
    pub(super) fn new<H>(
        handler: H,
        settings: impl Fn(ServerBuilder) -> ServerBuilder + 'static,
        peer: Peer,
    ) -> io::Result<Self>
    where
        H: for<'r> Handler<'r> + 'static,
    {
        handler.check()?;
        let handler = Rc::new(move |request: &mut Request| handler.handle(request).into_response());
        Ok(Self { handler, settings: Rc::new(settings), peer })
    }

    /// Answers one request. On a plain thread a shard runs meanwhile.
    pub(super) fn exchange(
        &self,
        outgoing: Outgoing,
        bounds: Bounds,
    ) -> Result<Received, ExchangeError> {
        if sched::try_current().is_some() {
            return self.exchange_here(&outgoing, bounds);
        }
        let here = self.clone();
        sched::run(move || here.exchange_here(&outgoing, bounds))
    }

    fn exchange_here(
        &self,
        outgoing: &Outgoing,
        bounds: Bounds,
    ) -> Result<Received, ExchangeError> {
        let handler = Rc::clone(&self.handler);
        let builder = (self.settings)(Server::builder().raise_descriptor_limit(false));
        let server = builder
            .build_local(move |request: &mut Request| handler(request))
            .map_err(|error| ExchangeError { error, has_begun: false })?;
        let (client, stream) = MemoryStream::pair(PIPE_BYTES);
        let (handle, peer) = (server.handle(), self.peer.clone());
        let serving = sched::spawn(move || handle.serve(stream, peer));
        let outcome = exchange_in_memory(&client, outgoing, HOST, bounds);
        drop(client);
        let _ = serving.join();
        server.handle().shutdown();
        server.join();
        outcome
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// The requested host, if the test sets none.
const HOST: &str = "localhost";

/// How many bytes each direction of the stream holds. Arbitrary: about what the buffers of a socket
/// hold at first.
const PIPE_BYTES: usize = 64 << 10;
