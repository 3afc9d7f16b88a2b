//! How a shard of a running server is started, and how reports about its fibers are handled.
//!
//! A launch lives as long as [`Server::run`](super::Server::run). Apart from the shards, which make
//! their handlers from it, only the launch holds the program's handler: a handler may keep a
//! `ServerHandle`, and that must not lead back to the handler. So everything that outlives `run`
//! has a weak reference to the launch, and starts no shard once the launch is gone.
//!
//! The reporter runs on the watchdog's thread, and must not keep that thread: to find out where a
//! stuck thread stands takes long, and is done on another thread. A fiber that was abandoned is
//! reported on the thread of its own shard.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::thread;

use straightline_sched::sync::mpsc;
use straightline_sched::{Report, Reporter, ShardJoinHandle, sim};

use super::guests::Guests;
use super::handler::ServiceFactory;
use super::lending::settle;
use super::shard::{self, Calls, NewShard};
use super::shard_replacement::{self, renew};
use crate::config::Phase;
use crate::control::{Shared, Slot};
use crate::telemetry::Event;

/// The parts from which a shard is started.
pub(super) struct Launch {
    shared: Arc<Shared>,
    factory: Arc<ServiceFactory>,
    /// Other servers on the same threads.
    guests: Arc<Guests>,
    /// The simulated host of the server, for shards that are started from another host.
    host: Option<IpAddr>,
    messages: mpsc::Sender<Message>,
}

/// The thread of a shard.
pub(super) type Shard = ShardJoinHandle<io::Result<()>>;

/// A message to `Server::run` while it waits.
pub(super) enum Message {
    /// One more shard runs.
    Started(Arc<Slot>, Shard),
    /// No shard serves any more.
    AllStuck,
}

impl Launch {
    /// The shards start on the simulated host of the calling fiber, if it has one. The returned
    /// receiver gets the messages.
    pub(super) fn new(
        shared: &Arc<Shared>,
        factory: Arc<ServiceFactory>,
        guests: &Arc<Guests>,
    ) -> (Arc<Self>, mpsc::Receiver<Message>) {
        let (messages, receiver) = mpsc::unbounded();
        let (shared, guests) = (Arc::clone(shared), Arc::clone(guests));
        let launch = Self { shared, factory, guests, host: sim::host(), messages };
        (Arc::new(launch), receiver)
    }

    /// Starts the shard of that slot. It serves the listeners that the slot is handed.
    pub(super) fn start(self: &Arc<Self>, slot: &Arc<Slot>) -> io::Result<Shard> {
        let (recovering, renewing, renewed) =
            (Arc::downgrade(self), Arc::downgrade(self), Arc::clone(slot));
        let new = NewShard {
            shared: Arc::clone(&self.shared),
            slot: Arc::clone(slot),
            factory: Arc::clone(&self.factory),
            host: self.host,
            reporter: self.reporter(slot),
            calls: Calls {
                on_recovery: Box::new(move || settle_all(&recovering)),
                renew: Box::new(move || renew_all(&renewing, &renewed)),
                is_shared: !self.guests.is_empty(),
            },
            guests: self.guests.starts(slot),
        };
        new.start()
    }

    /// Starts a shard without listeners of its own; `None` if no further shard is allowed or can be
    /// started.
    fn start_spare(self: &Arc<Self>) -> Option<Arc<Slot>> {
        let shared = &self.shared;
        if shared.phase() > Phase::Unready || !shared.shards.may_grow() {
            return None;
        }
        let slot = shared.shards.add(true);
        // The system may have no thread left, or no descriptor for the driver.
        let Ok(handle) = self.start(&slot) else {
            slot.record_ended();
            shared.shards.forget(&slot);
            return None;
        };
        // `Server::run` waits for the shard at the end. If `run` has returned, no wait is needed.
        let _ = self.messages.try_send(Message::Started(Arc::clone(&slot), handle));
        Some(slot)
    }

