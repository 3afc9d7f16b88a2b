//! Where a fiber stands: return addresses, and the names of the calls.

use std::ffi::c_void;
use std::fmt;
use std::ptr;

/// The calls that a fiber is in, innermost first.
///
/// Captured as bare addresses, which is cheap. `Display` resolves them to names and lines, which is
/// slow (0.2 s the first time, when it reads the program's debug information): print it where no
/// client waits. The scheduler's own calls at the beginning and the end of every fiber's stack are
/// left out.
///
/// ```
/// use straightline_sched as sched;
///
/// fn waits_here() {
///     sched::park();
/// }
///
/// sched::run(|| {
///     sched::spawn(waits_here);
///     sched::yield_now();
///     let fibers = sched::inspect_with_backtraces(10);
///     let parked = fibers.iter().find_map(|fiber| fiber.backtrace.clone()).unwrap();
///     // Names are resolved elsewhere, where that keeps no fiber waiting.
///     let text = std::thread::spawn(move || parked.to_string()).join().unwrap();
///     assert!(text.contains("waits_here"));
/// });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backtrace {
    addresses: Vec<usize>,
}

impl Backtrace {
    pub(crate) fn new(addresses: Vec<usize>) -> Self {
        Self { addresses }
    }

    /// Captures the calls of the calling code.
    pub(super) fn capture() -> Self {
        let mut addresses = Vec::with_capacity(FRAMES_EXPECTED);
        backtrace::trace(|frame| {
            let address: *mut c_void = frame.ip();
            addresses.push(address.addr());
            addresses.len() < FRAMES_MAX
        });
        Self { addresses }
    }

    /// The return addresses, innermost first.
    pub(crate) fn addresses(&self) -> &[usize] {
        &self.addresses
    }

    /// Whether no call is known.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }
}

impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = 0;
        for call in self.addresses.iter().flat_map(|address| resolve(*address)) {
            if call.is_root() {
                break;
            }
            if call.is_wrapping() {
                continue;
            }
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{number:4}: {call}")?;
            number += 1;
        }
        Ok(())
    }
}

/// A call, in words.
pub(crate) struct Call {
    /// Its path; empty if it has none.
    pub(crate) name: String,
    /// Its source, as far as that is known.
    pub(crate) file: Option<String>,
    line: Option<u32>,
}

impl Call {
    /// Whether it is the call where a fiber's own calls end.
    pub(crate) fn is_root(&self) -> bool {
        ROOT_FRAMES.iter().any(|root| self.name.contains(root))
    }

    /// Whether its source is that file of this crate. (For an inlined call the name may be only the
    /// last part of its path.)
    pub(crate) fn is_in(&self, source: &str) -> bool {
        let folder = file!().trim_end_matches("fiber/backtrace.rs");
        let file = self.file.as_deref().and_then(|file| file.split_once(folder));
        file.is_some_and(|(_, rest)| rest.starts_with(source))
    }

    /// Whether it is one of the scheduler's calls that every fiber's stack begins and ends with.
    fn is_wrapping(&self) -> bool {
        OWN_FRAMES.iter().any(|own| self.name.contains(own))
            || OWN_SOURCES.iter().any(|source| self.is_in(source))
            || self
                .file
                .as_ref()
                .is_some_and(|file| FOREIGN_SOURCES.iter().any(|it| file.contains(it)))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "\n             at {file}:{line}"),
            _ => Ok(()),
        }
    }
}

/// The call that returns to that address, and before it the calls that were inlined into it,
/// innermost first.
pub(crate) fn resolve(address: usize) -> Vec<Call> {
    let mut calls = Vec::new();
    // This runs under a lock of the process: no code of the user may run here, and nothing may
    // wait.
    backtrace::resolve(ptr::without_provenance_mut(address), |symbol| {
        let name = symbol.name().map(|name| format!("{name:#}")).unwrap_or_default();
        let file = symbol.filename().map(|file| file.display().to_string());
        calls.push(Call { name, file, line: symbol.lineno() });
    });
    calls
}

/// Where a fiber's own calls end.
const ROOT_FRAMES: [&str; 2] = ["coroutine_func", "stack_init_trampoline"];

/// The switch, the taking of a backtrace, and the wrappers around a closure.
const OWN_FRAMES: [&str; 14] = [
    "straightline_sched::fiber::",
    "straightline_sched::core::contain::",
    "straightline_sched::core::park::",
    "straightline_sched::core::local::",
    "straightline_sched::core::spawn::",
    "straightline_sched::watchdog::",
    "signal_hook_registry",
    "backtrace::backtrace::",
    "__restore_rt",
    "__rust_try",
    "panic::catch_unwind",
    "panicking::catch_unwind",
    "panic::unwind_safe::AssertUnwindSafe",
    "core::ops::function::FnOnce",
];

/// The sources of these calls, in this crate and elsewhere.
const OWN_SOURCES: [&str; 6] =
    ["fiber/", "core/contain.rs", "core/park.rs", "core/local.rs", "core/spawn.rs", "watchdog/"];
const FOREIGN_SOURCES: [&str; 5] = [
    "/backtrace-0.3",
    "library/core/src/ops/function.rs",
    "library/core/src/panic/unwind_safe.rs",
    "library/std/src/panic.rs",
    "library/std/src/panicking.rs",
];

/// Enough for a handler in a framework; a longer backtrace allocates.
const FRAMES_EXPECTED: usize = 48;
/// For a runaway recursion the innermost calls are enough.
const FRAMES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_left_out_is_named_as_it_is_now() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let modules =
            OWN_FRAMES.iter().filter_map(|name| name.strip_prefix("straightline_sched::"));
        let modules: Vec<_> =
            modules.map(|path| path.trim_end_matches("::").replace("::", "/")).collect();
        assert!(!modules.is_empty());
        for module in modules {
            let is_there = sources.join(&module).is_dir()
                || sources.join(&module).with_extension("rs").is_file();
            assert!(is_there, "there is no module {module}");
        }
        for source in OWN_SOURCES {
            assert!(sources.join(source).exists(), "there is no {source}");
        }
    }
}
