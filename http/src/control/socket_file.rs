//! The file of a Unix socket: who owns it, when it may be replaced, and when it is removed.
//!
//! A server that crashed leaves its file behind, and the next server has to replace it. An ordinary
//! connect does not show whether a program listens: Linux says "connection refused" also for a
//! regular file, a FIFO, and a socket that is bound but does not listen yet, and the connect waits
//! if the queue is full. So a file is replaced only if it is a socket to which no program is bound.
//! A connect of the *wrong type* shows that at once: if a program has bound a stream socket, in
//! whatever state, the kernel says that the type is wrong. If the file is a left-over, the kernel
//! says that the connection is refused.
//!
//! A shutdown removes the server's own file only. The inode number distinguishes it from a file
//! that another program has put in its place: no other file gets that number as long as the socket
//! is open. So the file is removed before the socket is closed, when the shutdown closes the port.
//! Then a successor that waits for the path is not disturbed, and the clients that are in the queue
//! by then are served.

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
    /// While the socket is open, no other file gets this number.
    _socket: BoundUnixListener,
}

/// Opens a listener at `path`, in the place of a file that a crashed server has left there.
///
/// # Errors
///
/// `AddrInUse` if a program is bound to the path, or the file is not a socket; the message says
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
    // If two servers start at the same time, the second has to find the socket of the first.
    let _locked = lock_folder(path)?;
    match BoundUnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {}
        result => return result,
    }
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.file_type().is_socket() {
        return Err(in_use("the file there is not a socket"));
    }
    match UnixDatagram::unbound()?.connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(in_use("the permissions of the socket there hide whether it is in use"));
        }
        _ => return Err(in_use("another program is bound to the socket there")),
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
            // Where folders cannot be locked, two servers that start together may miss each other.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(folder),
        }
    }
    Err(in_use("the file there cannot be replaced: another program has locked its folder"))
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

/// How often to try to lock a folder, and the pause in between: one second in all. Another server
/// holds the lock for some microseconds.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
