//! What a child's standard streams are.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process;
use std::sync::Arc;

use rustix::io::ioctl_fionbio;

use super::pipe::{ChildStderr, ChildStdin, ChildStdout};
use crate::fs::File;

/// As [`std::process::Stdio`]: what one of a child's standard streams is.
///
/// A file or a descriptor converts into it, and so does a pipe of another child.
///
/// ```
/// use straightline_sched::{self as sched, process::{Command, Stdio}};
///
/// sched::run(|| {
///     let mut first = Command::new("echo").arg("b\na").stdout(Stdio::piped()).spawn()?;
///     let between = first.stdout.take().unwrap();
///     let sorted = Command::new("sort").stdin(between).output()?;
///     assert_eq!(sorted.stdout, b"a\nb\n");
///     first.wait()?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Stdio {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Inherit,
    Null,
    Piped,
    /// Shared by the clones of a command, as the next two. Each child gets a duplicate.
    Descriptor(Arc<OwnedFd>),
    File(Arc<File>),
    /// It was a fiber's, and so it is non-blocking, which programs do not expect.
    Pipe(Arc<OwnedFd>),
}

impl Stdio {
    /// The stream of this process. Not a yield point.
    pub fn inherit() -> Self {
        Self { kind: Kind::Inherit }
    }

    /// `/dev/null`. Not a yield point.
    pub fn null() -> Self {
        Self { kind: Kind::Null }
    }

    /// A pipe, whose other end is in the [`Child`](super::Child). Not a yield point.
    pub fn piped() -> Self {
        Self { kind: Kind::Piped }
    }

    pub(super) fn to_std(&self) -> io::Result<process::Stdio> {
        Ok(match &self.kind {
            Kind::Inherit => process::Stdio::inherit(),
            Kind::Null => process::Stdio::null(),
            Kind::Piped => process::Stdio::piped(),
            Kind::Descriptor(descriptor) => descriptor.try_clone()?.into(),
            Kind::File(file) => file.as_fd().try_clone_to_owned()?.into(),
            Kind::Pipe(pipe) => {
                ioctl_fionbio(pipe, false)?;
                pipe.try_clone()?.into()
            }
        })
    }
}

impl From<OwnedFd> for Stdio {
    fn from(descriptor: OwnedFd) -> Self {
        Self { kind: Kind::Descriptor(Arc::new(descriptor)) }
    }
}

impl From<fs::File> for Stdio {
    fn from(file: fs::File) -> Self {
        OwnedFd::from(file).into()
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        Self { kind: Kind::File(Arc::new(file)) }
    }
}

impl From<ChildStdin> for Stdio {
    fn from(pipe: ChildStdin) -> Self {
        Self { kind: Kind::Pipe(Arc::new(pipe.into_descriptor())) }
    }
}

impl From<ChildStdout> for Stdio {
    fn from(pipe: ChildStdout) -> Self {
        Self { kind: Kind::Pipe(Arc::new(pipe.into_descriptor())) }
    }
}

impl From<ChildStderr> for Stdio {
    fn from(pipe: ChildStderr) -> Self {
        Self { kind: Kind::Pipe(Arc::new(pipe.into_descriptor())) }
    }
}
