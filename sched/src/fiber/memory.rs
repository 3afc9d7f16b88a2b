//! Mapped memory: the system calls for stacks, each behind one function.
//!
//! A [`Region`] is address space that belongs to the owner of the value. It has no destructor: a
//! fiber that was abandoned leaves its frames where they are, so a forgotten region is safe, and to
//! unmap a region takes an explicit call.
//!
//! **Guards.** Linux 6.13 and later mark pages as guards inside of a mapping
//! (`MADV_GUARD_INSTALL`): a million stacks are then a handful of mappings. Other kernels, and
//! locked memory, get pages without any rights, which splits the mapping in two. The environment
//! variable `STRAIGHTLINE_STACK_GUARDS` (`markers` or `mappings`) chooses for the whole process, so
//! that a test can do what other systems do; a kernel without markers refuses them.

use std::env;
use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;

/// A piece of the address space.
#[derive(Debug)]
pub(super) struct Region {
    start: *mut c_void,
    bytes: usize,
}

/// How a page is made to fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guards {
    /// A marker in the page table.
    Markers,
    /// A mapping of its own, without rights.
    Mappings,
}

impl Guards {
    /// The kind that the environment names, or else the cheaper kind, if this process may use it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the environment names an unknown kind, `Unsupported` if the system does
    /// not have that kind.
    pub(super) fn of_this_process() -> io::Result<Self> {
        static CHOSEN: OnceLock<Result<Guards, (io::ErrorKind, String)>> = OnceLock::new();
        let chosen = CHOSEN.get_or_init(|| {
            let Some(value) = env::var_os(VARIABLE) else { return Ok(Self::of_this_system()) };
            match value.to_str() {
                Some("mappings") => Ok(Self::Mappings),
                Some("markers") if Self::of_this_system() == Self::Markers => Ok(Self::Markers),
                Some("markers") => {
                    let message = format!("straightline: {VARIABLE}=markers: the system has none");
                    Err((io::ErrorKind::Unsupported, message))
                }
                _ => {
                    let message = format!(
                        "straightline: {VARIABLE} is `{}`; it may be `markers` or `mappings`, \
                         or not set at all",
                        value.display()
                    );
                    Err((io::ErrorKind::InvalidInput, message))
                }
            }
        });
        chosen.clone().map_err(|(kind, message)| io::Error::new(kind, message))
    }

    /// The cheaper kind, if this process may use it.
    pub(super) fn of_this_system() -> Self {
        static KIND: OnceLock<Guards> = OnceLock::new();
        *KIND.get_or_init(|| {
            let Ok(region) = Region::map(page_bytes()) else { return Self::Mappings };
            // SAFETY: the region was mapped a moment ago, and no other code knows of it.
            let marked = unsafe { region.guard(0..page_bytes(), Self::Markers) };
            // SAFETY: as above.
            let _ = unsafe { region.unmap() };
            if marked.is_ok() { Self::Markers } else { Self::Mappings }
        })
    }
}

impl Region {
    /// Reserves `bytes`, a multiple of the page: readable and writable zeros, of which only the
    /// pages that are touched take memory.
    pub(super) fn map(bytes: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address that the kernel chooses touches no other.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | MAP_FLAGS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let region = Self { start, bytes };
        #[cfg(target_os = "linux")]
        {
            // One touched page must not become 2 MiB. A kernel without huge pages refuses this,
            // which is fine.
            // SAFETY: the region is new, and this changes no page of it.
            let _ = unsafe { region.advise(0..bytes, libc::MADV_NOHUGEPAGE) };
        }
        Ok(region)
    }

    /// Its first address, as a number that may be made a pointer again.
    pub(super) fn start(&self) -> usize {
        self.start.expose_provenance()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes every access to `range` fault.
    ///
    /// # Safety
    ///
    /// No code uses the range.
    pub(super) unsafe fn guard(&self, range: Range<usize>, kind: Guards) -> io::Result<()> {
        if kind == Guards::Markers {
            // SAFETY: the caller's promise.
            return unsafe { self.advise(range, MADV_GUARD_INSTALL) };
        }
        let (start, bytes) = self.part(range);
        // SAFETY: the range lies in this mapping, and the caller promises that no code uses it.
        checked(unsafe { libc::mprotect(start, bytes, libc::PROT_NONE) })
    }

    /// Gives the memory of `range` back to the system; guards in it stay. Locked memory stays too.
    ///
    /// # Safety
    ///
    /// No code uses the content of the range: it is zeros afterwards.
    pub(super) unsafe fn discard(&self, range: Range<usize>) {
        if !range.is_empty() {
            // SAFETY: the caller's promise.
            let _ = unsafe { self.advise(range, MADV_DISCARD) };
        }
    }

    /// The offset of the first page in `range` that takes memory.
    pub(super) fn first_resident(&self, range: Range<usize>) -> Option<usize> {
        let page = page_bytes();
        let mut states = [0_u8; STATES_PER_CALL];
        for at in range.clone().step_by(page * STATES_PER_CALL) {
            let end = range.end.min(at + page * STATES_PER_CALL);
            let (start, bytes) = self.part(at..end);
            // SAFETY: the range lies in this mapping, and `states` has a byte for each page of it.
            checked(unsafe { libc::mincore(start, bytes, states.as_mut_ptr().cast()) }).ok()?;
            let pages = &states[..bytes / page];
            if let Some(index) = pages.iter().position(|state| state & 1 == 1) {
                return Some(at + index * page);
            }
        }
        None
    }

    /// Gives the address space back; returns the region if the system refuses.
    ///
    /// # Safety
    ///
    /// No code uses the region.
    pub(super) unsafe fn unmap(self) -> Result<(), Self> {
        // SAFETY: the mapping is this region's own, and the caller promises that no code uses it.
        checked(unsafe { libc::munmap(self.start, self.bytes) }).map_err(|_| self)
    }

    /// # Safety
    ///
    /// As the advice demands; if it destroys the content, that no code uses it.
    unsafe fn advise(&self, range: Range<usize>, advice: i32) -> io::Result<()> {
        let (start, bytes) = self.part(range);
        // SAFETY: the range lies in this mapping, and the rest is the caller's promise.
        checked(unsafe { libc::madvise(start, bytes, advice) })
    }

    /// The arguments of a system call about `range`.
    fn part(&self, range: Range<usize>) -> (*mut c_void, usize) {
        assert!(range.start <= range.end && range.end <= self.bytes, "a range outside the region");
        (self.start.wrapping_byte_add(range.start), range.len())
    }
}

/// The size of a page.
pub(super) fn page_bytes() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| {
        // SAFETY: it reads a constant of the system.
        let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(bytes).ok().filter(|bytes| bytes.is_power_of_two()).unwrap_or(4096)
    })
}

