//! A server on the caller's shard, without listeners and without threads.
//!
//! Its one shard is the calling fiber's. The shard's life is the same as that of a thread of
//! [`Server::run`](crate::Server::run), on a fiber. What the scheduler does at the end of a thread,
//! this fiber does itself: it cancels what the drain has left.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use straightline_sched::sync::Flag;
use straightline_sched::{self as sched, FiberBuilder, sim};

use super::shard::{Calls, force_close, live, new_state};
use super::shutdown_report::ShutdownReport;
use super::signals::SignalThread;
use super::state::ShardState;
use crate::conn::Service;
use crate::control::{ServerHandle, Shared};
use crate::telemetry::record_places;

/// A server on the shard of the calling fiber, from
/// [`ServerBuilder::build_local`](crate::ServerBuilder::build_local). It has no listener: it serves
/// the streams that the program gives to [`ServerHandle::serve`](crate::ServerHandle::serve), with
/// all limits, timeouts, counters and events of a server.
///
/// Dropping it begins its shutdown.
///
/// ```
/// use straightline::net::MemoryStream;
/// use straightline::{Peer, Request, Server, sched};
///
/// sched::run(|| {
///     let server = Server::builder().build_local(|_: &mut Request| "hello\n")?;
///     let (client, stream) = MemoryStream::pair(4096);
///     let handle = server.handle();
///     let connection = sched::spawn(move || handle.serve(stream, Peer::named("a test")));
///
///     client.try_write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
///     client.wait_readable()?;
///     let mut answer = [0; 4096];
///     let count = client.try_read(&mut answer)?;
///     assert!(answer[..count].ends_with(b"\r\n\r\nhello\n"));
///
///     server.handle().shutdown(); // closes the idle connection
///     let report = server.join();
///     assert_eq!((report.idle, report.cancelled), (1, 0));
///     println!("{}", connection.join().unwrap());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[must_use = "dropping the server shuts it down"]
pub struct LocalServer {
    shared: Arc<Shared>,
    ended: Arc<Flag>,
    _signals: Option<SignalThread>,
}

impl LocalServer {
    /// On the calling fiber's shard.
    pub(super) fn start(
        shared: Arc<Shared>,
        service: Rc<Service>,
        signals: Option<SignalThread>,
    ) -> io::Result<Self> {
        record_places(shared.config.prints_panics);
        shared.report_start();
        let ended = Arc::new(Flag::new());
        let (begun, end) = (Rc::new(RefCell::new(None)), SetOnDrop(Arc::clone(&ended)));
        let here = Rc::clone(&begun);
        let root = FiberBuilder::new().name("local server").spawn(move || {
            let (_end, state) = (end, here.take());
            state.into_iter().for_each(|state| live_and_force_close(&state));
        })?;
        // The fiber begins when this one yields.
        let slot = shared.shards.all().swap_remove(0);
        begun.replace(Some(new_state(&shared, &slot, service, root.fiber())));
        Ok(Self { shared, ended, _signals: signals })
    }

    /// A handle that serves streams, shuts the server down and reads its numbers. Not a yield
    /// point.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(&self.shared)
    }

    /// Waits until a [shutdown](ServerHandle::shutdown) is over. Returns its report.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding, and the server shuts down without the
    /// caller.
    ///
    /// # Panics
    ///
    /// If the calling fiber is unwinding and the shutdown is not over.
    #[track_caller]
    pub fn join(self) -> ShutdownReport {
        self.ended.wait().expect(
            "straightline: `LocalServer::join` in a fiber that unwinds, which cannot wait: \
             drop the server instead, and it shuts down by itself",
        );
        if let Some(log) = self.shared.access_log.clone()
            && !sim::is_simulated()
        {
            // If no thread is left for that, the last lines may be lost at the end of the process.
            let _ = sched::offload(move || log.finish());
        }
        ShutdownReport::of(&self.shared, 0)
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        self.shared.shutdown_if_serving();
    }
}

fn live_and_force_close(state: &Rc<ShardState>) {
    let shared = Arc::clone(&state.shared);
    let shutdown = move || {
        shared.shutdown_if_serving();
        false
    };
    let calls = Calls { on_recovery: Box::new(|| ()), renew: Box::new(shutdown), is_shared: true };
    if let Err(error) = live(state, &calls) {
        // Without the idle reaper, connections would stay for ever.
        state.shared.record_failure(error);
        state.shared.shutdown_if_serving();
    }
    force_close(state);
    state.slot.record_ended();
    state.shared.shards.forget(&state.slot);
}

/// Sets a flag however its fiber ends.
struct SetOnDrop(Arc<Flag>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl fmt::Debug for LocalServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalServer")
            .field("has_ended", &self.ended.is_set())
            .finish_non_exhaustive()
    }
}
