//! Faults on standard error, for a server whose program takes no events.
//!
//! An operator should not learn of a fault from the clients. So without a logger and without an
//! observer each fault of the program and of the machine is a line on standard error. What a client
//! did wrong is no such fault: those are counted, and told in one line a minute at most.
//!
//! Clients can cause faults as often as they like, so the lines of each kind are limited: some in
//! each interval, and then the number of those that were left out. There is no timer: that number
//! is told with a later event. All of it goes through the bounded queue of standard error, and no
//! thread waits for the reader, except for events behind which the process may end.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use straightline_sched::{now, sim, stderr};
#[cfg(feature = "_tls")]
use straightline_tls::HandshakeFailure;

use super::escaped::boundary_below;
use super::events::Event;
use super::plain::Plain;
use crate::config::Timeout;

/// Prints faults.
#[derive(Debug, Default)]
pub(crate) struct FaultPrinter {
    state: Mutex<State>,
    /// Something was left out, and is to be told later.
    owes: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    limited: [Limited; KINDS.len()],
    clients: ClientFaults,
}

/// The lines of one kind in the current interval.
#[derive(Clone, Copy, Debug, Default)]
struct Limited {
    since: Option<Instant>,
    printed: u32,
    left_out: u64,
}

/// What clients did wrong in the current interval.
#[derive(Clone, Copy, Debug, Default)]
struct ClientFaults {
    since: Option<Instant>,
    refused: u64,
    slow: u64,
    failed: u64,
    /// TLS handshakes.
    handshakes: u64,
}

/// How an event is told.
enum Telling {
    /// A line at once, also if it is the last output of the process.
    Through,
    /// A line, unless there were too many of this kind.
    Line(Kind),
    /// It is a fault of a client.
    Client(fn(&mut ClientFaults) -> &mut u64),
    /// It is no fault; what was left out may be told now.
    Later,
    /// The end of a shard: what was left out is told now.
    Last,
    Nothing,
}

/// The kinds of faults whose lines are limited.
#[derive(Clone, Copy)]
enum Kind {
    Panic,
    Response,
    HandlerTime,
    Accept,
    Overload,
    Memory,
    Busy,
    Other,
}

/// What is said about faults that were left out, in the order of [`Kind`].
const KINDS: [&str; 8] = [
    "handlers or background fibers panicked",
    "requests failed",
    "handlers took too long",
    "accepts failed",
    "clients were refused: there were too many",
    "clients were refused: they used too much memory",
    "shards were busy",
    "faults",
];

impl FaultPrinter {
    /// Prints the event if it is a fault.
    pub(super) fn on_event(&self, event: &Event<'_>) {
        let telling = telling(event);
        match telling {
            Telling::Nothing => return,
            Telling::Later if !self.owes.load(Ordering::Relaxed) => return,
            Telling::Through => {
                let text = format!("straightline: {}\n", Plain(event));
                stderr().put_through(text, WRITE_TIME);
                return;
            }
            _ => {}
        }
        // A simulation breaks things on purpose, thousands of times.
        if !sim::is_simulated() {
            self.lines(event, &telling, now()).into_iter().for_each(|line| {
                stderr().put(format!("straightline: {line}\n"));
            });
        }
    }

    fn lines(&self, event: &Event<'_>, telling: &Telling, now: Instant) -> Vec<String> {
        let (mut lines, has_own) = self.record(telling, now);
        if has_own {
            // Behind the lock: the text of an error is code of the program, and may wait.
            lines.push(line_of(event));
        }
        lines
    }

    /// Returns the lines about what was left out, and whether the event has a line of its own.
    fn record(&self, telling: &Telling, now: Instant) -> (Vec<String>, bool) {
        let (mut lines, mut has_own) = (Vec::new(), false);
        let mut state = self.state.lock();
        state.tell_left_out(now, matches!(telling, Telling::Last), &mut lines);
        match telling {
            Telling::Line(kind) => {
                let limited = &mut state.limited[*kind as usize];
                limited.since.get_or_insert(now);
                if limited.printed < LINES_MAX {
                    limited.printed += 1;
                    has_own = true;
                } else {
                    limited.left_out += 1;
                }
            }
            Telling::Client(count) => {
                state.clients.since.get_or_insert(now);
                *count(&mut state.clients) += 1;
            }
            _ => {}
        }
        self.owes.store(state.owes(), Ordering::Relaxed);
        (lines, has_own)
    }
}

/// The event as one line, of bounded length: an error's text may be of any length.
fn line_of(event: &Event<'_>) -> String {
    let mut line = Bounded(String::new());
    if write!(line, "{}", Plain(event)).is_err() {
        line.0.push_str("...");
    }
    line.0
}

/// A text that takes no more than [`LINE_BYTES_MAX`]; what is longer is an error.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = boundary_below(text, LINE_BYTES_MAX - self.0.len());
        self.0.push_str(&text[..end]);
        if end == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

impl State {
    fn owes(&self) -> bool {
        self.clients.since.is_some() || self.limited.iter().any(|limited| limited.left_out > 0)
    }

