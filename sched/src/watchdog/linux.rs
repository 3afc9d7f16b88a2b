//! Where a stuck thread stands, sampled by a signal; and what the kernel tells of the thread.
//!
//! The monitor sends `SIGURG` to the one thread. Its default action is to be ignored, and terminals
//! and service managers do not send it. The handler runs on the stuck thread's alternate stack, in
//! the middle of the thread's work, so it only reads and stores numbers: the running fiber's name
//! and spawn location, and the return addresses of the stack. The monitor turns those into text on
//! its own thread. One sample is taken at a time.
//!
//! A signal ends many system calls early, with EINTR, which not every caller expects; with
//! `SA_RESTART` the kernel restarts only some of them. So the monitor sends it only to a thread
//! that computes, or that waits in a call which the kernel always restarts.

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::panic::Location;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::found::Describe;
use super::stall::{Activity, Sample, StallCause};

/// The system's number of the calling thread.
pub(super) fn this_thread() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// The numbers of this process's threads.
pub(super) fn threads() -> Option<Vec<i32>> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    tasks.map(|task| task.ok()?.file_name().to_str()?.parse().ok()).collect()
}

pub(super) fn is_main_thread() -> bool {
    i32::try_from(std::process::id()) == Ok(this_thread())
}

/// What the thread does, as the kernel tells it.
pub(super) fn activity(thread: i32) -> Activity {
    let read = |name| std::fs::read_to_string(format!("/proc/self/task/{thread}/{name}"));
    let stat = read("stat").ok().and_then(|text| Stat::parse(&text));
    let call = read("syscall").ok().and_then(|text| Call::parse(&text));
    let (state, user_ticks) = stat.map_or(('?', None), |it| (it.state, Some(it.user_ticks)));
    let (cause, is_restarted) = match call {
        Some(Call { number: Some(libc::SYS_futex), is_restarted }) => {
            (StallCause::ForeignLock, is_restarted)
        }
        Some(Call { number, .. }) => (StallCause::SystemCall(number), false),
        // Where the system call's number may not be read, the thread's state may.
        None if matches!(state, 'S' | 'D') => (StallCause::SystemCall(None), false),
        None => (StallCause::Computes, false),
    };
    Activity { cause, user_ticks: user_ticks.filter(|_| state == 'R'), is_restarted }
}

/// The part of `/proc/self/task/*/stat` that is used.
struct Stat {
    state: char,
    /// Processor time, outside of the kernel.
    user_ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The fields begin after the name, which stands in parentheses and may contain anything.
        let (_, rest) = text.rsplit_once(") ")?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let user_ticks = fields.nth(10)?.parse().ok()?;
        Some(Self { state, user_ticks })
    }
}

/// The system call that a thread waits in, from `/proc/self/task/*/syscall`.
struct Call {
    /// `None` if it is in the kernel for another reason, such as a page that is not in memory.
    number: Option<i64>,
    /// The kernel restarts it after a signal, and its caller notices nothing.
    is_restarted: bool,
}

impl Call {
    /// `None` for a thread that runs.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace();
        let first = fields.next().filter(|first| *first != "running")?;
        let number = first.parse().ok().filter(|number| *number >= 0);
        let arguments: Vec<u64> = fields
            .map_while(|field| u64::from_str_radix(field.trim_start_matches("0x"), 16).ok())
            .collect();
        // A wait for a futex without a timeout; one with a timeout ends with EINTR.
        let is_restarted = match (number, &arguments[..]) {
            (Some(libc::SYS_futex), [_, operation, _, timeout, ..]) => {
                let command = operation & !FUTEX_FLAGS;
                (command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET) && *timeout == 0
            }
            _ => false,
        };
        Some(Self { number, is_restarted })
    }
}

/// `FUTEX_PRIVATE_FLAG` and `FUTEX_CLOCK_REALTIME`.
const FUTEX_FLAGS: u64 = 128 | 256;
const FUTEX_WAIT: u64 = 0;
const FUTEX_WAIT_BITSET: u64 = 9;

/// How the handler learns which fiber runs; the first call counts.
pub(super) fn set_describe(describe: Describe) {
    DESCRIBE.get_or_init(|| describe);
}

/// Asks the thread with that number for a sample; `None` if it does not answer in time.
///
/// # Errors
///
/// When the handler cannot be installed, or there is no such thread.
pub(super) fn sample(thread: i32, timeout: Duration) -> io::Result<Option<Sample>> {
    install()?;
    DONE.store(false, Ordering::Relaxed);
    THREAD.store(thread, Ordering::Release);
    send(thread)?;
    let until = Instant::now() + timeout;
    while !DONE.load(Ordering::Acquire) {
        if Instant::now() >= until {
            // A handler that runs after this finds no request.
            THREAD.store(0, Ordering::Release);
            return Ok(None);
        }
        std::thread::sleep(POLL_EVERY);
    }
    let spawned_at = SPAWNED_AT.load(Ordering::Relaxed);
    Ok(Some(Sample {
        // SAFETY: it is null or was stored from a `&'static Location`.
        spawned_at: unsafe { spawned_at.as_ref() },
        name: text(&NAME, &NAME_BYTES),
        label: text(&LABEL, &LABEL_BYTES),
        frames: FRAMES[..FRAMES_COUNT.load(Ordering::Relaxed)]
            .iter()
            .map(|frame| frame.load(Ordering::Relaxed))
            .collect(),
    }))
}

