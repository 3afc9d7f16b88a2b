//! Clients on fibers of the calling thread: each repeats an exchange with a server until a
//! deadline.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline::sched;

/// The result of one run.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Exchanges that went as expected.
    pub(crate) exchanges: u64,
    pub(crate) errors: u64,
    /// The text of the first error.
    pub(crate) first_error: Option<String>,
}

/// Runs so many clients. Each gets the deadline, and counts its exchanges.
pub(crate) fn run(
    count: u16,
    time: Duration,
    client: impl Fn(Instant, &Cell<u64>) -> io::Result<()> + 'static,
) -> io::Result<Outcome> {
    let deadline = Instant::now() + time;
    sched::run(move || {
        let client = Rc::new(client);
        let (exchanges, outcome) = (Rc::<Cell<u64>>::default(), Rc::<RefCell<Outcome>>::default());
        let start = |_| {
            let (client, exchanges, outcome) =
                (Rc::clone(&client), Rc::clone(&exchanges), Rc::clone(&outcome));
            sched::spawn(move || {
                // A client that hangs ends a little later than the others, as an error.
                let patience = deadline.saturating_duration_since(Instant::now()) + GRACE;
                let error = match sched::deadline(patience, || client(deadline, &exchanges)) {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => error.to_string(),
                    Err(late) => late.to_string(),
                };
                let mut outcome = outcome.borrow_mut();
                outcome.errors += 1;
                outcome.first_error.get_or_insert(error);
            })
        };
        let clients: Vec<_> = (0..count).map(start).collect();
        for client in clients {
            client.join().map_err(io::Error::other)?;
        }
        Ok(Outcome { exchanges: exchanges.get(), ..outcome.take() })
    })
}

/// Counts an exchange.
pub(crate) fn count(exchanges: &Cell<u64>) {
    exchanges.set(exchanges.get() + 1);
}

/// How long a client may wait beyond the end. Arbitrary: a server under load answers in
/// milliseconds.
const GRACE: Duration = Duration::from_secs(5);
