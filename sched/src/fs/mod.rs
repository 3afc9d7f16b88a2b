//! The functions and types of [`std::fs`], on straightline's fibers.
//!
//! The names and the behaviour are those of [`std::fs`], with one difference: a call blocks the
//! fiber and not the thread. Linux has no readiness for files, so each call is a *job* on a thread
//! of a pool, as of [`offload`](crate::offload), and other fibers run meanwhile.
//!
//! ```
//! use std::io::{BufRead, BufReader, Write};
//! use straightline_sched::{self as sched, fs};
//!
//! sched::run(|| {
//! #     let name = format!("straightline-fs-{}", std::process::id());
//! #     let folder = std::env::temp_dir().join(name);
//!     fs::create_dir_all(&folder)?;
//!     let path = folder.join("greetings");
//!     fs::write(&path, "hello\n")?;
//!     let mut file = fs::OpenOptions::new().append(true).open(&path)?;
//!     file.write_all(b"good morning\n")?;
//!
//!     let lines = BufReader::new(fs::File::open(&path)?).lines();
//!     assert_eq!(lines.collect::<Result<Vec<_>, _>>()?, ["hello", "good morning"]);
//!     fs::remove_dir_all(&folder)
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # What a call costs
//!
//! A job costs 10 to 20 µs beside the call itself: the fiber's thread wakes a thread of the pool,
//! and that one wakes the fiber. Of a file in the page cache, std reads 8 KiB in 1 µs. So read and
//! write in large pieces: put a [`BufReader`](std::io::BufReader) or a
//! [`BufWriter`](std::io::BufWriter) around a [`File`], as with std, where each small call is a
//! system call. A call moves at most 256 KiB.
//!
//! # Cancellation
//!
//! A fiber that is cancelled, or past its deadline, unwinds at once and does not wait for its job.
//! If the job has not begun, it never runs. If it has begun, it goes on to its end, and keeps its
//! thread until then: nothing can stop a thread in the middle of a system call. So after an unwind:
//!
//! - A change (a `write`, a `rename`, a `remove_file`) may have happened, or may happen a moment
//!   later. So a file may appear after every destructor has run. If a destructor removes it, make
//!   the file inside of [`uncancellable`](crate::uncancellable).
//! - The position of a [`File`] may have moved, although the caller got no bytes. Seek, or use
//!   [`File::read_at`] and [`File::write_at`], which have no position.
//! - What a function reads, writes or copies as a whole is moved in pieces. Such a call stops
//!   behind the current piece, and leaves a part of the file.
//!
//! The buffer of a job belongs to the job, so a buffer of the caller is never written to later.
//!
//! # Errors
//!
//! Every call returns the system's error, as std does. An overloaded pool is
//! [`ErrorKind::ResourceBusy`](std::io::ErrorKind::ResourceBusy). A call in a fiber that unwinds
//! (in a destructor) may not wait: it does nothing and is an error. The
//! [`OffloadError`](crate::OffloadError) is inside of both.
//!
//! # The pool
//!
//! Files have a pool of their own with the default bounds ([`pool`]): 64 threads, and 1,024 jobs
//! that wait. A file system that hangs then keeps its own threads, and not those that resolve
//! names. On a thread without fibers a call blocks the thread, within the same bounds.
//!
//! The drop of a [`File`] closes its descriptor on the fiber's thread, as std's does: a job would
//! cost more than almost every close.
//!
//! # In a simulation
//!
//! The files are those of the system. A call takes virtual time, as every job of
//! [`offload`](crate::offload). A seed determines the run as long as the test finds the same files
//! each time: let it make its own. A call that never ends, such as the `open` of a FIFO that has no
//! writer, stops a simulation, because it has only one thread.

mod copy;
mod directory;
mod file;
mod job;
mod open_options;
mod paths;
mod text;
mod whole;

pub use copy::copy;
pub use directory::{DirEntry, ReadDir, read_dir};
pub use file::File;
pub use job::pool;
pub use open_options::OpenOptions;
pub use paths::{
    canonicalize, create_dir, create_dir_all, exists, hard_link, metadata, read_link, remove_dir,
    remove_dir_all, remove_file, rename, set_permissions, symlink, symlink_metadata,
};
pub use std::fs::{FileType, Metadata, Permissions};
pub use whole::{read, read_to_string, write};