    /// Ends the intervals that are over, or all of them.
    fn tell_left_out(&mut self, now: Instant, is_last: bool, lines: &mut Vec<String>) {
        let is_over = |since: Option<Instant>, interval| {
            since.is_some_and(|since| is_last || now.saturating_duration_since(since) >= interval)
        };
        for (limited, what) in self.limited.iter_mut().zip(KINDS) {
            if is_over(limited.since, INTERVAL) {
                if limited.left_out > 0 {
                    lines.push(format!("and {} more {what}", limited.left_out));
                }
                *limited = Limited::default();
            }
        }
        if is_over(self.clients.since, CLIENTS_INTERVAL) {
            let faults = std::mem::take(&mut self.clients);
            let ClientFaults { refused, slow, failed, handshakes, .. } = faults;
            let handshakes = match handshakes {
                0 => String::new(),
                1 => ", 1 TLS handshake failed".to_owned(),
                count => format!(", {count} TLS handshakes failed"),
            };
            lines.push(format!(
                "faults of clients: {refused} requests were refused, {slow} clients were too slow, \
                 {failed} connections broke{handshakes}"
            ));
        }
    }
}

#[allow(clippy::match_same_arms)] // the arms are apart for their comments
fn telling(event: &Event<'_>) -> Telling {
    match event {
        Event::FiberReported { .. }
        | Event::ShardStuck { .. }
        | Event::AllStuck { .. }
        | Event::ListenerFailed { .. } => Telling::Through,
        Event::ConnectionOpened { .. } | Event::ConnectionClosed { .. } => Telling::Later,
        // The panic hook has printed it, with its place. It knows no request.
        Event::BackgroundPanicked { place: Some(_), .. } => Telling::Nothing,
        Event::HandlerPanicked { .. } | Event::BackgroundPanicked { .. } => {
            Telling::Line(Kind::Panic)
        }
        Event::ResponseFailed { .. } => Telling::Line(Kind::Response),
        Event::TimedOut { timeout: Timeout::Handler, .. } => Telling::Line(Kind::HandlerTime),
        Event::AcceptFailed { pause: Some(_), .. } => Telling::Line(Kind::Accept),
        Event::Overloaded { .. } | Event::ConnectionRejected { .. } => {
            Telling::Line(Kind::Overload)
        }
        Event::ShortOfMemory { .. } => Telling::Line(Kind::Memory),
        Event::ListenersLent { .. } => Telling::Line(Kind::Busy),
        Event::Reloaded { outcome: Some(Err(_)) }
        | Event::NotifyFailed { .. }
        | Event::ShardRenewed { .. } => Telling::Line(Kind::Other),
        Event::ShardDrained { force_closed: 1.., .. } => Telling::Line(Kind::Other),
        Event::ShardDrained { .. } => Telling::Last,
        Event::RequestRefused { .. } => Telling::Client(|clients| &mut clients.refused),
        // A connection may be idle for as long as it likes; the server closes it in good order.
        Event::TimedOut { timeout: Timeout::Idle, .. } => Telling::Nothing,
        Event::TimedOut { .. } => Telling::Client(|clients| &mut clients.slow),
        // The proxy and this server do not agree about the protocol: no client gets through.
        Event::ProxyHeaderRefused { .. } => Telling::Line(Kind::Other),
        Event::ConnectionFailed { .. } | Event::AcceptFailed { .. } => {
            Telling::Client(|clients| &mut clients.failed)
        }
        #[cfg(feature = "_tls")]
        Event::TlsHandshakeFailed { error, .. } => match error.failure() {
            HandshakeFailure::Overloaded => Telling::Line(Kind::Overload),
            // It may be a fault of this side.
            HandshakeFailure::Other => Telling::Line(Kind::Other),
            _ => Telling::Client(|clients| &mut clients.handshakes),
        },
        #[cfg(feature = "_tls")]
        Event::TlsReloadFailed { .. } | Event::TlsWarned { .. } => Telling::Line(Kind::Other),
        _ => Telling::Nothing,
    }
}

/// How many lines of one kind are printed in an interval. Arbitrary: enough to see a pattern.
const LINES_MAX: u32 = 5;

/// How long a line may be. Arbitrary: more than an operator reads.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// The interval of that limit. Arbitrary: an operator who looks sees that it goes on.
const INTERVAL: Duration = Duration::from_secs(10);

/// How often the faults of clients are told at most. Arbitrary: on the open internet there are
/// always some.
const CLIENTS_INTERVAL: Duration = Duration::from_secs(60);

