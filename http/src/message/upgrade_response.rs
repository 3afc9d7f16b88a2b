//! Responses after which the connection is another protocol's.

use std::io;

use http::{StatusCode, header};

use super::response::Response;
use super::response_body::Streamed;
use crate::wire::Upgraded;

impl Response {
    /// Switches to another protocol, as the client has asked (RFC 9110 section 7.8): answers 101
    /// with `Upgrade: protocol`, and calls `run` with the connection, which ends when `run`
    /// returns.
    ///
    /// If the handler has not read the whole body of the request, the rest is read and dropped
    /// first. A client that has not asked for the protocol
    /// ([`Request::asks_to_upgrade`](crate::Request::asks_to_upgrade)) gets a 426 instead.
    ///
    /// # Panics
    ///
    /// If the protocol's name cannot be a header value; that is a bug in the handler, and the
    /// client gets a 500.
    ///
    /// ```
    /// use std::io::{self, Read, Write};
    /// use straightline::{Request, Response, Upgraded};
    ///
    /// fn chat(_: &mut Request) -> Response {
    ///     Response::upgrade("chat", |mut client: Upgraded| {
    ///         let mut message = [0; 1024];
    ///         loop {
    ///             match client.read(&mut message)? {
    ///                 0 => return Ok(()),
    ///                 count => client.write_all(&message[..count])?,
    ///             }
    ///         }
    ///     })
    /// }
    /// ```
    #[track_caller]
    pub fn upgrade(protocol: &str, run: impl FnOnce(Upgraded) -> io::Result<()> + 'static) -> Self {
        let response = Self::of_streamed(Streamed::Upgrade(Box::new(run)));
        response.with_status(StatusCode::SWITCHING_PROTOCOLS).header(header::UPGRADE, protocol)
    }

    /// Accepts a CONNECT request (RFC 9110 section 9.3.6): answers 200 and calls `run` with the
    /// connection, which ends when `run` returns.
    ///
    /// This is an answer to CONNECT only, and the only successful one, because the client takes the
    /// bytes that follow for bytes from the other end of the tunnel. If the response does not fit
    /// the request, the client gets a 501 (another success for a CONNECT) or a 500 (a tunnel for
    /// another method).
    ///
    /// ```
    /// use std::io;
    /// use straightline::net::TcpStream;
    /// use straightline::{Method, Request, Response, StatusCode, sched};
    ///
    /// fn proxy(request: &mut Request) -> Result<Response, StatusCode> {
    ///     if request.method() != Method::CONNECT || request.target() != "example.org:443" {
    ///         return Err(StatusCode::FORBIDDEN);
    ///     }
    ///     let server =
    ///         TcpStream::connect(request.target()).map_err(|_| StatusCode::BAD_GATEWAY)?;
    ///     Ok(Response::tunnel(move |client| {
    ///         // Each direction until its end; then the other side learns that no more comes.
    ///         sched::scope(|scope| {
    ///             let up = scope.spawn(|| {
    ///                 io::copy(&mut &client, &mut &server)?;
    ///                 server.shutdown(std::net::Shutdown::Write)
    ///             });
    ///             io::copy(&mut &server, &mut &client)?;
    ///             client.shutdown_write()?;
    ///             up.join().unwrap_or(Ok(()))
    ///         })
    ///     }))
    /// }
    /// ```
    pub fn tunnel(run: impl FnOnce(Upgraded) -> io::Result<()> + 'static) -> Self {
        Self::of_streamed(Streamed::Upgrade(Box::new(run)))
    }
}
