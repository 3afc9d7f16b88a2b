//! What the kernel reports about the process of the server, in `/proc/PID`.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;

/// A process, by its number.
#[derive(Clone, Copy)]
pub(crate) struct Process(u32);

/// The memory of a process.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// How many bytes are resident now.
    pub(crate) resident: u64,
    /// The most bytes that have been resident.
    pub(crate) peak: u64,
}

impl Process {
    pub(crate) fn new(id: u32) -> Self {
        Self(id)
    }

    pub(crate) fn memory(self) -> io::Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let field = |name| {
            kibibytes(&status, name)
                .ok_or_else(|| io::Error::other(format!("no {name} in /proc/{}/status", self.0)))
        };
        Ok(Memory { resident: field("VmRSS:")? * 1024, peak: field("VmHWM:")? * 1024 })
    }

    /// How many descriptors the process has open.
    pub(crate) fn descriptors(self) -> io::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.0))?.count())
    }

    /// How many threads the process has.
    pub(crate) fn threads(self) -> io::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/task", self.0))?.count())
    }

    /// How long all threads of the process together, finished ones included, have been on a CPU.
    /// The kernel counts this in clock ticks of ten milliseconds.
    pub(crate) fn cpu_time(self) -> io::Result<Duration> {
        let path = format!("/proc/{}/stat", self.0);
        let ticks = cpu_ticks(&fs::read_to_string(&path)?)
            .ok_or_else(|| io::Error::other(format!("no CPU time in {path}")))?;
        Ok(Duration::from_secs(ticks) / u32::try_from(clock_ticks_per_second()).unwrap_or(100))
    }
}

/// The value of a line of `status`: `VmRSS:      1234 kB`.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The sum of `utime` and `stime` in a line of `stat` (proc(5)).
fn cpu_ticks(stat: &str) -> Option<u64> {
    // The program's name is in parentheses and may contain spaces; the third field follows it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_that_name_is_read() {
        let status = "VmHWM:\t    5120 kB\nVmRSS:\t    4096 kB\nThreads:\t3\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(4096));
        assert_eq!(kibibytes(status, "Threads:"), None);
        assert_eq!(kibibytes(status, "VmSwap:"), None);
    }

    #[test]
    fn cpu_time_is_the_sum_of_two_fields() {
        let stat = "7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 500 11 0 0 20 0 1 0 99\n";
        assert_eq!(cpu_ticks(stat), Some(511));
        assert_eq!(cpu_ticks("7 (a) S 1 2"), None);
    }

    #[test]
    fn this_process_has_memory_and_threads() {
        let this = Process::new(std::process::id());
        let memory = this.memory().unwrap();
        assert!(0 < memory.resident && memory.resident <= memory.peak);
        assert!(this.threads().unwrap() > 0 && this.descriptors().unwrap() > 0);
    }
}
