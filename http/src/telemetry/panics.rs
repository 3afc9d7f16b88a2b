//! Where a panic happened, and what is printed about it: only the panic hook knows the place.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::fmt::Write;
use std::mem;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::sync::Once;
use std::thread;
use std::time::Duration;

use straightline_sched::{is_cancel, stderr};

thread_local! {
    /// The place of the thread's last panic. Between the panic and its catch no other fiber runs.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Records the places of panics from now on, and then calls the panic hook that was set before. If
/// `prints`, this library prints panics instead of that hook.
pub(crate) fn record_places(prints: bool) {
    static NOTES: Once = Once::new();
    static PRINTS: Once = Once::new();
    if prints {
        PRINTS.call_once(|| {
            panic::set_hook(Box::new(|info| {
                record_place(info);
                print(info);
            }));
        });
        NOTES.call_once(|| {});
        return;
    }
    NOTES.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            record_place(info);
            next(info);
        }));
    });
}

/// Runs code of the program whose panic goes no further, such as an observer, the `Display` of an
/// error, or a destructor; `None` if it panicked. The panic hook has printed the panic. A cancel of
/// the fiber passes through.
pub(crate) fn contain<T>(run: impl FnOnce() -> T) -> Option<T> {
    let payload = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => return Some(value),
        Err(payload) if is_cancel(&*payload) => resume_unwind(payload),
        Err(payload) => payload,
    };
    // The destructor of what a program panics with is code of the program as well.
    catch_unwind(AssertUnwindSafe(move || drop(payload))).unwrap_or_else(mem::forget);
    None
}

/// The message of a panic.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no message)")
}

fn record_place(info: &PanicHookInfo<'_>) {
    PLACE.with_borrow_mut(|place| *place = info.location().map(ToString::to_string));
}

/// Prints what std's hook prints, without waiting for a reader. The lines of the message are
/// indented, so that a client's text in it cannot look like a line of its own.
fn print(info: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let mut text = format!("thread '{}' panicked at ", thread.name().unwrap_or("<unnamed>"));
    // Writing to a string cannot fail, here and below.
    let _ = match info.location() {
        Some(place) => writeln!(text, "{place}:"),
        None => writeln!(text, "an unknown place:"),
    };
    let payload = info.payload();
    let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (_, Some(message)) => message.as_str(),
        (None, None) => "a value that is not a string",
    };
    for line in message.lines() {
        let _ = writeln!(text, "    {line}");
    }
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let _ = writeln!(text, "stack backtrace:\n{backtrace}");
    }
    stderr().put_through(text, WRITE_TIME);
}

/// The place of the panic that was just caught.
pub(crate) fn take_place() -> Option<String> {
    PLACE.take()
}

/// How long a panic waits until its text is written, as the process may abort afterwards.
/// Arbitrary: far more than it takes if a program reads.
const WRITE_TIME: Duration = Duration::from_millis(50);
