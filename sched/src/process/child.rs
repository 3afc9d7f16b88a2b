//! A child process, and the wait for its end.

use std::fmt;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::process::{self, ExitStatus, Output};
use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::process::{PidfdFlags, pidfd_open};

use super::output::read_outputs;
use super::pipe::{ChildStderr, ChildStdin, ChildStdout};
use super::running::{EndPolicy, Running, signal_of};
#[cfg(target_os = "linux")]
use crate::core::Source;
use crate::core::{Unwinding, checkpoint, is_unwinding, sleep, try_current};
#[cfg(target_os = "linux")]
use crate::driver::Interest;

/// As [`std::process::Child`]: a program that was started.
///
/// If it is dropped before the program has ended, the program is killed
/// ([`Command::kill_on_drop`](super::Command::kill_on_drop)), and reaped in any case.
///
/// It belongs to the shard of the fiber that first waits for it. Its pipes can be taken out, and
/// used by other fibers of the shard.
///
/// ```
/// use straightline_sched::{self as sched, process::Command};
///
/// sched::run(|| {
///     let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
///     assert_eq!(child.wait()?.code(), Some(3)); // other fibers run meanwhile
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub struct Child {
    /// The pipe to the child's standard input, if it was [piped](super::Stdio::piped).
    pub stdin: Option<ChildStdin>,
    /// The pipe from the child's standard output, if it was piped.
    pub stdout: Option<ChildStdout>,
    /// The pipe from the child's standard error, if it was piped.
    pub stderr: Option<ChildStderr>,
    /// Readable when the child has ended; opened by the first wait.
    #[cfg(target_os = "linux")]
    exit: Option<Source<OwnedFd>>,
    running: Running,
    output_bytes_max: usize,
}

impl Child {
    pub(super) fn new(mut running: Running, output_bytes_max: usize) -> io::Result<Self> {
        let std = running.std();
        Ok(Self {
            stdin: std.stdin.take().map(ChildStdin::new).transpose()?,
            stdout: std.stdout.take().map(ChildStdout::new).transpose()?,
            stderr: std.stderr.take().map(ChildStderr::new).transpose()?,
            #[cfg(target_os = "linux")]
            exit: None,
            running,
            output_bytes_max,
        })
    }

    /// Takes a child that std has started. It is killed on drop, and its output is bounded by the
    /// default. Not a yield point.
    ///
    /// For what [`Command`](super::Command) does not have. std's start blocks the thread, so call
    /// it in [`offload`](crate::offload).
    ///
    /// # Errors
    ///
    /// When a pipe cannot be made non-blocking.
    ///
    /// ```
    /// use straightline_sched::{self as sched, process::Child};
    ///
    /// sched::run(|| {
    ///     let mut command = std::process::Command::new("true");
    ///     let child = sched::offload(move || command.spawn())??;
    ///     assert!(Child::from_std(child)?.wait()?.success());
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn from_std(child: process::Child) -> io::Result<Self> {
        let policy = EndPolicy { kills_on_drop: true, kills_group: false };
        Self::new(Running::new(child, policy), OUTPUT_BYTES_MAX)
    }