/// The size of a guard: Rust probes each page of a large frame, but C does not, so a single page
/// could be stepped over.
pub(super) fn guard_bytes() -> usize {
    page_bytes().max(GUARD_BYTES_MIN)
}

/// How much the process may map, if that is limited (`RLIMIT_AS`).
pub(super) fn address_bytes_allowed() -> Option<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the structure in, and keeps no pointer to it.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) }).ok()?;
    if limit.rlim_cur == libc::RLIM_INFINITY { None } else { usize::try_from(limit.rlim_cur).ok() }
}

fn checked(returned: i32) -> io::Result<()> {
    if returned == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// No swap is reserved for address space that is mostly never touched.
#[cfg(target_os = "linux")]
const MAP_FLAGS: i32 = libc::MAP_NORESERVE | libc::MAP_STACK;
#[cfg(target_os = "macos")]
const MAP_FLAGS: i32 = libc::MAP_NORESERVE;
#[cfg(target_os = "freebsd")]
const MAP_FLAGS: i32 = 0; // macOS and FreeBSD have no such flag

/// On other systems `MADV_DONTNEED` may keep the pages.
#[cfg(target_os = "linux")]
const MADV_DISCARD: i32 = libc::MADV_DONTNEED;
#[cfg(any(target_os = "macos", target_os = "freebsd"))]
const MADV_DISCARD: i32 = libc::MADV_FREE;

const VARIABLE: &str = "STRAIGHTLINE_STACK_GUARDS";

/// Linux's number; other systems answer that they do not know it.
const MADV_GUARD_INSTALL: i32 = 102;

const GUARD_BYTES_MIN: usize = 16 * 1024;

/// How many pages one system call asks about. Arbitrary: a MiB of the usual ones.
const STATES_PER_CALL: usize = 256;

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_region_takes_memory_where_it_is_touched_and_gives_it_back() {
        let page = page_bytes();
        let region = Region::map(600 * page).unwrap();
        assert_eq!(region.first_resident(0..600 * page), None);
        let touched = region.start.wrapping_byte_add(500 * page).cast::<u8>();
        // SAFETY: the page is part of the mapping, which no other code knows of.
        unsafe { touched.write_volatile(7) };
        assert_eq!(region.first_resident(0..600 * page), Some(500 * page));
        assert_eq!(region.first_resident(0..500 * page), None);
        // SAFETY: no code uses the region.
        unsafe { region.discard(0..600 * page) };
        if cfg!(target_os = "linux") {
            assert_eq!(region.first_resident(0..600 * page), None);
        }
        // SAFETY: no code uses the region.
        unsafe { region.unmap() }.unwrap();
    }

    #[test]
    fn guards_of_either_kind_forbid_access_and_outlast_a_discard() {
        let page = page_bytes();
        let (_reader, writer) = std::io::pipe().unwrap();
        for kind in [Guards::of_this_system(), Guards::Mappings] {
            let region = Region::map(4 * page).unwrap();
            // The kernel copies a byte from there, and says if it could not.
            let accessible = |offset| {
                let (start, _) = region.part(offset..offset);
                // SAFETY: the kernel checks the address.
                1 == unsafe { libc::write(writer.as_raw_fd(), start, 1) }
            };
            assert!((0..4).all(|index| accessible(index * page)));
            // SAFETY: no code uses the region.
            unsafe { region.guard(page..2 * page, kind) }.unwrap();
            assert_eq!(
                [0, 1, 2, 3].map(|index| accessible(index * page)),
                [true, false, true, true]
            );
            // SAFETY: no code uses the region.
            unsafe { region.discard(0..4 * page) };
            assert_eq!(
                [0, 1, 2, 3].map(|index| accessible(index * page)),
                [true, false, true, true]
            );
            // SAFETY: no code uses the region.
            unsafe { region.unmap() }.unwrap();
        }
    }
}
