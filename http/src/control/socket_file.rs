//! The file of a Unix socket: whose it is, when it may be replaced, and when it goes.
//!
//! A server that crashed leaves its file behind, and the next one has to replace it. To ask by a
//! connect whether a program listens is not enough: Linux says "connection refused" also of a
//! regular file, a FIFO, and a socket that is bound and does not listen yet; and it waits where the
//! queue is full. So a file is replaced only if it is a socket that no program has bound, which a
//! connect of the *wrong type* tells at once: of a stream socket that a program has it says that
//! the type is wrong, in whatever state that is, and of a left-over that the connection is refused.
//!
//! At the end a server removes its own file only. What tells it from one that was put there
//! meanwhile is its number, which no other file gets as long as the socket is open; so the file
//! goes before the socket is closed, when a stop closes the port. Then a successor that waits for
//! the path is not disturbed, and the clients that are in the queue by then are served.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::path::{self, Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use straightline_net::BoundUnixListener;
use straightline_sched::sim;

/// A file of this server. Dropping it removes the file, unless another file has its place by then.
#[derive(Debug)]
pub(crate) struct SocketFile {
    /// An absolute path: the program may change its folder.
    path: PathBuf,
    number: (u64, u64),
    /// While the socket is open, no other file gets the number.
    _socket: BoundUnixListener,
}

/// Opens a listener at `path`, in the place of a file that a crashed server has left there.
///
/// # Errors
///
/// `AddrInUse` if a program has a socket there, or the file is not a socket; the message says
/// which.
pub(crate) fn claim(path: &Path) -> io::Result<(BoundUnixListener, Option<SocketFile>)> {
    if sim::is_simulated() {
        return Ok((BoundUnixListener::bind(path)?, None)); // there are no files
    }
    let listener = match BoundUnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => replace(path)?,
        result => result?,
    };
    let path = path::absolute(path)?;
    let (number, socket) = (number(&path)?, listener.try_clone()?);
    Ok((listener, Some(SocketFile { path, number, _socket: socket })))
}

fn replace(path: &Path) -> io::Result<BoundUnixListener> {
    // If two servers start at the same time, one has to find the other's socket.
    let _locked = lock_folder(path)?;
    match BoundUnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {}
        result => return result,
    }
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.file_type().is_socket() {
        return Err(in_use("there is a file that is no socket"));
    }
    match UnixDatagram::unbound()?.connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(in_use("there is a socket that may not be asked whether it is in use"));
        }
        _ => return Err(in_use("somebody has the socket there")),
    }
    fs::remove_file(path)?;
    BoundUnixListener::bind(path)
}

/// Locks the folder of `path` against other servers that start there, until the file is dropped.
fn lock_folder(path: &Path) -> io::Result<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new(".")))?;
    for _ in 0..LOCK_TRIES {
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => sleep(LOCK_PAUSE),
            // Where folders cannot be locked, two that start at the same time are not told apart.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(folder),
        }
    }
    Err(in_use("the file there cannot be replaced, as another program has locked its folder"))
}

fn number(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn in_use(message: &str) -> io::Error {
    io::Error::new(ErrorKind::AddrInUse, message)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if number(&self.path).is_ok_and(|number| number == self.number) {
            // If the file is gone by now, it need not be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// How often to try the lock of a folder, and the pause between: a second in all. Another server
/// needs some microseconds.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