    /// Handles the reports about a shard's fibers and its thread.
    fn reporter(self: &Arc<Self>, slot: &Arc<Slot>) -> Reporter {
        let (shared, slot) = (Arc::downgrade(&self.shared), Arc::clone(slot));
        let launch = Arc::downgrade(self);
        Reporter::new(move |report| {
            // The server may be dropped before its last fiber ends.
            let Some(shared) = shared.upgrade() else { return };
            match report {
                Report::Busy(_) | Report::Free => {
                    // While a shard still makes its handler, another shard would not be ready
                    // sooner.
                    let is_busy = matches!(report, Report::Busy(_)) && slot.scheduler().is_some();
                    slot.set_busy(is_busy);
                    settle(&shared, &|| start_spare(&launch));
                    if let Some(launch) = launch.upgrade() {
                        launch.guests.set_busy(&slot, is_busy, &|| launch.start_spare());
                    }
                }
                Report::Stalled(stall) => {
                    emit_on_own_thread(&shared, Report::Stalled(stall.clone()), || ());
                }
                Report::Stuck(stall) => {
                    let is_over =
                        shard_replacement::replace_stuck(&shared, &slot, &|| start_spare(&launch));
                    if let Some(launch) = launch.upgrade() {
                        launch.guests.replace_stuck(&slot, &|| launch.start_spare());
                    }
                    let (here, launch) = (Arc::clone(&shared), Weak::clone(&launch));
                    emit_on_own_thread(&shared, Report::Stuck(stall.clone()), move || {
                        if is_over {
                            shard_replacement::end_or_abort(&here, || end_server(&launch));
                        }
                    });
                }
                Report::Abandoned(fiber, _) => {
                    shared.record_abandoned();
                    shared.observers.emit(&Event::FiberReported { report });
                    shard::record_abandoned(&slot, fiber);
                    if let Some(launch) = launch.upgrade() {
                        let twins = launch.guests.twins(&slot);
                        twins.iter().for_each(|twin| shard::record_abandoned(twin, fiber));
                    }
                }
                _ => shared.observers.emit(&Event::FiberReported { report }),
            }
        })
    }
}

fn start_spare(launch: &Weak<Launch>) -> Option<Arc<Slot>> {
    launch.upgrade()?.start_spare()
}

/// A shard that was stuck has returned.
fn settle_all(launch: &Weak<Launch>) {
    if let Some(launch) = launch.upgrade() {
        settle(&launch.shared, &|| launch.start_spare());
        launch.guests.settle(&|| launch.start_spare());
    }
}

/// Hands the listeners of a shard whose handler has panicked to another shard; false if that is not
/// possible.
fn renew_all(launch: &Weak<Launch>, slot: &Arc<Slot>) -> bool {
    let Some(launch) = launch.upgrade() else { return false };
    let replacement = renew(&launch.shared, slot, &|| launch.start_spare());
    replacement.into_iter().for_each(|replacement| launch.guests.follow(slot, replacement));
    replacement.is_some()
}

/// Lets `Server::run` return an error.
fn end_server(launch: &Weak<Launch>) {
    if let Some(launch) = launch.upgrade() {
        // If `Server::run` has returned, the message is not needed.
        let _ = launch.messages.try_send(Message::AllStuck);
    }
}

/// Reports where a thread stands, and then calls `then`, on a thread of its own: to find the names
/// of the functions takes a second in a large program, and meanwhile the watchdog has to check
/// other shards.
fn emit_on_own_thread(
    shared: &Arc<Shared>,
    report: Report,
    then: impl Fn() + Send + Sync + 'static,
) {
    let shared = Arc::clone(shared);
    let emit = Arc::new(move || {
        shared.observers.emit(&Event::FiberReported { report: &report });
        then();
    });
    let aside = Arc::clone(&emit);
    let spawned = thread::Builder::new().name("straightline-report".into()).spawn(move || aside());
    if spawned.is_err() {
        emit(); // rather late than not at all
    }
}
