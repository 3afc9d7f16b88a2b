//! The handle of a server, for its program and for handlers.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use straightline_net::Transport;
use straightline_sched::sync::{FlagReader, after, select};
use straightline_sched::{FiberInfo, JoinHandle};
#[cfg(feature = "_tls")]
use straightline_tls::TlsConfigError;

use super::connection_end::ConnectionEnd;
use super::metrics::Metrics;
use super::shard_part::ShardPart;
use super::shared::Shared;
use crate::config::{Peer, Phase};
use crate::telemetry::Counters;

/// Shuts a server down and reads its numbers, from any thread.
#[derive(Clone)]
pub struct ServerHandle {
    pub(crate) shared: Arc<Shared>,
}

impl ServerHandle {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }

    /// Begins the shutdown. First the server is [not ready](Self::is_ready), but it still accepts
    /// and serves for [`ServerBuilder::ready_delay`](crate::ServerBuilder::ready_delay); each
    /// answer closes its connection. Then it drains: the port closes, idle connections close, and
    /// requests in flight are finished and answered with `Connection: close`, for up to the drain
    /// timeout. Connections that are still active after that are force-closed: their handlers
    /// unwind at their next yield point. [`Server::run`](crate::Server::run) returns when all of
    /// this is done.
    ///
    /// A second call force-closes at once.
    ///
    /// Not a yield point: it returns at once, and works from any thread, also from a handler.
    pub fn shutdown(&self) {
        self.shared.shutdown();
    }

    /// Whether the server is ready for new clients: true until a shutdown begins. For the probe of
    /// a load balancer.
    ///
    /// Not a yield point; works from any thread.
    pub fn is_ready(&self) -> bool {
        self.shared.phase() == Phase::Serving
    }

    /// Whether one of the server's threads comes back to its scheduler within `timeout`. False if
    /// all of them are stuck, and before [`Server::run`](crate::Server::run) has started them. For
    /// the probe of a manager that restarts the process; the
    /// [admin listener](crate::admin) has such a probe.
    ///
    /// # Blocking
    ///
    /// A yield point. On a thread without fibers the thread waits.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline::{Request, Server};
    ///
    /// let server = Server::builder().bind("127.0.0.1:0").build(|_: &mut Request| "hi\n")?;
    /// let handle = server.handle();
    /// assert!(!handle.is_responsive(Duration::from_secs(1)));
    /// let serving = std::thread::spawn(|| server.run());
    /// while !handle.is_responsive(Duration::from_secs(1)) {}
    /// handle.shutdown();
    /// serving.join().unwrap()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_responsive(&self, timeout: Duration) -> bool {
        let (signs, timeout) = (self.shared.shards.ask(), after(timeout));
        // A fiber that unwinds may not wait; it looks for a sign that has come already.
        let _ = select(&[&signs, &timeout]);
        signs.try_recv().is_ok()
    }

    /// Set from the moment when the server's drain begins, for code that has to end then: something
    /// to [`select`](straightline_sched::sync::select) on, or to wait for.
    ///
    /// Works on every shard and on plain threads. A handler takes the flag of its own shard, from
    /// [`Request::draining`](crate::Request::draining).
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use straightline::{Request, Server};
    ///
    /// let server = Server::builder().bind("127.0.0.1:0").build(|_: &mut Request| "hi\n")?;
    /// let (handle, draining) = (server.handle(), server.handle().draining());
    /// let cleaner = std::thread::spawn(move || {
    ///     draining.wait().unwrap(); // blocks this thread until then
    ///     "cleaned up"
    /// });
    /// assert!(!handle.draining().is_set());
    /// handle.shutdown();
    /// assert_eq!(cleaner.join().unwrap(), "cleaned up");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn draining(&self) -> FlagReader {
        self.shared.draining()
    }

    /// Runs `body` as a *background fiber* of the calling fiber's shard: work that a handler leaves
    /// behind, and that the server knows about. It begins when the caller next yields.
    ///
    /// The fiber outlives the request, and has no timeout. A drain waits for it as it waits for
    /// requests in flight: up to the [drain timeout](crate::ServerBuilder::drain_timeout), after
    /// which the fiber is cancelled. A fiber that waits for events has to watch
    /// [`draining`](Self::draining), or each drain takes the whole drain timeout. The
    /// [`ShutdownReport`](crate::ShutdownReport) and the [counters](crate::Counters) include it. A
    /// fiber of [`sched::spawn`](straightline_sched::spawn) is not known to the server: it is
    /// cancelled as soon as all requests have ended.
    ///
    /// A panic of `body` ends this fiber alone, and the server goes on, whatever
    /// [`on_panic`](crate::ServerBuilder::on_panic) says. It is an
    /// [`Event::BackgroundPanicked`](crate::Event::BackgroundPanicked), the
    /// [counters](crate::Counters) include it, and [`JoinHandle::join`] returns it.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// As [`FiberBuilder::spawn`](straightline_sched::FiberBuilder::spawn): no stack is left.
    ///
    /// # Panics
    ///
    /// Outside of a fiber of one of the server's shards. So a handler that calls this cannot be
    /// tested with a [made request](crate::RequestBuilder), whose server has no shards: take a
    /// [`LocalServer`](crate::LocalServer).
    ///
    /// ```
    /// use straightline::{Request, StatusCode};
    ///
    /// fn send_mail(to: &str) {
    ///     // some seconds of work
    /// }
    ///
    /// fn register(request: &mut Request) -> StatusCode {
    ///     let address = request.query().unwrap_or_default().to_owned();
    ///     match request.server().spawn(move || send_mail(&address)) {
    ///         Ok(_) => StatusCode::ACCEPTED,
    ///         Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    ///     }
    /// }
    /// ```
    #[track_caller]
    pub fn spawn<T: 'static>(
        &self,
        body: impl FnOnce() -> T + 'static,
    ) -> io::Result<JoinHandle<T>> {
        match ShardPart::here(&self.shared) {
            Some(part) => part.background.spawn(body),
            None => panic!("straightline: ServerHandle::spawn outside of the server's shards"),
        }
    }

    /// Serves a stream that the program gives, as a client that was accepted, on the calling
    /// fiber's shard: with the limits, timeouts, counters and events of the server. Returns when
    /// the connection is over, and says how it ended. While the connection is idle, only the
    /// calling fiber has a stack.
    ///
    /// This is for streams in memory, in tests without a socket; for [`LocalServer`], which has no
    /// listener; and for an accept loop of the program's own. [`Transport`] has an example with a
    /// stream of the program's own.
    ///
    /// A drain closes the connection as it closes all others.
    ///
    /// [`LocalServer`]: crate::LocalServer
    ///
    /// # Blocking
    ///
    /// A yield point: the calling fiber waits until the connection is over.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding, and cancels the connection, whose handler
    /// unwinds.
    ///
    /// # Panics
    ///
    /// Outside of a fiber of one of the server's shards, unless the server has ended.
    ///
    /// ```
    /// use straightline::net::MemoryStream;
    /// use straightline::{ConnectionEnd, Peer, Request, Server, sched};
    ///
    /// sched::run(|| {
    ///     let server = Server::builder().build_local(|_: &mut Request| "hello\n")?;
    ///     let (client, stream) = MemoryStream::pair(4096);
    ///     client.try_write(b"GET / HTTP/1.0\r\n\r\n")?;
    ///     let end = server.handle().serve(stream, Peer::named("a test"));
    ///     assert!(matches!(end, ConnectionEnd::Closed));
    ///     let mut answer = [0; 4096];
    ///     let count = client.try_read(&mut answer)?;
    ///     assert!(answer[..count].starts_with(b"HTTP/1.1 200 OK\r\n"));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn serve(&self, stream: impl Transport, peer: Peer) -> ConnectionEnd {
        match ShardPart::here(&self.shared) {
            Some(part) => part.serve(Box::new(stream), peer),
            None if self.shared.shards.all().is_empty() => ConnectionEnd::Unserved,
            None => panic!("straightline: ServerHandle::serve outside of the server's shards"),
        }
    }

    /// Lists the fibers of every shard behind the shard's number, which is that of the metrics,
    /// with the backtraces of at most `backtraces_max` parked fibers of each. A shard that does not
    /// answer within `timeout`, or does not run, gives an error.
    ///
    /// # Blocking
    ///
    /// Blocks the calling thread until all shards have answered, so it is not for a handler. A
    /// handler can list its own shard with [`sched::inspect`](straightline_sched::inspect).
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline::{Request, Server};
    ///
    /// let server = Server::builder().bind("127.0.0.1:0").workers(1).build(|_: &mut Request| "")?;
    /// let handle = server.handle();
    /// let serving = std::thread::spawn(|| server.run());
    /// for (shard, fibers) in handle.inspect(10, Duration::from_secs(1)) {
    ///     for fiber in fibers? {
    ///         println!("{shard}: {fiber}");
    ///     }
    /// }
    /// handle.shutdown();
    /// serving.join().unwrap()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn inspect(
        &self,
        backtraces_max: usize,
        timeout: Duration,
    ) -> Vec<(usize, io::Result<Vec<FiberInfo>>)> {
        self.shared.shards.inspect(backtraces_max, timeout)
    }

    /// Reads the certificates, keys and other files of the server's
    /// [TLS](crate::ServerBuilder::tls) again
    /// ([`TlsConfig::reload`](straightline_tls::TlsConfig::reload)). New connections get the new
    /// ones, and open connections keep theirs. [`Event::TlsReloaded`] or [`Event::TlsReloadFailed`]
    /// reports the outcome. A server without TLS has nothing to read, and reports nothing.
    ///
    /// SIGHUP [does the same](crate::ServerBuilder::on_reload).
    ///
    /// [`Event::TlsReloaded`]: crate::Event::TlsReloaded
    /// [`Event::TlsReloadFailed`]: crate::Event::TlsReloadFailed
    ///
    /// # Blocking
    ///
    /// Blocks the calling thread while it reads the files. So a handler calls it by
    /// [`sched::offload`](straightline_sched::offload). Not a yield point.
    ///
    /// # Errors
    ///
    /// What is wrong with the files, and with which of them. The server goes on with what it has.
    ///
    /// ```no_run
    /// use std::thread;
    /// use std::time::Duration;
    /// use straightline::tls::TlsConfig;
    /// use straightline::{Request, Server};
    ///
    /// let tls = TlsConfig::builder().certificate_files("chain.pem", "key.pem").build()?;
    /// let server = Server::builder().bind("0.0.0.0:443").tls(tls);
    /// let server = server.build(|_: &mut Request| "hi\n")?;
    /// let handle = server.handle();
    /// thread::spawn(move || loop {
    ///     thread::sleep(Duration::from_secs(24 * 3600));
    ///     // An event reports the outcome.
    ///     let _ = handle.reload_tls();
    /// });
    /// server.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "_tls")]
    pub fn reload_tls(&self) -> Result<(), TlsConfigError> {
        self.shared.reload_tls()
    }

    /// What the server has counted so far. Not a yield point; works from any thread.
    pub fn counters(&self) -> Counters {
        self.shared.shards.counters()
    }

    /// All numbers of the server, for a page that Prometheus reads, or for the program itself.
    /// Takes some microseconds. Not a yield point; works from any thread.
    pub fn metrics(&self) -> Metrics {
        Metrics::of(&self.shared)
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("local_addrs", &self.shared.local)
            .finish_non_exhaustive()
    }
}
