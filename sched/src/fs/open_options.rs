//! How a file is opened.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::file::File;
use super::job::run_job;

/// As [`std::fs::OpenOptions`]: how a file is opened, and what may be done with it.
///
/// ```
/// use std::io::Write;
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
/// #     let name = format!("straightline-options-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     let mut log = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
///     writeln!(log, "begun")?;
///     fs::remove_file(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    std: fs::OpenOptions,
}

/// Writes a setter for each of std's.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $value:ty,)*) => {
        $(
            $(#[$doc])*
            ///
            /// Not a yield point.
            pub fn $name(&mut self, $name: $value) -> &mut Self {
                self.std.$name($name);
                self
            }
        )*
    };
}

impl OpenOptions {
    /// As [`std::fs::OpenOptions::new`]: no option is set. Not a yield point.
    #[must_use]
    pub fn new() -> Self {
        Self { std: fs::OpenOptions::new() }
    }

    setters! {
        /// Whether the file can be read.
        read: bool,
        /// Whether the file can be written.
        write: bool,
        /// Whether each write goes to the file's end.
        append: bool,
        /// Whether a file that is there loses what it contains. It needs `write`.
        truncate: bool,
        /// Whether a file is made if there is none. It needs `write` or `append`.
        create: bool,
        /// Whether a file must be made: a file that is there is an error. Then `create` and
        /// `truncate` do not matter.
        create_new: bool,
        /// The permissions of a file that is made, less the process's umask. Default: 0o666.
        mode: u32,
        /// More flags of the system's `open`, such as `O_NOFOLLOW`.
        custom_flags: i32,
    }

    /// As [`std::fs::OpenOptions::open`].
    ///
    /// # Blocking
    ///
    /// A yield point. The open of a FIFO waits for the other side, as long as that takes, and keeps
    /// a thread of the pool. With a deadline around it, only the fiber goes on.
    ///
    /// # Cancellation
    ///
    /// A file may have been made or truncated. A descriptor that comes too late is closed.
    ///
    /// # Errors
    ///
    /// See [the module](super#errors); `InvalidInput` for options that do not fit together.
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let (options, path) = (self.std.clone(), path.as_ref().to_owned());
        run_job(move || options.open(path)).map(File::from)
    }
}

impl File {
    /// As [`std::fs::File::options`]: how a file is to be opened. No option is set. Not a yield
    /// point.
    #[must_use]
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl From<fs::OpenOptions> for OpenOptions {
    fn from(std: fs::OpenOptions) -> Self {
        Self { std }
    }
}
