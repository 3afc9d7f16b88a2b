//! Where a panic came from: only the panic hook is told, and what is caught does not say.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    /// Of the thread's last panic. Between it and the catch no other fiber runs.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Has the places of panics noted from now on, before whatever hook there is.
pub(super) fn note_places() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PLACE.with_borrow_mut(|place| *place = info.location().map(ToString::to_string));
            next(info);
        }));
    });
}

/// Where the panic came from that was just caught.
pub(crate) fn take_place() -> Option<String> {
    PLACE.take()
}
