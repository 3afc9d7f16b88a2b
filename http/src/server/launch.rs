//! How a shard of a running server is started, and what is done about its fibers that misbehave.
//!
//! A launch lives as long as [`Server::run`](super::Server::run). It holds the program's handler,
//! and except for the shards, which make theirs from it, nothing else does: a handler may keep a
//! `ServerHandle`, and that must not lead back to the handler. So what outlives `run` has a weak
//! reference to the launch, and starts no shard once the launch is gone.
//!
//! The reporter runs on the thread that watches the shards, and may not keep it: to find out where
//! a stuck thread stands takes long, and is done on another thread. That a fiber was given up is
//! reported on the thread of its own shard.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::thread;

use straightline_sched::sync::mpsc;
use straightline_sched::{Report, Reporter, ShardHandle, sim};

use super::handler::ServiceFactory;
use super::lending::settle;
use super::shard::{self, NewShard};
use super::shard_replacement;
use crate::config::Phase;
use crate::control::{Shared, Slot};
use crate::telemetry::Event;

/// What it takes to start a shard.
pub(super) struct Launch {
    shared: Arc<Shared>,
    factory: Arc<ServiceFactory>,
    /// The simulated host of the server, for shards that are started from another one.
    host: Option<IpAddr>,
    news: mpsc::Sender<News>,
}

/// The thread of a shard.
pub(super) type Shard = ShardHandle<io::Result<()>>;

/// What `Server::run` is told while it waits.
pub(super) enum News {
    /// One more shard runs.
    Started(Arc<Slot>, Shard),
    /// No shard serves any more.
    AllStuck,
}

impl Launch {
    /// The shards start on the simulated host of the calling fiber, if there is one. The returned
    /// receiver gets the news.
    pub(super) fn new(
        shared: &Arc<Shared>,
        factory: Arc<ServiceFactory>,
    ) -> (Arc<Self>, mpsc::Receiver<News>) {
        let (news, receiver) = mpsc::unbounded();
        let launch = Self { shared: Arc::clone(shared), factory, host: sim::host(), news };
        (Arc::new(launch), receiver)
    }

    /// Starts that slot's shard, which serves what the slot is handed.
    pub(super) fn start(self: &Arc<Self>, slot: &Arc<Slot>) -> io::Result<Shard> {
        let (shared, launch) = (Arc::clone(&self.shared), Arc::downgrade(self));
        let new = NewShard {
            shared: Arc::clone(&self.shared),
            slot: Arc::clone(slot),
            factory: Arc::clone(&self.factory),
            host: self.host,
            reporter: self.reporter(slot),
            on_recovery: Box::new(move || settle(&shared, &|| start_spare(&launch))),
        };
        new.start()
    }

    /// Starts a shard without listeners of its own; none if there may not be more, or it cannot be
    /// started.
    fn start_spare(self: &Arc<Self>) -> Option<Arc<Slot>> {
        let shared = &self.shared;
        if shared.phase() > Phase::Unready || !shared.shards.may_grow() {
            return None;
        }
        let slot = shared.shards.add(true);
        // The system may have no thread left.
        let Ok(handle) = self.start(&slot) else {
            slot.record_ended();
            shared.shards.forget(&slot);
            return None;
        };
        // `Server::run` waits for the shard at the end. If it has returned, nothing needs to.
        let _ = self.news.try_send(News::Started(Arc::clone(&slot), handle));
        Some(slot)
    }

    /// Gets the reports about a shard's fibers and its thread.
    fn reporter(self: &Arc<Self>, slot: &Arc<Slot>) -> Reporter {
        let (shared, slot) = (Arc::downgrade(&self.shared), Arc::clone(slot));
        let launch = Arc::downgrade(self);
        Reporter::new(move |report| {
            // The server may be gone before its last fiber is.
            let Some(shared) = shared.upgrade() else { return };
            match report {
                Report::Busy(_) | Report::Free => {
                    // While a shard still makes its handler, another one would be no quicker.
                    let is_busy = matches!(report, Report::Busy(_)) && slot.scheduler().is_some();
                    slot.set_busy(is_busy);
                    settle(&shared, &|| start_spare(&launch));
                }
                Report::Stalled(stall) => {
                    emit_elsewhere(&shared, Report::Stalled(stall.clone()), || ());
                }
                Report::Stuck(stall) => {
                    let is_over =
                        shard_replacement::go_on(&shared, &slot, &|| start_spare(&launch));
                    let (here, launch) = (Arc::clone(&shared), Weak::clone(&launch));
                    emit_elsewhere(&shared, Report::Stuck(stall.clone()), move || {
                        if is_over {
                            shard_replacement::give_up(&here, || end_server(&launch));
                        }
                    });
                }
                Report::GivenUp(fiber, _) => {
                    shared.record_given_up();
                    shared.observers.emit(&Event::FiberReported { report });
                    shard::record_given_up(&slot, fiber);
                }
                _ => shared.observers.emit(&Event::FiberReported { report }),
            }
        })
    }
}

fn start_spare(launch: &Weak<Launch>) -> Option<Arc<Slot>> {
    launch.upgrade()?.start_spare()
}

/// Has `Server::run` return an error.
fn end_server(launch: &Weak<Launch>) {
    if let Some(launch) = launch.upgrade() {
        // If `Server::run` has returned, the news are not needed.
        let _ = launch.news.try_send(News::AllStuck);
    }
}

/// Reports where a thread stands, and calls `then`, on a thread of its own: to find the names of
/// the functions takes a second in a large program, and meanwhile the watch has to look whether
/// other shards come back.
fn emit_elsewhere(shared: &Arc<Shared>, report: Report, then: impl Fn() + Send + Sync + 'static) {
    let shared = Arc::clone(shared);
    let tell = Arc::new(move || {
        shared.observers.emit(&Event::FiberReported { report: &report });
        then();
    });
    let aside = Arc::clone(&tell);
    let spawned = thread::Builder::new().name("straightline-report".into()).spawn(move || aside());
    if spawned.is_err() {
        tell(); // rather late than not at all
    }
}
