//! The types of [`std::process`] that start other programs, on straightline's fibers.
//!
//! The names and the behaviour are those of [`std::process`], where a call would block the thread
//! it blocks the fiber only: the start of a program, its pipes, and the wait for its end.
//!
//! ```
//! use std::time::Duration;
//! use straightline_sched::{self as sched, process::Command};
//!
//! sched::run(|| {
//!     let output = Command::new("sh").args(["-c", "echo $((6 * 7))"]).output()?;
//!     assert!(output.status.success());
//!     assert_eq!(output.stdout, b"42\n");
//!
//!     // A deadline ends the wait, and the drop of the child ends the program.
//!     let late = sched::deadline(Duration::from_millis(20), || {
//!         Command::new("sleep").arg("1000").status()
//!     });
//!     assert!(late.is_err());
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # What differs from std
//!
//! - **A [`Child`] that is dropped is killed**, if it has not ended. A handler that is cancelled,
//!   or past its deadline, unwinds and drops its child, and must not leave a program behind.
//!   [`Command::kill_on_drop`] turns that off.
//! - **A child that has ended is reaped**, also when its `Child` is dropped: no zombie is left. A
//!   thread of the process does that, and ends when there is no such child.
//! - **[`Command::output`] is bounded**: 16 MiB for each pipe, see [`Command::output_limit`].
//! - [`Command`] can be cloned, and is not changed by a start.
//! - There is no `pre_exec`. Start such a command by std, in [`offload`](crate::offload), and let
//!   [`Child::from_std`] wait for it.
//!
//! How many children run at once is the program's choice: put a
//! [`Semaphore`](crate::sync::Semaphore) in front of programs that clients can start.
//!
//! # Children of a child
//!
//! A kill reaches the one process that was started, and not what this one has started. A shell that
//! waits for a `sleep` is gone then, and the `sleep` goes on, and keeps the pipes open: a read of
//! the output still waits. [`Command::kill_group`] gives the child a group of its own, and a kill
//! reaches the whole group.
//!
//! # Threads and signals
//!
//! A program is started on a thread of the pool of [`offload`](crate::offload), because the start
//! blocks its thread until the system has loaded the program: for 0.4 ms, longer on a slow disk,
//! and for many milliseconds if a large process asks for another user. What a child inherits from
//! the *thread*, such as the mask of signals, comes from there. Linux's `PR_SET_PDEATHSIG` is of no
//! use: it would kill the child when the thread ends.
//!
//! On Linux a wait for a child's end is a wait for a descriptor (`pidfd_open`). On other systems,
//! and where the process has no more descriptors, the fiber looks again and again, at first after a
//! millisecond, and later after 50.
//!
//! As with std, a program that sets SIGPIPE to its default ends when it writes to a child that
//! reads no more. Rust's programs ignore it.
//!
//! # In a simulation
//!
//! No program can be started: a real process knows no virtual time. It is an error of the kind
//! [`Unsupported`](std::io::ErrorKind::Unsupported).

mod child;
mod command;
mod output;
mod pipe;
mod reaper;
mod running;
mod stdio;

pub use child::Child;
pub use command::Command;
pub use pipe::{ChildStderr, ChildStdin, ChildStdout};
pub use std::process::{ExitStatus, Output};
pub use stdio::Stdio;
