//! The program's code that gets a server's events.
//!
//! The panic hook prints a panic of an observer, and the panic goes no further. Only a cancel of
//! the fiber that emits the event passes through.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use straightline_sched::{is_cancel, stderr};

use super::events::{Event, Observer};
use super::finished_request::FinishedRequest;

/// The observers of a server, in the order in which they were added.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: impl Observer) {
        self.0.push(Arc::new(observer));
    }

    /// Whether an observer wants an event for each finished request.
    pub(crate) fn want_requests(&self) -> bool {
        self.0.iter().any(|observer| observer.wants_requests())
    }

    /// Calls the observers that want it with the event of a finished request.
    pub(crate) fn emit_finished(&self, request: &FinishedRequest<'_>) {
        let event = Event::RequestFinished(request);
        let wanting = self.0.iter().filter(|observer| observer.wants_requests());
        wanting.for_each(|observer| emit_to(&**observer, &event));
    }

    /// Calls all observers with an event. Without observers, prints only events that are reported
    /// nowhere else.
    #[inline]
    pub(crate) fn emit(&self, event: &Event<'_>) {
        match &self.0[..] {
            [] => {
                if let Event::FiberReported { .. }
                | Event::ShardStuck { .. }
                | Event::AllStuck { .. } = event
                {
                    stderr().put_through(format!("straightline: {event}\n"), WRITE_TIME);
                }
            }
            all => all.iter().for_each(|observer| emit_to(&**observer, event)),
        }
    }
}

fn emit_to(observer: &dyn Observer, event: &Event<'_>) {
    let result = catch_unwind(AssertUnwindSafe(|| observer.on_event(event)));
    match result {
        Err(payload) if is_cancel(&*payload) => resume_unwind(payload),
        // The panic hook has printed the panic. The caller goes on.
        Err(payload) => {
            // The payload's destructor is the observer's code as well.
            let dropped = catch_unwind(AssertUnwindSafe(move || drop(payload)));
            dropped.unwrap_or_else(mem::forget);
        }
        Ok(()) => {}
    }
}

/// How long the write of an event to standard error may take, as it may be the last output of the
/// process. Arbitrary: far more than it takes if a program reads.
const WRITE_TIME: Duration = Duration::from_millis(50);
