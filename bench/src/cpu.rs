//! CPUs: which process runs on which CPU, and for how long.

use std::fmt;
use std::io;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A CPU for the servers and another one for the load.
#[derive(Clone, Copy)]
pub(crate) enum Pinning {
    Pinned {
        server: usize,
        load: usize,
    },
    /// The servers and the load share the only CPU.
    Impossible,
}

impl Pinning {
    /// The first two CPUs that this process may use: 0 and 1, unless its affinity was restricted.
    pub(crate) fn choose() -> io::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        match (allowed.next(), allowed.next()) {
            (Some(server), Some(load)) => Ok(Self::Pinned { server, load }),
            _ => Ok(Self::Impossible),
        }
    }

    pub(crate) fn server(self) -> Option<usize> {
        match self {
            Self::Pinned { server, .. } => Some(server),
            Self::Impossible => None,
        }
    }

    pub(crate) fn load(self) -> Option<usize> {
        match self {
            Self::Pinned { load, .. } => Some(load),
            Self::Impossible => None,
        }
    }
}

impl fmt::Display for Pinning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned { server, load } => {
                write!(f, "servers pinned to CPU {server}, load to CPU {load}")
            }
            Self::Impossible => f.write_str("NOT pinned (one CPU)"),
        }
    }
}

/// Keeps the calling thread, and those that it starts from now on, on one CPU.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    pin_to(&[cpu])
}

/// Keeps the calling thread, and those that it starts from now on, on these CPUs; wherever it is if
/// there are none.
pub(crate) fn pin_to(cpus: &[usize]) -> io::Result<()> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    cpus.iter().for_each(|&cpu| set.set(cpu));
    Ok(sched_setaffinity(None, &set)?)
}

/// How long all threads of a process together, finished ones included, have been on a CPU.
///
/// The process's CPU clock is the sum of what `schedstat` shows for each thread, in nanoseconds
/// too. Unlike that file it exists on every kernel.
pub(crate) fn time_used(process: u32) -> io::Result<Duration> {
    let process = i32::try_from(process).map_err(io::Error::other)?;
    let now = clock_getcpuclockid(Pid::from_raw(process))?.now()?;
    Ok(now.into())
}
