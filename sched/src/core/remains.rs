//! The remains of given-up fibers: frames that stay for ever, and a thread that must stay as well.
//!
//! The frames of such a fiber have neither returned nor unwound, so everything that they lent is
//! still lent: their own variables, which stay where they are, but also thread-locals.
//! `KEY.with(|value| std::thread::scope(...))` lends a thread's value to another thread, and relies
//! on its own code to come back before the thread ends. No code can find out whether there is such
//! a borrow. So a thread that ran a shard with remains does not destroy its thread-locals: a guard,
//! which is a destructor of a thread-local itself and runs before all others, waits there for ever.
//!
//! **The first destructor.** glibc calls the destructors of a thread in the reverse order of their
//! registration, and std registers those of its thread-locals there. The guard is registered when
//! the shard is gone. Values that the frames may have borrowed were made before, and would be
//! destroyed behind the guard, that is, never. The frames cannot have borrowed values that are made
//! later. On other systems the guard is a thread-local, for which std promises no order. It cannot
//! be registered a second time, so there a thread with remains runs no further shard. Where a
//! system has both, the environment variable `STRAIGHTLINE_THREAD_END` chooses (`registered` or
//! `thread-local`), so that the tests on one system cover the other systems; it is meant for
//! nothing else.
//!
//! **The end of the process** destroys the thread-locals of the thread that calls `exit`, which a
//! return from `main` does as well. If that thread has remains, it must not wait for ever: it goes
//! on if the process has no other thread that could have borrowed something, and otherwise ends the
//! process at once.

use std::cell::Cell;
use std::env;
use std::ffi::c_void;
use std::io::{self, Write};
use std::ptr;
use std::thread;
use std::time::Duration;

use crate::watchdog;

thread_local! {
    static IS_KEPT: Cell<bool> = const { Cell::new(false) };
}

/// Makes the calling thread never end: frames on it stay.
pub(super) fn keep_thread() {
    IS_KEPT.set(true);
    // `check` refused an unknown value before the thread's first shard.
    match Guard::chosen().unwrap_or(Guard::OF_THIS_SYSTEM) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        Guard::Registered => registered::arm(),
        Guard::ThreadLocal => THREAD_LOCAL.with(|_| ()), // the first use registers it
    }
}

/// Whether the calling thread never ends.
pub(crate) fn is_kept() -> bool {
    IS_KEPT.get()
}

/// Whether the calling thread may run a shard.
///
/// # Errors
///
/// If it has remains of an earlier shard, and cannot be kept a second time.
pub(crate) fn check() -> io::Result<()> {
    if Guard::chosen()? == Guard::ThreadLocal && is_kept() {
        let text = "fibers were abandoned on this thread: it can run no more of them";
        return Err(io::Error::other(text));
    }
    Ok(())
}

/// Checks the choice of the environment.
///
/// # Errors
///
/// `InvalidInput` if the value is unknown.
pub(super) fn check_guard() -> io::Result<()> {
    Guard::chosen().map(drop)
}

/// How a thread is kept from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    /// A destructor that is registered with glibc; any number of times.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    Registered,
    /// The destructor of [`THREAD_LOCAL`]; once for each thread.
    ThreadLocal,
}

impl Guard {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    const OF_THIS_SYSTEM: Self = Self::Registered;
    #[cfg(any(
        all(target_os = "linux", target_env = "musl"),
        target_os = "macos",
        target_os = "freebsd"
    ))]
    const OF_THIS_SYSTEM: Self = Self::ThreadLocal;

    /// # Errors
    ///
    /// If the environment names an unknown one.
    fn chosen() -> io::Result<Self> {
        let Some(value) = env::var_os(VARIABLE) else { return Ok(Self::OF_THIS_SYSTEM) };
        match value.to_str() {
            #[cfg(all(target_os = "linux", target_env = "gnu"))]
            Some("registered") => Ok(Self::Registered),
            Some("thread-local") => Ok(Self::ThreadLocal),
            _ => {
                let message = format!(
                    "straightline: {VARIABLE} is `{}`; it may be {VALUES}, or not set at all",
                    value.display()
                );
                Err(io::Error::new(io::ErrorKind::InvalidInput, message))
            }
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod registered {
    use std::ffi::{c_int, c_void};
    use std::ptr;

    unsafe extern "C" {
        /// Registers `destructor` to be called with `object` when the calling thread ends, before
        /// those that were registered earlier. `library` is an address in the library that must not
        /// be unloaded until then.
        fn __cxa_thread_atexit_impl(
            destructor: extern "C" fn(*mut c_void),
            object: *mut c_void,
            library: *mut c_void,
        ) -> c_int;
    }

    static HERE: u8 = 0;

    pub(super) fn arm() {
        let here = ptr::from_ref(&HERE).cast_mut().cast();
        // SAFETY: the destructor accepts any argument, does not unwind, and is in the same library
        // as `here`. The call allocates, and ends the process if there is no memory.
        let _ = unsafe { __cxa_thread_atexit_impl(on_end, ptr::null_mut(), here) };
    }

    extern "C" fn on_end(_: *mut c_void) {
        super::thread_ends();
    }
}

struct ThreadLocal;

impl Drop for ThreadLocal {
    fn drop(&mut self) {
        thread_ends();
    }
}

thread_local! {
    static THREAD_LOCAL: ThreadLocal = const { ThreadLocal };
}

/// Called when the thread would destroy its thread-locals.
fn thread_ends() {
    let caller = thread::current();
    let caller = match caller.name() {
        Some(name) => format!("the thread `{name}`"),
        None => "a thread without a name".to_owned(),
    };
    if !does_process_exit() {
        print(&format!(
            "{caller} does not end: fibers were abandoned on it, and what they lent may be in \
             use"
        ));
        loop {
            thread::sleep(Duration::MAX);
        }
    }
    if !watchdog::is_only_thread() {
        print(&format!(
            "the process ends with status {EXIT_STATUS}: fibers were abandoned on {caller}, and \
             other threads may still use what they lent"
        ));
        // SAFETY: the argument is a number, and no code of the process runs any more.
        unsafe { libc::_exit(EXIT_STATUS) };
    }
}

fn print(text: &str) {
    // If standard error is closed, nothing can be printed.
    let _ = writeln!(io::stderr(), "straightline: {text}");
}

/// Whether the thread is in `exit`, and not at its own end.
fn does_process_exit() -> bool {
    if watchdog::is_main_thread() {
        return true; // it might succeed without, but hardly ever does
    }
    let exit: unsafe extern "C" fn(i32) -> ! = libc::exit;
    let exit: *mut c_void = ptr::with_exposed_provenance_mut(exit as usize);
    let mut is_found = false;
    backtrace::trace(|frame| {
        is_found = ptr::eq(frame.symbol_address(), exit);
        !is_found
    });
    is_found
}

/// `EX_SOFTWARE` of `sysexits.h`: an internal error was found.
const EXIT_STATUS: i32 = 70;

const VARIABLE: &str = "STRAIGHTLINE_THREAD_END";

#[cfg(all(target_os = "linux", target_env = "gnu"))]
const VALUES: &str = "`registered` or `thread-local`";
#[cfg(any(
    all(target_os = "linux", target_env = "musl"),
    target_os = "macos",
    target_os = "freebsd"
))]
const VALUES: &str = "`thread-local`";