    /// The number of the process. Not a yield point.
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// Waits for the end of the child. Its standard input is closed before, as by std, so that a
    /// child that reads it comes to its end.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding. The child goes on, until its `Child` is
    /// dropped or killed; it can be waited for again.
    ///
    /// # Errors
    ///
    /// When another part of the program has reaped the child, the caller is unwinding, or the
    /// caller is not a fiber and would have to wait.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        checkpoint();
        #[cfg(target_os = "linux")]
        while self.running.try_wait()?.is_none() {
            let Some(exit) = self.exit_source() else { break };
            exit.wait(Interest::Read)?;
        }
        self.wait_by_polling()
    }

    /// The descriptor of the process; `None` if the system gives none.
    #[cfg(target_os = "linux")]
    fn exit_source(&mut self) -> Option<&Source<OwnedFd>> {
        if self.exit.is_none() {
            // The child is not reaped, so the number is still the child's.
            let opened = pidfd_open(self.running.process(), PidfdFlags::empty());
            self.exit = opened.ok().map(Source::new);
        }
        self.exit.as_ref()
    }

    /// The wait where no descriptor tells the end; nothing to wait for if the end is known.
    fn wait_by_polling(&mut self) -> io::Result<ExitStatus> {
        let mut pause = PAUSE_MIN;
        loop {
            if let Some(status) = self.running.try_wait()? {
                return Ok(status);
            }
            if is_unwinding() {
                return Err(Unwinding.into());
            }
            if try_current().is_none() {
                return Err(io::Error::other("straightline: a wait outside of a fiber"));
            }
            sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The status, if the child has ended. Not a yield point.
    ///
    /// # Errors
    ///
    /// When another part of the program has reaped the child.
    ///
    /// ```
    /// use straightline_sched::{self as sched, process::Command};
    ///
    /// sched::run(|| {
    ///     let mut child = Command::new("sleep").arg("1000").spawn()?;
    ///     assert!(child.try_wait()?.is_none());
    ///     child.kill()?;
    ///     assert!(!child.wait()?.success());
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.running.try_wait()
    }

    /// Waits for the end, and reads what the child writes until then: all of its standard output
    /// and standard error that is piped and not taken.
    ///
    /// # Blocking
    ///
    /// A yield point. It also waits until the pipes are closed by every process that has them.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline unwinds, and drops the child.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait); `FileTooLarge` if the child writes more than
    /// [`Command::output_limit`](super::Command::output_limit). The child is dropped then.
    ///
    /// ```
    /// use straightline_sched::{self as sched, process::{Command, Stdio}};
    ///
    /// sched::run(|| {
    ///     let child = Command::new("echo").arg("hello").stdout(Stdio::piped()).spawn()?;
    ///     assert_eq!(child.wait_with_output()?.stdout, b"hello\n");
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let (stdout, stderr) =
            read_outputs(stdout.as_ref(), stderr.as_ref(), self.output_bytes_max)?;
        Ok(Output { status: self.wait()?, stdout, stderr })
    }

    /// Kills the child (SIGKILL), or its group
    /// ([`Command::kill_group`](super::Command::kill_group)). A child that was waited for is over,
    /// and this does nothing. Not a yield point.
    ///
    /// # Errors
    ///
    /// When the child runs as another user, or another part of the program has reaped it.
    pub fn kill(&mut self) -> io::Result<()> {
        self.running.kill()
    }

    /// Sends a signal to the child, or to its group, by its number. A child that was waited for is
    /// over, and this does nothing. Not a yield point.
    ///
    /// # Errors
    ///
    /// As [`kill`](Self::kill); `InvalidInput` if the number is not the number of a signal.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_sched::{self as sched, process::Command};
    ///
    /// const SIGTERM: i32 = 15;
    ///
    /// sched::run(|| {
    ///     let mut child = Command::new("sleep").arg("1000").spawn()?;
    ///     child.signal(SIGTERM)?; // asks it to end
    ///     if sched::deadline(Duration::from_secs(5), || child.wait()).is_err() {
    ///         child.kill()?;
    ///         child.wait()?;
    ///     }
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn signal(&mut self, number: i32) -> io::Result<()> {
        self.running.signal(signal_of(number)?)
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("running", &self.running).finish_non_exhaustive()
    }
}

/// How much of each output is kept by default. Arbitrary: far more than a program that is asked for
/// an answer writes, and so little that some hundred of them fit into memory.
pub(super) const OUTPUT_BYTES_MAX: usize = 16 << 20;

/// Arbitrary, as the next: many programs run for some milliseconds.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// So long at most does the end stay unnoticed.
const PAUSE_MAX: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_without_a_descriptor_finds_the_end() {
        crate::core::run(|| {
            let std = process::Command::new("sh").args(["-c", "sleep 0.02; exit 7"]).spawn();
            let mut child = Child::from_std(std.unwrap()).unwrap();
            assert_eq!(child.wait_by_polling().unwrap().code(), Some(7));
            assert_eq!(child.wait().unwrap().code(), Some(7));
        });
    }

    #[test]
    fn a_wait_without_a_descriptor_needs_a_fiber_and_no_longer_than_it_runs() {
        let std = process::Command::new("sleep").arg("1000").spawn();
        let mut child = Child::from_std(std.unwrap()).unwrap();
        assert!(child.wait_by_polling().is_err());
        assert!(child.wait().is_err());
        child.kill().unwrap();
        while child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        assert!(!child.wait().unwrap().success()); // it need not wait
    }
}
