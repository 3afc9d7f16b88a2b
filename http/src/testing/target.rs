//! What a client asks: a handler in process, or a server at an address.

use std::cell::RefCell;
use std::io::{self, ErrorKind};

use http::header;

use super::connection::{Bounds, Connection, ExchangeError};
use super::cookie_store::CookieStore;
use super::in_process::InProcess;
use super::outgoing::Outgoing;
use super::response_reader::Received;

/// What a client asks, and what it keeps between two requests.
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) bounds: Bounds,
    pub(super) cookies: Option<RefCell<CookieStore>>,
}

pub(super) enum Place {
    InProcess(InProcess),
    Address(Address),
}

/// A server, and a connection that waits for the next request.
pub(super) struct Address {
    /// Host and port.
    pub(super) authority: String,
    pub(super) kept: RefCell<Option<Connection>>,
}

impl Target {
    /// Sends a request and reads its response.
    pub(super) fn exchange(&self, mut outgoing: Outgoing) -> io::Result<Received> {
        if let Some(cookies) = &self.cookies
            && let Some(value) = cookies.borrow().field()
        {
            outgoing.fields.push((header::COOKIE, value));
        }
        let outcome = match &self.place {
            Place::InProcess(handler) => handler.exchange(outgoing, self.bounds),
            Place::Address(address) => address.exchange(&outgoing, self.bounds),
        };
        let received = outcome.map_err(|failed| failed.error)?;
        if let Some(cookies) = &self.cookies {
            cookies.borrow_mut().learn(&received.headers);
        }
        Ok(received)
    }

    /// Who answers, for messages.
    pub(super) fn name(&self) -> &str {
        match &self.place {
            Place::InProcess(_) => "the handler",
            Place::Address(address) => &address.authority,
        }
    }
}

impl Address {
    fn exchange(&self, outgoing: &Outgoing, bounds: Bounds) -> Result<Received, ExchangeError> {
        let kept = self.kept.take().filter(Connection::is_usable);
        if let Some(connection) = kept {
            match self.exchange_on(connection, outgoing, bounds) {
                // The server has closed the idle connection meanwhile (RFC 9112 section 9.3.1).
                Err(failed)
                    if !failed.has_begun
                        && failed.error.kind() != ErrorKind::TimedOut
                        && outgoing.is_idempotent() => {}
                outcome => return outcome,
            }
        }
        let connection = Connection::open(&self.authority, bounds.timeout)
            .map_err(|error| ExchangeError { error, has_begun: false })?;
        self.exchange_on(connection, outgoing, bounds)
    }

    fn exchange_on(
        &self,
        connection: Connection,
        outgoing: &Outgoing,
        bounds: Bounds,
    ) -> Result<Received, ExchangeError> {
        let received = connection.exchange(outgoing, &self.authority, bounds)?;
        if received.keeps_connection && !outgoing.closes() {
            self.kept.replace(Some(connection));
        }
        Ok(received)
    }
}