/// How long the write of a line may take that may be the last output of the process. Arbitrary: far
/// more than it takes if a program reads.
const WRITE_TIME: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::io;

    use http::Method;

    use super::*;
    use crate::config::{Peer, Phase};

    /// Tells events at given seconds, and compares the lines.
    #[derive(Debug)]
    struct Trial {
        printer: FaultPrinter,
        begin: Instant,
    }

    impl Trial {
        fn new() -> Self {
            Self { printer: FaultPrinter::default(), begin: Instant::now() }
        }

        fn tell(&self, seconds: u64, event: &Event<'_>) -> Vec<String> {
            let now = self.begin + Duration::from_secs(seconds);
            self.printer.lines(event, &telling(event), now)
        }

        fn owes(&self) -> bool {
            self.printer.owes.load(Ordering::Relaxed)
        }
    }

    const OPENED: Event<'static> = Event::ConnectionOpened { peer: &Peer::Unix };
    const OVERLOADED: Event<'static> = Event::Overloaded { peer: &Peer::Unix };
    const LINE: &str = "unix: refused: too many requests in flight";

    #[test]
    fn a_flood_of_one_kind_is_some_lines_and_a_number() {
        let trial = Trial::new();
        for number in 0..1_000 {
            let expected: &[&str] = if number < 5 { &[LINE] } else { &[] };
            assert_eq!(trial.tell(number / 200, &OVERLOADED), expected);
        }
        // Another kind has lines of its own.
        let memory = Event::ShortOfMemory { peer: &Peer::Unix, held: 7 };
        let memory_line = "unix: refused: 7 bytes of memory are in use for clients";
        assert_eq!(trial.tell(9, &memory), [memory_line]);
        assert!(trial.owes());
        assert_eq!(trial.tell(9, &OPENED), [""; 0]);
        let more = "and 995 more clients were refused: there were too many";
        assert_eq!(trial.tell(10, &OPENED), [more]);
        assert!(!trial.owes());
        assert_eq!(trial.tell(11, &OVERLOADED), [LINE]);
    }

    #[test]
    fn faults_of_clients_are_one_line_a_minute() {
        let trial = Trial::new();
        let error = io::Error::from(io::ErrorKind::ConnectionReset);
        let failed = Event::ConnectionFailed { peer: &Peer::Unix, error: &error };
        let slow = Event::TimedOut { peer: &Peer::Unix, timeout: Timeout::BodyRate };
        for second in 0..59 {
            assert_eq!(trial.tell(second, &failed), [""; 0]);
            assert_eq!(trial.tell(second, &slow), [""; 0]);
        }
        let line = "faults of clients: 0 requests were refused, 59 clients were too slow, 59 \
                    connections broke";
        assert_eq!(trial.tell(60, &failed), [line]);
        // The last one is not lost at the end.
        let drained = Event::ShardDrained { shard: 0, force_closed: 0 };
        let line = line.replace("59", "0").replacen("0 connections", "1 connections", 1);
        assert_eq!(trial.tell(61, &drained), [line]);
        assert!(!trial.owes());
    }

    #[test]
    fn a_panic_is_told_with_its_request() {
        let trial = Trial::new();
        let panicked = |place| Event::HandlerPanicked {
            peer: &Peer::Unix,
            method: &Method::GET,
            target: "/\n",
            message: "no\nnumber",
            place,
        };
        let line = "unix: the handler of GET /\\n panicked at src/main.rs:1:1: no\\nnumber";
        assert_eq!(trial.tell(0, &panicked(Some("src/main.rs:1:1"))), [line]);
        // The hook has printed that of a fiber without a request.
        let place = Some("src/main.rs:1:1");
        let of_a_fiber = Event::BackgroundPanicked { message: "no", place };
        assert_eq!(trial.tell(9999, &of_a_fiber), [""; 0]);
    }

    /// An error whose text tells of another event, or is endless.
    #[derive(Debug)]
    struct Odd<'t>(Option<&'t Trial>);

    impl fmt::Display for Odd<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self.0 {
                Some(trial) => {
                    assert_eq!(trial.tell(0, &OVERLOADED), [LINE]);
                    f.write_str("told")
                }
                None => loop {
                    f.write_str("\u{e9}")?;
                },
            }
        }
    }

    impl std::error::Error for Odd<'_> {}

    #[test]
    fn the_text_of_an_error_holds_no_lock_and_is_cut() {
        let trial: &'static Trial = Box::leak(Box::new(Trial::new()));
        let fails = |error: &(dyn std::error::Error + 'static)| {
            let (peer, method) = (&Peer::Unix, &Method::GET);
            trial.tell(0, &Event::ResponseFailed { peer, method, target: "/", error })
        };
        assert_eq!(fails(&Odd(Some(trial))), ["unix: GET / failed: told"]);
        let [line] = &fails(&Odd(None))[..] else { panic!("one line") };
        assert!(line.len() <= LINE_BYTES_MAX + 3 && line.ends_with("\u{e9}..."), "{line}");
    }

    #[test]
    fn steps_and_idle_clients_are_no_faults() {
        let trial = Trial::new();
        for event in [
            Event::ShutdownAdvanced { phase: Phase::Draining },
            Event::TimedOut { peer: &Peer::Unix, timeout: Timeout::Idle },
            Event::Reloaded { outcome: Some(Ok(())) },
            Event::ConnectionEvicted { peer: &Peer::Unix },
            OPENED,
        ] {
            assert_eq!(trial.tell(0, &event), [""; 0]);
            assert!(!trial.owes());
        }
    }
}
