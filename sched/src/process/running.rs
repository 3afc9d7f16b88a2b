//! A process that was started, and what its drop does.
//!
//! A `Running` can be sent to another thread: the job that starts a program makes it. So a program
//! whose caller has left is ended as well.

use std::io::{self, ErrorKind};
use std::process::{Child, ExitStatus};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::reaper::reap_later;

/// What a [`Command`](super::Command) says of the end of its child.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndPolicy {
    pub(super) kills_on_drop: bool,
    /// The child is the leader of a group of processes.
    pub(super) kills_group: bool,
}

#[derive(Debug)]
pub(super) struct Running {
    /// `None` only after the drop has begun.
    child: Option<Child>,
    id: u32,
    /// Its status was asked for, so its number may be another process's.
    is_reaped: bool,
    policy: EndPolicy,
}

impl Running {
    pub(super) fn new(child: Child, policy: EndPolicy) -> Self {
        Self { id: child.id(), child: Some(child), is_reaped: false, policy }
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// std's child.
    pub(super) fn std(&mut self) -> &mut Child {
        self.child.as_mut().expect("present until the drop")
    }

    /// The status, if the child has ended. It is reaped then.
    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.std().try_wait()?;
        self.is_reaped |= status.is_some();
        Ok(status)
    }

    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    /// Sends a signal to the child, or to its group. Does nothing after the child was reaped.
    pub(super) fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.is_reaped {
            return Ok(());
        }
        let process = self.process();
        // A child that has joined another group is no longer in its own one.
        if self.policy.kills_group && kill_process_group(process, signal).is_ok() {
            return Ok(());
        }
        Ok(kill_process(process, signal)?)
    }

    pub(super) fn process(&mut self) -> Pid {
        Pid::from_child(self.std())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_reaped {
            return;
        }
        if self.policy.kills_on_drop {
            // An error means that another part of the program has reaped it.
            let _ = self.kill();
        }
        if let Some(mut child) = self.child.take()
            && let Ok(None) = child.try_wait()
        {
            // The pipes that no caller took: a child that goes on must find them closed.
            drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
            reap_later(child);
        }
    }
}

/// The signal of that number.
pub(super) fn signal_of(number: i32) -> io::Result<Signal> {
    Signal::from_named_raw(number).ok_or_else(|| {
        io::Error::new(ErrorKind::InvalidInput, format!("{number} is not the number of a signal"))
    })
}