/// The handler's result; `None` if there is none.
fn text(bytes: &[AtomicU8], count: &AtomicUsize) -> Option<String> {
    let bytes = &bytes[..count.load(Ordering::Relaxed)];
    let bytes: Vec<u8> = bytes.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    let installed = *INSTALLED.get_or_init(|| {
        // SAFETY: `on_signal` only loads and stores atomics, reads the current fiber without a
        // borrow, and walks the stack by unwind tables; it neither allocates nor locks.
        let registered = unsafe { signal_hook_registry::register(libc::SIGURG, on_signal) };
        registered.is_ok() && use_alternate_stack()
    });
    if installed { Ok(()) } else { Err(io::Error::other("SIGURG cannot be handled")) }
}

/// Makes the handler run on the thread's alternate stack: the fiber's own stack may be nearly full.
fn use_alternate_stack() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the call only asks, and `action` has room for the answer.
    if unsafe { libc::sigaction(libc::SIGURG, ptr::null(), action.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: the call has filled it in, and all zeros would be a valid value too.
    let mut action = unsafe { action.assume_init() };
    action.sa_flags |= libc::SA_ONSTACK;
    // SAFETY: the handler is the one that is installed; it runs on any stack.
    unsafe { libc::sigaction(libc::SIGURG, &raw const action, ptr::null_mut()) == 0 }
}

fn send(thread: i32) -> io::Result<()> {
    // SAFETY: it takes no argument.
    let process = unsafe { libc::getpid() };
    // SAFETY: the arguments are numbers; a thread that is gone is an error, and no other thread
    // gets the signal.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGURG) };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn on_signal() {
    // SAFETY: it takes no argument.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    let asked = THREAD.load(Ordering::Acquire);
    if asked == 0 || i32::try_from(thread) != Ok(asked) {
        return; // a SIGURG that this library has not sent
    }
    NAME_BYTES.store(0, Ordering::Relaxed);
    LABEL_BYTES.store(0, Ordering::Relaxed);
    SPAWNED_AT.store(ptr::null_mut(), Ordering::Relaxed);
    if let Some(describe) = DESCRIBE.get() {
        describe(&mut |running| {
            SPAWNED_AT.store(ptr::from_ref(running.spawned_at).cast_mut(), Ordering::Relaxed);
            let name = running.name.unwrap_or_default().as_bytes();
            for (slot, byte) in NAME.iter().zip(name) {
                slot.store(*byte, Ordering::Relaxed);
            }
            NAME_BYTES.store(name.len().min(NAME.len()), Ordering::Relaxed);
            for (slot, byte) in LABEL.iter().zip(running.label) {
                slot.store(*byte, Ordering::Relaxed);
            }
            LABEL_BYTES.store(running.label.len().min(LABEL.len()), Ordering::Relaxed);
        });
    }
    let mut count = 0;
    let on_frame = |frame: &backtrace::Frame| {
        let ip: *mut c_void = frame.ip();
        FRAMES[count].store(ip.addr(), Ordering::Relaxed);
        count += 1;
        count < FRAMES.len()
    };
    // SAFETY: only the resolving of symbols must be synchronised, and this does not resolve any.
    unsafe { backtrace::trace_unsynchronized(on_frame) };
    FRAMES_COUNT.store(count, Ordering::Relaxed);
    THREAD.store(0, Ordering::Relaxed);
    DONE.store(true, Ordering::Release);
}

static DESCRIBE: OnceLock<Describe> = OnceLock::new();

/// The thread that is asked; 0 for none.
static THREAD: AtomicI32 = AtomicI32::new(0);
/// The sample is complete: set last, read first.
static DONE: AtomicBool = AtomicBool::new(false);
static SPAWNED_AT: AtomicPtr<Location<'static>> = AtomicPtr::new(ptr::null_mut());
static NAME: [AtomicU8; 64] = [const { AtomicU8::new(0) }; 64];
static NAME_BYTES: AtomicUsize = AtomicUsize::new(0);
static LABEL: [AtomicU8; 128] = [const { AtomicU8::new(0) }; 128];
static LABEL_BYTES: AtomicUsize = AtomicUsize::new(0);
static FRAMES: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];
static FRAMES_COUNT: AtomicUsize = AtomicUsize::new(0);

/// An answer takes microseconds, if it comes at all.
const POLL_EVERY: Duration = Duration::from_micros(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_contain_anything() {
        let text = "7 (a) R 1) R 1 7 7 0 -1 4194368 12 0 0 0 345 6 0 0 20 0 1 0 99 8192 5";
        let stat = Stat::parse(text).expect("it is well formed");
        assert_eq!((stat.state, stat.user_ticks), ('R', 345));
        assert!(Stat::parse("7 (cut").is_none());
        assert!(Stat::parse("7 (cut) S 1 2").is_none());
    }

    #[test]
    fn only_a_futex_without_a_timeout_is_restarted() {
        let parse = |text: &str| Call::parse(text).map(|call| (call.number, call.is_restarted));
        let futex = |rest: &str| {
            let text = format!("{} 0x7f00 {rest} 0x7ffd 0x7f11", libc::SYS_futex);
            parse(&text)
        };
        assert_eq!(parse("running"), None);
        assert_eq!(parse("-1 0x7ffd 0x7f11"), Some((None, false)));
        assert_eq!(futex("0x80 0x2 0x0 0x0 0x0"), Some((Some(libc::SYS_futex), true)));
        assert_eq!(futex("0x189 0x2 0x0 0x0 0xffffffff"), Some((Some(libc::SYS_futex), true)));
        assert_eq!(futex("0x89 0x2 0x7f22 0x0 0xffffffff"), Some((Some(libc::SYS_futex), false)));
        assert_eq!(futex("0x86 0x0 0x0 0x0 0x0"), Some((Some(libc::SYS_futex), false)));
        assert_eq!(parse("7 0x1 0x80 0x2 0x0"), Some((Some(7), false)));
    }
}
