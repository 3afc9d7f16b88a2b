//! What a builder has collected, and how it becomes a server.

use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::available_parallelism;

use straightline_sched::{self as sched, sim};

use super::handler::{HandlerFactory, ServiceFactory};
use super::local::LocalServer;
use super::reject::rejection;
use super::running::Server;
use super::signals::{Handled, SignalThread};
use crate::config::{Capacity, Config, connections_for, raise_limit};
use crate::conn::{Around, ErrorResponder, Service, ShardHandler, Wrapper};
use crate::control::{OpenPorts, Port, Shared, open_all};
use crate::systemd::Manager;
use crate::telemetry::{AccessLog, AccessLogFormat, Event, Observers};

/// What a builder has collected.
pub(super) struct Plan {
    pub(super) ports: Vec<io::Result<Port>>,
    pub(super) config: Config,
    pub(super) observers: Observers,
    pub(super) access_log: Option<(AccessLogFormat, Box<dyn Write + Send>)>,
    pub(super) access_log_bytes: usize,
    pub(super) signals: Handled,
    pub(super) raises_descriptor_limit: bool,
    pub(super) tells_manager: bool,
    pub(super) wrappers: Vec<Arc<Wrapper>>,
    pub(super) errors: Option<Arc<ErrorResponder>>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            ports: Vec::new(),
            config: Config::default(),
            observers: Observers::default(),
            access_log: None,
            access_log_bytes: 4 << 20,
            signals: Handled::default(),
            raises_descriptor_limit: true,
            tells_manager: false,
            wrappers: Vec::new(),
            errors: None,
        }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("ports", &self.ports).finish_non_exhaustive()
    }
}

impl Plan {
    /// A server with threads, whose sockets are open.
    pub(super) fn build(mut self, make_handler: Arc<HandlerFactory>) -> io::Result<Server> {
        let workers = match self.config.workers {
            Some(workers) => workers.get(),
            None => available_parallelism()?.get(),
        };
        if !sim::is_simulated() {
            let driver = self.config.driver;
            sched::Config::default().with_driver(driver).check()?;
        }
        self.settle_descriptors();
        self.find_manager()?;
        let ports = mem::take(&mut self.ports);
        let OpenPorts { local, shards, files } =
            open_all(ports, workers, &self.config.listen_options())?;
        let access_log = self.start_access_log()?;
        let around = self.around();
        let factory: Arc<ServiceFactory> =
            Arc::new(move || Rc::new(Service::new(make_handler(), around.clone())));
        let shared = Shared::new(self.config, self.observers, local, files, workers, access_log);
        let signals = SignalThread::install(&shared, self.signals)?;
        Ok(Server::new(shared, factory, shards, signals))
    }

    fn start_access_log(&mut self) -> io::Result<Option<Arc<AccessLog>>> {
        let log = self
            .access_log
            .take()
            .map(|(format, writer)| AccessLog::start(format, writer, self.access_log_bytes));
        log.transpose()
    }

    /// What stands around the handler; also settles what follows from it.
    fn around(&mut self) -> Around {
        let wrappers = Arc::new(mem::take(&mut self.wrappers));
        let around = Around { wrappers, errors: self.errors.take() };
        self.config.has_wrappers = !around.wrappers.is_empty();
        self.config.rejection = rejection(&self.config.capacity, around.errors.as_deref());
        around
    }

    fn find_manager(&mut self) -> io::Result<()> {
        if self.tells_manager {
            let observers = self.observers.clone();
            let on_failure =
                move |error: &io::Error| observers.emit(&Event::NotifyFailed { error });
            let manager = Manager::from_environment(Box::new(on_failure))?;
            self.config.manager = manager.map(Arc::new);
        }
        Ok(())
    }

    fn settle_descriptors(&mut self) {
        let of_default = Capacity::default().connections;
        self.config.descriptors = raise_limit(self.raises_descriptor_limit);
        // The default was computed from the limit that can be reached, which may differ from the
        // limit now.
        if self.config.capacity.connections == of_default {
            self.config.capacity.connections = connections_for(self.config.descriptors.limit);
        }
    }

    /// A server on the calling fiber's shard.
    pub(super) fn build_local(mut self, handler: Box<ShardHandler>) -> io::Result<LocalServer> {
        if !self.ports.is_empty() {
            let message = "a local server has no listeners: it serves streams, see \
                           `ServerHandle::serve`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        #[cfg(feature = "_tls")]
        if self.config.tls.is_some() {
            let message = "a local server has no listeners that could speak TLS: give \
                           `ServerHandle::serve` a `TlsStream`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.settle_descriptors();
        self.find_manager()?;
        let service = Rc::new(Service::new(handler, self.around()));
        let access_log = self.start_access_log()?;
        let (config, observers) = (self.config, self.observers);
        let shared = Shared::new(config, observers, Vec::new(), Vec::new(), 1, access_log);
        let signals = SignalThread::install(&shared, self.signals)?;
        LocalServer::start(shared, service, signals)
    }
}
