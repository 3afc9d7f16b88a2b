//! The report of a stack overflow, which names the fiber.
//!
//! A fiber that overflows its stack runs into the guard below it, which ends the process: its heap
//! objects and its locks are in the middle of a change, so it cannot go on. Without this file the
//! process would end without a message, because std's handler knows only the stacks of threads.
//!
//! The handler of SIGSEGV (and SIGBUS, which some systems send instead) runs on an alternate stack,
//! since the fiber's is full. It may interrupt any code, so it only reads what this thread wrote
//! before it switched to the fiber; it borrows nothing, allocates nothing, and writes with
//! write(2). Then, and for any other fault at once, it calls the former handler: std's in a Rust
//! program, which lets the process die of the signal.

use std::fmt::{self, Write};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Once, OnceLock};

use libc::{c_int, c_void, siginfo_t};

use super::cell::FiberCell;
use super::memory::{Guards, Region, guard_bytes};
use super::peek::peek;
use super::running::with_running;
use crate::signal_mask::unblock_signals;

/// Reports overflows of this thread's fibers until it is dropped.
///
/// # Errors
///
/// When there is no memory for an alternate signal stack.
pub(crate) fn watch() -> io::Result<Watch> {
    static INSTALLED: Once = Once::new();
    let alternate_stack = AlternateStack::install()?;
    INSTALLED.call_once(|| SIGNALS.iter().for_each(install));
    // If the fault's signal is blocked, the process dies without a message; the watchdog needs
    // SIGURG.
    unblock_signals(&[libc::SIGSEGV, libc::SIGBUS, libc::SIGURG])?;
    Ok(Watch { _alternate_stack: alternate_stack })
}

/// Keeps the thread's signal stack.
pub(crate) struct Watch {
    _alternate_stack: AlternateStack,
}

/// The stack for signal handlers of this thread. std gives one to the threads that it starts, but
/// of 8 KiB only: the watchdog's handler, which walks a stack, would have no room there.
struct AlternateStack {
    /// The stack that the thread had before.
    previous: libc::stack_t,
    /// `None` once it is unmapped.
    region: Option<Region>,
}

/// A signal, and its former handler.
struct Signal {
    number: c_int,
    previous: OnceLock<libc::sigaction>,
}

static SIGNALS: [Signal; 2] = [
    Signal { number: libc::SIGSEGV, previous: OnceLock::new() },
    Signal { number: libc::SIGBUS, previous: OnceLock::new() },
];

/// If the system refuses, there is no report; that is no reason to refuse to run.
fn install(signal: &Signal) {
    let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the call only asks, and `previous` has room for the answer.
    if unsafe { libc::sigaction(signal.number, ptr::null(), previous.as_mut_ptr()) } != 0 {
        return;
    }
    // SAFETY: the call has filled it in, and all zeros would be a valid value too.
    let previous = unsafe { previous.assume_init() };
    // Before the handler can run and read it.
    if signal.previous.set(previous).is_err() {
        return;
    }
    // SAFETY: all zeros is a valid value of this structure: the default action, no flags.
    let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_fault;
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the action names a handler of the type that its flags say, which does only what a
    // handler may do.
    let _ = unsafe { libc::sigaction(signal.number, &raw const action, ptr::null_mut()) };
}

extern "C" fn on_fault(number: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid structure to a handler that asks for it.
    let info_ref = unsafe { &*info };
    // Only the kernel's own faults come with an address.
    if info_ref.si_code > 0 {
        // SAFETY: the signal is one of a fault, as the line above checks.
        let address = unsafe { info_ref.si_addr() }.addr();
        with_running(|fiber| report_if_overflow(fiber, address));
    }
    pass_on(number, info, context);
}

/// Hands the signal to the former handler.
fn pass_on(number: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let signal = SIGNALS.iter().find(|signal| signal.number == number);
    let previous = signal.and_then(|signal| signal.previous.get());
    match previous.map(|previous| (previous.sa_sigaction, previous)) {
        Some((handler, previous)) if handler != libc::SIG_DFL && handler != libc::SIG_IGN => {
            if previous.sa_flags & libc::SA_SIGINFO == 0 {
                // SAFETY: without that flag the action's handler has this type.
                let handler: extern "C" fn(c_int) =
                    unsafe { std::mem::transmute::<usize, _>(handler) };
                handler(number);
            } else {
                // SAFETY: with that flag the action's handler has this type.
                let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                    unsafe { std::mem::transmute::<usize, _>(handler) };
                handler(number, info, context);
            }
        }
        // The default action; a fault cannot be ignored. The instruction faults again after the
        // return, and that ends the process.
        _ => {
            // SAFETY: the default action can always be chosen.
            let _ = unsafe { libc::signal(number, libc::SIG_DFL) };
        }
    }
}

