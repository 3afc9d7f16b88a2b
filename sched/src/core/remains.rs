//! What fibers leave that were given up: frames that stay for ever, and a thread that must too.
//!
//! The frames of such a fiber were neither returned from nor unwound, so whatever they lent is
//! still lent: their own variables, which stay where they are, but also thread-locals.
//! `KEY.with(|value| std::thread::scope(...))` lends a thread's value to another thread, and
//! relies on it that its own code comes back before the thread ends. Nobody can know whether
//! there is such a borrow. So a thread that ran a shard with remains does not get to destroy its
//! thread-locals: a guard, which is a thread-local's destructor itself and comes before all
//! others, waits there for ever.
//!
//! **First of all.** glibc calls the destructors of a thread in the reverse order of their
//! registration, and std registers those of its thread-locals there. The guard is registered when
//! the shard is gone: what the frames may have borrowed was made before, and is destroyed behind
//! the guard, that is, never. What is made after it nobody has lent to them. Elsewhere the guard is
//! a thread-local, of which std says nothing better; it cannot be registered a second time, so
//! there a thread with remains runs no further shard. Where both are to be had, the environment
//! variable `STRAIGHTLINE_THREAD_END` chooses (`registered` or `thread-local`), so that the tests
//! of one system cover what others do; it is meant for nothing else.
//!
//! **The end of the process** destroys the thread-locals of the thread that calls `exit`, which a
//! return from `main` does as well. If that one has remains, it is not to wait for ever: it goes on
//! if there is nobody who could have borrowed something, and otherwise ends the process at once.

use std::cell::Cell;
use std::env;
use std::ffi::c_void;
use std::io::{self, Write};
use std::ptr;
use std::thread;
use std::time::Duration;

use crate::watch;

thread_local! {
    static IS_KEPT: Cell<bool> = const { Cell::new(false) };
}

/// Has the calling thread never end: there are frames on it that stay.
pub(super) fn keep_thread() {
    IS_KEPT.set(true);
    // A value that is none was refused by `check` before the thread's first shard.
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
/// Where it has remains of another one, and could not be kept again.
pub(crate) fn check() -> io::Result<()> {
    if Guard::chosen()? == Guard::ThreadLocal && is_kept() {
        let text = "fibers were given up on this thread: it can run no more of them";
        return Err(io::Error::other(text));
    }
    Ok(())
}

/// What keeps a thread from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    /// A destructor that glibc is given; as often as one likes.
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
    /// If the environment names one that there is not.
    fn chosen() -> io::Result<Self> {
        let Some(value) = env::var_os(VARIABLE) else { return Ok(Self::OF_THIS_SYSTEM) };
        match value.to_str() {
            #[cfg(all(target_os = "linux", target_env = "gnu"))]
            Some("registered") => Ok(Self::Registered),
            Some("thread-local") => Ok(Self::ThreadLocal),
            _ => {
                let value = value.display();
                let message = format!("straightline: there is no {VARIABLE}={value} here");
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
        /// Has `destructor` called with `object` when the calling thread ends, before those that
        /// were registered earlier. `library` is an address in the library that must not be
        /// unloaded until then.
        fn __cxa_thread_atexit_impl(
            destructor: extern "C" fn(*mut c_void),
            object: *mut c_void,
            library: *mut c_void,
        ) -> c_int;
    }

    static HERE: u8 = 0;

    pub(super) fn arm() {
        let here = ptr::from_ref(&HERE).cast_mut().cast();
        // SAFETY: the destructor takes whatever it is given, does not unwind, and is in the library
        // that `here` is in. The call takes memory, and ends the process if there is none.
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

/// The thread would destroy its thread-locals now.
fn thread_ends() {
    let caller = thread::current();
    let caller = match caller.name() {
        Some(name) => format!("the thread `{name}`"),
        None => "a thread without a name".to_owned(),
    };
    if !does_process_exit() {
        tell(&format!(
            "{caller} does not end: fibers were given up on it, and what they lent may still be in \
             use"
        ));
        loop {
            thread::sleep(Duration::MAX);
        }
    }
    if !watch::is_only_thread() {
        tell(&format!(
            "the process ends with status {EXIT_STATUS}: fibers were given up on {caller}, and \
             other threads may still use what they lent"
        ));
        // SAFETY: it takes a number, and nothing of the process runs any more.
        unsafe { libc::_exit(EXIT_STATUS) };
    }
}

fn tell(text: &str) {
    // A standard error that is closed is nobody's loss.
    let _ = writeln!(io::stderr(), "straightline: {text}");
}

/// Whether the thread is in `exit`, and not at its own end.
fn does_process_exit() -> bool {
    if watch::is_main_thread() {
        return true; // which could do without, but hardly ever does
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
