//! Where a thread stands that does not answer, asked by a signal; and what the kernel says of it.
//!
//! The monitor sends `SIGURG` to the one thread; its default action is to be ignored, and terminals
//! and service managers do not send it. The handler runs on the stuck thread's alternate stack, in
//! the middle of whatever the thread does, so it does nothing but read and store numbers: the
//! running fiber's name and place of birth, and the return addresses of the stack. The monitor
//! turns those into text, on its own thread. One sample is taken at a time.

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::panic::Location;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Describe;
use super::stall::{Sample, StallCause};

/// The calling thread, by the system's number.
pub(super) fn this_thread() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// What the threads of this process are called.
pub(super) fn thread_names() -> Option<Vec<String>> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    // One that ends meanwhile has no name any more, and is counted all the same.
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
    tasks.map(|task| Some(name(task.ok()?).unwrap_or_default())).collect()
}

/// What the kernel says that the thread does.
pub(super) fn cause(thread: i32) -> StallCause {
    let call = std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall"));
    let number = call.ok().and_then(|text| {
        let first = text.split_ascii_whitespace().next().map(str::to_owned);
        first.filter(|first| first != "running")
    });
    match number.map(|number| number.parse()) {
        Some(Ok(libc::SYS_futex)) => StallCause::ForeignLock,
        Some(Ok(number)) if number >= 0 => StallCause::SystemCall(Some(number)),
        Some(_) => StallCause::SystemCall(None),
        None if is_asleep(thread) => StallCause::SystemCall(None),
        None => StallCause::Computes,
    }
}

/// Where the number of the system call may not be read: the thread's state.
fn is_asleep(thread: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    let state = stat.ok().and_then(|text| {
        // After the name, which stands in parentheses and may contain anything.
        text.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
    });
    matches!(state, Some('S' | 'D'))
}

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
            // A handler that comes now finds nobody who asks.
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

/// What the handler has left there; `None` if that is nothing.
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

/// Has the handler run on the thread's alternate stack: a fiber may have next to nothing left of
/// its own.
fn use_alternate_stack() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: it asks only, and `action` has room for the answer.
    if unsafe { libc::sigaction(libc::SIGURG, ptr::null(), action.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: the call has filled it in, and all zeros would be a value of it too.
    let mut action = unsafe { action.assume_init() };
    action.sa_flags |= libc::SA_ONSTACK;
    // SAFETY: the handler is the one that is there; it does not care which stack it runs on.
    unsafe { libc::sigaction(libc::SIGURG, &raw const action, ptr::null_mut()) == 0 }
}

fn send(thread: i32) -> io::Result<()> {
    // SAFETY: it takes no argument.
    let process = unsafe { libc::getpid() };
    // SAFETY: numbers only; a thread that is gone is an error, not another thread's signal.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGURG) };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn on_signal() {
    // SAFETY: it takes no argument.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    let asked = THREAD.load(Ordering::Acquire);
    if asked == 0 || i32::try_from(thread) != Ok(asked) {
        return; // somebody else's SIGURG
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
    // SAFETY: what must be synchronised is the resolving of symbols, which is not done here.
    unsafe { backtrace::trace_unsynchronized(on_frame) };
    FRAMES_COUNT.store(count, Ordering::Relaxed);
    THREAD.store(0, Ordering::Relaxed);
    DONE.store(true, Ordering::Release);
}

static DESCRIBE: OnceLock<Describe> = OnceLock::new();

/// Which thread is asked; 0 for none.
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

/// The answer takes microseconds when it comes at all.
const POLL_EVERY: Duration = Duration::from_micros(200);
