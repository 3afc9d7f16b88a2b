//! The program's code that is told of a server's events.
//!
//! The panic hook prints a panic of an observer, and the panic goes no further. Only a cancel of
//! the fiber that emits the event passes through.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use straightline_sched::{is_cancel, stderr};

use super::events::{Event, Hooks};

/// The observers of a server, in the order in which they were added.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn Hooks>>);

impl Observers {
    pub(crate) fn add(&mut self, hooks: impl Hooks) {
        self.0.push(Arc::new(hooks));
    }

    /// Tells all of them of an event. Without any, only what is reported nowhere else is printed.
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
            all => all.iter().for_each(|hooks| emit_to(&**hooks, event)),
        }
    }
}

fn emit_to(hooks: &dyn Hooks, event: &Event<'_>) {
    let told = catch_unwind(AssertUnwindSafe(|| hooks.on_event(event)));
    match told {
        Err(payload) if is_cancel(&*payload) => resume_unwind(payload),
        // The panic hook has printed it, and what the event is about goes on.
        Err(payload) => {
            // Its destructor is the hook's code as well.
            let dropped = catch_unwind(AssertUnwindSafe(move || drop(payload)));
            dropped.unwrap_or_else(mem::forget);
        }
        Ok(()) => {}
    }
}

/// How long an event on standard error may take to be written, as it may be the last of the
/// process. Arbitrary: far more than it takes if a program reads.
const WRITE_TIME: Duration = Duration::from_millis(50);
