//! The program's code that gets a server's events.
//!
//! The panic hook prints a panic of an observer, and the panic goes no further. Only a cancel of
//! the fiber that emits the event passes through.

use std::sync::Arc;

use super::events::{Event, Observer};
use super::fault_printer::FaultPrinter;
use super::finished_request::FinishedRequest;
use super::panics::contain;

/// The observers of a server, in the order in which they were added.
#[derive(Clone)]
pub(crate) struct Observers {
    all: Vec<Arc<dyn Observer>>,
    /// Tells faults if there are no observers.
    printer: Option<Arc<FaultPrinter>>,
}

impl Observers {
    pub(crate) fn add(&mut self, observer: impl Observer) {
        self.all.push(Arc::new(observer));
    }

    /// Whether an observer wants an event for each finished request.
    pub(crate) fn want_requests(&self) -> bool {
        self.all.iter().any(|observer| observer.wants_requests())
    }

    /// Calls the observers that want it with the event of a finished request.
    pub(crate) fn emit_finished(&self, request: &FinishedRequest<'_>) {
        let event = Event::RequestFinished(request);
        let wanting = self.all.iter().filter(|observer| observer.wants_requests());
        wanting.for_each(|observer| emit_to(&**observer, &event));
    }

    /// Without observers, nothing is told.
    pub(crate) fn be_quiet(&mut self) {
        self.printer = None;
    }

    /// Whether faults are printed on standard error.
    pub(crate) fn prints_faults(&self) -> bool {
        self.all.is_empty() && self.printer.is_some()
    }

    /// Calls all observers with an event. Without observers, a fault is printed.
    #[inline]
    pub(crate) fn emit(&self, event: &Event<'_>) {
        match &self.all[..] {
            [] => {
                if let Some(printer) = &self.printer {
                    contain(|| printer.on_event(event));
                }
            }
            all => all.iter().for_each(|observer| emit_to(&**observer, event)),
        }
    }
}

impl Default for Observers {
    fn default() -> Self {
        Self { all: Vec::new(), printer: Some(Arc::default()) }
    }
}

fn emit_to(observer: &dyn Observer, event: &Event<'_>) {
    contain(|| observer.on_event(event));
}