/// Reports an overflow if `address` lies in the guard of the fiber's stack.
fn report_if_overflow(fiber: &FiberCell, address: usize) {
    let stack = fiber.switch.stack();
    let end = stack.base() - stack.bytes();
    if !(end - guard_bytes()..end).contains(&address) {
        return;
    }
    let (mut line, at) = (Line::new(), fiber.spawn_info.spawned_at);
    // A line that is too long loses its end; nothing else can go wrong.
    let _ = line.write_str("\nstraightline: ");
    match fiber.name() {
        Some(name) => {
            let _ = write!(line, "fiber `{}`", name.escape_debug());
        }
        None => {
            let _ = line.write_str("an unnamed fiber");
        }
    }
    let _ = write!(line, " (spawned at {}:{}:{})", at.file(), at.line(), at.column());
    peek(&fiber.label, |label| {
        let Some(label) = label else { return };
        label.read(|label| {
            let _ = write!(line, ", at `{}`,", label.escape_ascii());
        });
    });
    let kib = stack.bytes() / 1024;
    let _ = writeln!(line, " overflowed its stack of {kib} KiB; give it more with `stack_bytes`");
    let bytes = line.written();
    let mut stderr = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // The reader may have stopped, and the process must end all the same.
    // SAFETY: it is one entry, which exists; and a handler may call poll.
    if unsafe { libc::poll(&raw mut stderr, 1, WRITE_TIME_MILLIS) } != 1 {
        return;
    }
    // SAFETY: that many bytes can be read.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len()) };
}

/// Text on the stack.
struct Line {
    bytes: [u8; LINE_BYTES],
    length: usize,
}

impl Line {
    fn new() -> Self {
        Self { bytes: [0; LINE_BYTES], length: 0 }
    }

    fn written(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LINE_BYTES - self.length;
        let count = text.len().min(room);
        self.bytes[self.length..self.length + count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        if count < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

impl AlternateStack {
    fn install() -> io::Result<Self> {
        let previous = current_alternate_stack()?;
        let region = Region::map(guard_bytes() + ALTERNATE_STACK_BYTES)?;
        let stack = Self { previous, region: Some(region) };
        let Some(region) = &stack.region else { unreachable!("set above") };
        // SAFETY: no code uses the region yet.
        unsafe { region.guard(0..guard_bytes(), Guards::Mappings) }?;
        let description = libc::stack_t {
            ss_sp: ptr::with_exposed_provenance_mut(region.start() + guard_bytes()),
            ss_flags: 0,
            ss_size: ALTERNATE_STACK_BYTES,
        };
        // SAFETY: the memory is mapped, no other code uses it, and it stays until it is taken back.
        if unsafe { libc::sigaltstack(&raw const description, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        let Some(region) = self.region.take() else { return };
        let Ok(current) = current_alternate_stack() else { return };
        if current.ss_sp.addr() == region.start() + guard_bytes() {
            let none = libc::stack_t { ss_flags: libc::SS_DISABLE, ..current };
            let had_one = self.previous.ss_flags & libc::SS_DISABLE == 0;
            let previous = if had_one { self.previous } else { none };
            // SAFETY: it was the thread's before: either none, or one that its owner keeps for the
            // thread's life.
            if unsafe { libc::sigaltstack(&raw const previous, ptr::null_mut()) } != 0 {
                return;
            }
        }
        // SAFETY: this thread's signals no longer use it, and no other thread ever did.
        let _ = unsafe { region.unmap() };
    }
}

fn current_alternate_stack() -> io::Result<libc::stack_t> {
    let mut stack = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    // SAFETY: the call only asks, and `stack` has room for the answer.
    if unsafe { libc::sigaltstack(ptr::null(), &raw mut stack) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(stack)
}

/// Longer than a path and a half. A pipe that can be written to has room for as much.
const LINE_BYTES: usize = 1024;

/// How long the end of the process waits for room to write the reason. Arbitrary.
const WRITE_TIME_MILLIS: c_int = 100;

/// Arbitrary: the kernel saves up to 12 KiB on the largest processors, and walking a stack takes 8
/// KiB more.
const ALTERNATE_STACK_BYTES: usize = 64 * 1024;
