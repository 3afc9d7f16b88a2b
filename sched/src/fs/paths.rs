//! What acts on paths: each is one job, and std's function of the same name.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix;
use std::path::{Path, PathBuf};

use super::job::run_job;

/// As [`std::fs::metadata`]: what is known of a file. Links are followed.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// Nothing is changed.
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
///     assert!(fs::metadata("Cargo.toml")?.is_file());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref().to_owned();
    run_job(move || fs::metadata(path))
}

/// As [`std::fs::symlink_metadata`]: what is known of a file, or of the link itself.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// Nothing is changed.
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
///     assert!(!fs::symlink_metadata("Cargo.toml")?.is_symlink());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref().to_owned();
    run_job(move || fs::symlink_metadata(path))
}

/// As [`std::fs::exists`]: whether there is a file or a folder. A broken link is none.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// Nothing is changed.
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
///     assert!(fs::exists("Cargo.toml")?);
///     assert!(!fs::exists("no such file")?);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = path.as_ref().to_owned();
    run_job(move || fs::exists(path))
}

/// As [`std::fs::canonicalize`]: the absolute path without links.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// Nothing is changed.
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
///     assert!(fs::canonicalize("Cargo.toml")?.is_absolute());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    run_job(move || fs::canonicalize(path))
}

/// As [`std::fs::read_link`]: the path that a link contains.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// Nothing is changed.
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
/// #     let name = format!("straightline-read-link-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     fs::symlink("Cargo.toml", &path)?;
///     assert_eq!(fs::read_link(&path)?.to_str(), Some("Cargo.toml"));
///     fs::remove_file(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    run_job(move || fs::read_link(path))
}

/// As [`std::fs::create_dir`]: makes a folder. Its parent must be there.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// The change may have happened, see [the module](super#cancellation).
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
/// #     let name = format!("straightline-create-dir-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     fs::create_dir(&path)?;
///     fs::remove_dir(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    run_job(move || fs::create_dir(path))
}

/// As [`std::fs::create_dir_all`]: makes a folder, and its parents if they are missing.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// The change may have happened, see [the module](super#cancellation).
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
/// #     let name = format!("straightline-create-dir-all-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     fs::create_dir_all(path.join("a/b"))?;
///     fs::create_dir_all(path.join("a/b"))?; // is there already
///     fs::remove_dir_all(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    run_job(move || fs::create_dir_all(path))
}

/// As [`std::fs::remove_file`]: removes a file or a link.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// The change may have happened, see [the module](super#cancellation).
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
/// #     let name = format!("straightline-remove-file-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     fs::write(&path, "")?;
///     fs::remove_file(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    run_job(move || fs::remove_file(path))
}

/// As [`std::fs::remove_dir`]: removes an empty folder.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// The change may have happened, see [the module](super#cancellation).
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
/// #     let name = format!("straightline-remove-dir-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     fs::create_dir(&path)?;
///     fs::remove_dir(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    run_job(move || fs::remove_dir(path))
}

/// As [`std::fs::remove_dir_all`]: removes a folder with everything in it. Links are not followed.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// The job goes on until the whole folder is removed.
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
/// #     let name = format!("straightline-remove-dir-all-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     fs::create_dir_all(path.join("a/b"))?;
///     fs::remove_dir_all(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    run_job(move || fs::remove_dir_all(path))
}

/// As [`std::fs::rename`]: gives a file or a folder another name. A file at `to` is replaced in one
/// step.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// The change may have happened, see [the module](super#cancellation).
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
/// #     let name = format!("straightline-rename-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     fs::write(&path, "new")?;
///     let to = path.with_extension("conf");
///     fs::rename(&path, &to)?;
///     fs::remove_file(&to)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    run_job(move || fs::rename(from, to))
}

/// As [`std::fs::hard_link`]: gives a file one more name.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// The change may have happened, see [the module](super#cancellation).
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
/// #     let name = format!("straightline-hard-link-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     fs::write(&path, "")?;
///     let link = path.with_extension("link");
///     fs::hard_link(&path, &link)?;
///     fs::remove_file(&path)?;
///     fs::remove_file(&link)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (original.as_ref().to_owned(), link.as_ref().to_owned());
    run_job(move || fs::hard_link(original, link))
}

/// As [`std::os::unix::fs::symlink`]: makes a link that contains the path `original`.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// The change may have happened, see [the module](super#cancellation).
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
/// #     let name = format!("straightline-symlink-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     fs::symlink(fs::canonicalize("Cargo.toml")?, &path)?;
///     assert!(fs::metadata(&path)?.is_file());
///     fs::remove_file(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (original.as_ref().to_owned(), link.as_ref().to_owned());
    run_job(move || unix::fs::symlink(original, link))
}

/// As [`std::fs::set_permissions`]: changes the permissions of a file or a folder.
///
/// # Blocking
///
/// A yield point.
///
/// # Cancellation
///
/// The change may have happened, see [the module](super#cancellation).
///
/// # Errors
///
/// See [the module](super#errors).
///
/// ```
/// use straightline_sched::{self as sched, fs};
///
/// sched::run(|| {
/// #     let name = format!("straightline-permissions-{}", std::process::id());
/// #     let path = std::env::temp_dir().join(name);
///     fs::write(&path, "")?;
///     let mut permissions = fs::metadata(&path)?.permissions();
///     permissions.set_readonly(true);
///     fs::set_permissions(&path, permissions)?;
///     assert!(fs::metadata(&path)?.permissions().readonly());
///     fs::remove_file(&path)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    run_job(move || fs::set_permissions(path, permissions))
}
