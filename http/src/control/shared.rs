//! A server without its handler: what its shards, handles, signal thread and watchdog share.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use straightline_sched::sync::FlagReader;
#[cfg(feature = "_tls")]
use straightline_tls::TlsConfigError;

use super::loans::Loans;
use super::memory::Memory;
use super::peers::PeerCounts;
use super::renewals::Renewals;
use super::shards::Shards;
use super::shutdown::Shutdown;
use super::slot::Slot;
use super::socket_file::SocketFile;
use crate::config::{Address, Config, Descriptors, Phase};
use crate::systemd::Manager;
#[cfg(feature = "_tls")]
use crate::telemetry::TlsNumbers;
use crate::telemetry::{AccessLog, Event, Observers, PartRegistry};

/// A server without its handler.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) observers: Observers,
    /// The addresses that it listens on.
    pub(crate) local: Vec<Address>,
    pub(crate) access_log: Option<Arc<AccessLog>>,
    pub(crate) shards: Shards,
    /// Which shards accept from the listeners of which other shards.
    pub(crate) loans: Loans,
    pub(crate) peers: PeerCounts,
    pub(crate) renewals: Renewals,
    pub(crate) memory: Arc<Memory>,
    /// What parts above the server count.
    pub(crate) parts: PartRegistry,
    shutdown: Shutdown,
    /// Not all shards have started: none accepts yet, because clients could take the descriptors
    /// that another shard starts with.
    is_starting: AtomicBool,
    /// What is counted about TLS.
    #[cfg(feature = "_tls")]
    pub(crate) tls_numbers: TlsNumbers,
    /// The files of its Unix sockets, until the port closes.
    socket_files: Mutex<Vec<SocketFile>>,
    /// How many stuck shards were replaced.
    replacements: AtomicU64,
    /// How many fibers did not end when they were cancelled, and were abandoned.
    abandoned: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        observers: Observers,
        local: Vec<Address>,
        socket_files: Vec<SocketFile>,
        workers: usize,
        access_log: Option<Arc<AccessLog>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shards: Shards::new(workers, &config),
            memory: Memory::new(config.capacity.memory_bytes),
            config,
            observers,
            local,
            access_log,
            loans: Loans::default(),
            peers: PeerCounts::default(),
            renewals: Renewals::default(),
            parts: PartRegistry::default(),
            shutdown: Shutdown::default(),
            is_starting: AtomicBool::new(false),
            #[cfg(feature = "_tls")]
            tls_numbers: TlsNumbers::default(),
            socket_files: Mutex::new(socket_files),
            replacements: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
        })
    }

    /// The server starts to serve.
    pub(crate) fn report_start(&self) {
        let Descriptors { limit, raised_from } = self.config.descriptors;
        let connections = self.config.capacity.connections;
        self.observers.emit(&Event::Started { connections, descriptors: limit, raised_from });
        #[cfg(feature = "_tls")]
        self.report_tls_warnings();
    }

    /// Whether the listeners speak TLS.
    pub(crate) fn is_secure(&self) -> bool {
        #[cfg(feature = "_tls")]
        let is_secure = self.config.tls.is_some();
        #[cfg(not(feature = "_tls"))]
        let is_secure = {
            let _ = self;
            false
        };
        is_secure
    }

    /// Reads the certificates again, if the server has any, and reports the outcome.
    #[cfg(feature = "_tls")]
    pub(crate) fn reload_tls(&self) -> Result<(), TlsConfigError> {
        let Some(config) = &self.config.tls else { return Ok(()) };
        let outcome = config.reload();
        self.tls_numbers.record_reload(outcome.is_ok());
        match &outcome {
            Ok(()) => {
                self.observers.emit(&Event::TlsReloaded);
                self.report_tls_warnings();
            }
            Err(error) => self.observers.emit(&Event::TlsReloadFailed { error }),
        }
        outcome
    }

    #[cfg(feature = "_tls")]
    fn report_tls_warnings(&self) {
        if let Some(config) = &self.config.tls {
            let warnings = config.warnings();
            let emit = |warning| self.observers.emit(&Event::TlsWarned { warning });
            warnings.iter().for_each(emit);
        }
    }

    /// Lets the service manager know something, if there is one.
    pub(crate) fn tell_manager(&self, tell: impl FnOnce(&Manager)) {
        if let Some(manager) = &self.config.manager {
            tell(manager);
        }
    }

    /// One more shard serves. If all do, the server is ready.
    pub(crate) fn record_running(&self) {
        let is_running = |slot: &Arc<Slot>| slot.scheduler().is_some();
        if self.config.manager.is_some()
            && self.phase() == Phase::Serving
            && self.shards.all().iter().all(is_running)
        {
            self.tell_manager(|manager| manager.record_ready(&self.status()));
        }
    }

    /// What the server does, in a line for its service manager.
    pub(crate) fn status(&self) -> String {
        let addresses: Vec<_> = self.local.iter().map(Address::to_string).collect();
        format!("serving on {}", addresses.join(", "))
    }

    pub(crate) fn is_starting(&self) -> bool {
        self.is_starting.load(Ordering::SeqCst)
    }

    /// The shards start, or have started: then all of them begin to accept.
    pub(crate) fn set_starting(&self, is_starting: bool) {
        self.is_starting.store(is_starting, Ordering::SeqCst);
        if !is_starting {
            self.shards.all().iter().for_each(|slot| slot.wake());
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.shutdown.phase()
    }

    /// Set when the drain begins.
    pub(crate) fn draining(&self) -> FlagReader {
        self.shutdown.draining()
    }

    /// When the shutdown began, if it has.
    pub(crate) fn shutdown_since(&self) -> Option<Instant> {
        self.shutdown.since()
    }

    /// Begins the shutdown; a second call force-closes.
    pub(crate) fn shutdown(&self) {
        match self.phase() {
            Phase::Serving => self.begin_shutdown(),
            Phase::Unready | Phase::Draining | Phase::ForceClosing => {
                self.advance(Phase::ForceClosing);
            }
        }
    }

    /// Begins the shutdown, if it has not begun.
    pub(crate) fn begin_shutdown(&self) {
        let has_delay = !self.config.ready_delay.is_zero();
        self.advance(if has_delay { Phase::Unready } else { Phase::Draining });
    }

    /// Moves to the phase `to`; does nothing if that phase has been reached already.
    pub(crate) fn advance(&self, to: Phase) {
        if !self.shutdown.advance(to) {
            return;
        }
        let event = Event::ShutdownAdvanced { phase: to };
        self.tell_manager(|manager| manager.record_stopping(&event.to_string()));
        self.observers.emit(&event);
        if to >= Phase::Draining {
            self.remove_socket_files();
        }
        for slot in self.shards.all() {
            if to >= Phase::Draining {
                // The port closes when the last copy of its listeners does.
                slot.close_copies();
            }
            slot.wake();
        }
    }

    pub(crate) fn shutdown_if_serving(&self) {
        if self.phase() <= Phase::Unready {
            self.advance(Phase::Draining);
        }
    }

    /// From now on no further client finds the Unix sockets.
    pub(crate) fn remove_socket_files(&self) {
        let files = mem::take(&mut *self.socket_files.lock());
        drop(files); // after the lock was released
    }

    /// A listener of that shard has failed. If the server has no other listener, it shuts down.
    pub(crate) fn listener_failed(&self, slot: &Slot, address: &Address, error: &io::Error) {
        slot.lose_listener();
        let is_left = self.shards.all().iter().any(|slot| slot.has_listener());
        if is_left || self.phase() >= Phase::Draining {
            return;
        }
        let message = format!("no listener is left; the last was on {address}: {error}");
        self.shutdown.record_failure(io::Error::new(error.kind(), message));
        self.shutdown_if_serving();
    }

    /// The server ends because of this fault.
    pub(crate) fn record_failure(&self, failure: io::Error) {
        self.shutdown.record_failure(failure);
    }

    /// Why the server ends by itself, if it does.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.shutdown.take_failure()
    }

    /// A shard that is stuck has been replaced.
    pub(crate) fn record_replacement(&self) {
        self.replacements.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn replacements(&self) -> u64 {
        self.replacements.load(Ordering::Relaxed)
    }

    /// A fiber was abandoned.
    pub(crate) fn record_abandoned(&self) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }
}
