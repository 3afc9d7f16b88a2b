//! The server of an admin listener: one thread, small limits.

use std::io;
use std::thread;
use std::time::Duration;

use crate::config::{Address, AddressError, Capacity};
use crate::control::ServerHandle;
use crate::proto::Limits;
use crate::server::{Handler, Server, Shareable};

/// A running admin listener, from [`Admin::start`](super::Admin::start). Dropping it ends it, which
/// takes a second at most. So keep it until [`Server::run`] returns.
///
/// ```
/// use straightline::admin::Admin;
/// use straightline::{Request, Server};
///
/// let server = Server::builder().bind("127.0.0.1:0").build(|_: &mut Request| "hello\n")?;
/// let admin = Admin::of(&server).start("127.0.0.1:0")?;
/// # server.handle().shutdown(); // usually from elsewhere
/// server.run()?;
/// drop(admin);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
#[must_use = "dropping it ends the listener"]
pub struct AdminServer {
    address: Address,
    handle: ServerHandle,
    thread: Option<thread::JoinHandle<()>>,
}

impl AdminServer {
    pub(super) fn start<H>(
        address: impl TryInto<Address, Error: Into<AddressError>>,
        admin: H,
    ) -> io::Result<Self>
    where
        H: for<'r> Handler<'r> + Shareable + 'static,
    {
        let server = Server::builder()
            .bind(address)
            .workers(1)
            .replacements(0)
            .limits(Limits::default().with_body_bytes(0))
            .capacity(Capacity::default().with_connections(CONNECTIONS))
            .drain_timeout(DRAIN_TIMEOUT)
            .build(admin)?;
        let (address, handle) = (server.local_addrs()[0].clone(), server.handle());
        let run = move || {
            // Its end is no reason for the public server to end. What it fails by is printed.
            let _ = server.run();
        };
        let thread = thread::Builder::new().name("straightline-admin".into()).spawn(run)?;
        Ok(Self { address, handle, thread: Some(thread) })
    }

    /// The address, with the real port. Not a yield point.
    ///
    /// ```
    /// use straightline::admin::Admin;
    /// use straightline::{Request, Server};
    ///
    /// let server = Server::builder().bind("127.0.0.1:0").build(|_: &mut Request| "hello\n")?;
    /// let admin = Admin::of(&server).start("127.0.0.1:0")?;
    /// assert_ne!(admin.local_addr().as_tcp().map(|address| address.port()), Some(0));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn local_addr(&self) -> &Address {
        &self.address
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take() {
            // Its panic was printed.
            let _ = thread.join();
        }
    }
}

/// Arbitrary: some probes, some scrapes and an operator.
const CONNECTIONS: usize = 64;

/// Arbitrary: the public server has ended, so hardly any answer is worth more.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
