//! Opens files below a directory, and never another file: each name is resolved from the
//! directory's descriptor, and a symbolic link counts only if it stays below.
//!
//! Linux resolves a name so in one call, `openat2`. On other systems, on old kernels and in
//! sandboxes without this call, `walk` opens the name part by part and resolves the links itself.
//! It also resolves what `openat2` refuses and is still below: a link whose target is absolute.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
#[cfg(target_os = "linux")]
use rustix::fs::{ResolveFlags, openat2};
use rustix::io::Errno;

/// A directory, below which files are opened.
#[derive(Debug)]
pub(super) struct Directory {
    root: OwnedFd,
    /// Its absolute path without links, by which links with absolute targets are understood.
    path: PathBuf,
    /// `openat2` works here.
    has_openat2: bool,
}

impl Directory {
    /// Opens the directory. Later changes of the path do not matter.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, &path, flags, Mode::empty())?;
        let mut directory = Self { root, path, has_openat2: true };
        directory.has_openat2 = directory.try_openat2(b".", true).is_ok();
        Ok(directory)
    }

    /// Opens what has that name: a file, or a directory, a pipe, a device. It never waits for the
    /// other end of a pipe. The name has no segments `..` of its own, but links may.
    ///
    /// `XDEV` if a link leaves the directory, `LOOP` also if there is a link and
    /// `follows_symlinks` is false.
    pub(super) fn open_file(&self, name: &[u8], follows_symlinks: bool) -> Result<File, Errno> {
        if self.has_openat2 {
            for _ in 0..TRIES {
                match self.try_openat2(name, follows_symlinks) {
                    // AGAIN: a rename during a resolution that has met `..`.
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(Errno::XDEV) => break,
                    result => return result,
                }
            }
        }
        self.walk(name, follows_symlinks)
    }

    #[cfg(target_os = "linux")]
    fn try_openat2(&self, name: &[u8], follows_symlinks: bool) -> Result<File, Errno> {
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        resolve.set(ResolveFlags::NO_SYMLINKS, !follows_symlinks);
        openat2(&self.root, name, READ, Mode::empty(), resolve).map(File::from)
    }

    #[cfg(not(target_os = "linux"))]
    fn try_openat2(&self, _: &[u8], _: bool) -> Result<File, Errno> {
        Err(Errno::NOSYS)
    }

    /// Resolves the name part by part. `..` goes back to the descriptor from which the walk has
    /// come, and not to what the system says is above, which a rename may have changed.
    fn walk(&self, name: &[u8], follows_symlinks: bool) -> Result<File, Errno> {
        let mut folders: Vec<OwnedFd> = Vec::new();
        let mut parts = reversed(name);
        let mut links = 0;
        while let Some(part) = parts.pop() {
            if part == b"." {
                continue;
            }
            if part == b".." {
                folders.pop().ok_or(Errno::XDEV)?;
                continue;
            }
            let folder = folders.last().unwrap_or(&self.root);
            let is_last = parts.is_empty();
            let mut flags = READ | OFlags::NOFOLLOW;
            flags.set(OFlags::DIRECTORY, !is_last);
            match without_interrupt(|| openat(folder, &*part, flags, Mode::empty())) {
                Ok(file) if is_last => return Ok(file.into()),
                Ok(_) if folders.len() == DEPTH_MAX => return Err(Errno::NAMETOOLONG),
                Ok(opened) => folders.push(opened),
                // What the systems say about a link that is not followed.
                Err(error @ (Errno::LOOP | Errno::MLINK | Errno::NOTDIR)) => {
                    let target = match readlinkat(folder, &*part, Vec::new()) {
                        Err(Errno::INVAL) => return Err(error), // no link
                        target => target?,
                    };
                    links += 1;
                    if !follows_symlinks || links > LINKS_MAX {
                        return Err(Errno::LOOP);
                    }
                    let mut target = target.as_bytes();
                    if target.starts_with(b"/") {
                        target = self.below(target)?;
                        folders.clear();
                    }
                    parts.extend(reversed(target));
                }
                Err(error) => return Err(error),
            }
        }
        let folder = folders.last().unwrap_or(&self.root);
        without_interrupt(|| openat(folder, ".", READ, Mode::empty())).map(File::from)
    }

    /// The part of an absolute path that is below this directory.
    fn below<'p>(&self, path: &'p [u8]) -> Result<&'p [u8], Errno> {
        let own = self.path.as_os_str().as_bytes();
        let rest = path.strip_prefix(own).ok_or(Errno::XDEV)?;
        let is_below = rest.is_empty() || rest.starts_with(b"/") || own == b"/";
        is_below.then_some(rest).ok_or(Errno::XDEV)
    }
}

/// The parts between slashes, the first at the end.
fn reversed(name: &[u8]) -> Vec<Vec<u8>> {
    name.rsplit(|&byte| byte == b'/').filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
}

fn without_interrupt<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// `NONBLOCK`: to open a pipe does not wait for its other end.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// How often `openat2` is tried while it is interrupted or names change. Arbitrary.
const TRIES: u32 = 4;

/// How many links a name may lead through: as many as Linux allows.
const LINKS_MAX: u32 = 40;

/// How deep a walk may go, because each folder on its way takes a descriptor. Arbitrary.
const DEPTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::process;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A folder with a site in it and a secret beside the site; it is removed when this is dropped.
    struct Site(PathBuf);

    impl Site {
        fn new() -> Self {
            static NUMBER: AtomicU64 = AtomicU64::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let base = std::env::temp_dir();
            let base = base.canonicalize().unwrap();
            let folder = base.join(format!("straightline-beneath-{}-{number}", process::id()));
            let root = folder.join("site");
            fs::create_dir_all(root.join("sub/deep")).unwrap();
            fs::create_dir_all(folder.join("site-other")).unwrap();
            for file in ["secret", "site-other/secret", "site/a", "site/sub/b", "site/sub/deep/c"] {
                fs::write(folder.join(file), file).unwrap();
            }
            let absolute = |path: &str| root.join(path).into_os_string().into_string().unwrap();
            for (link, target) in [
                ("inside", "sub/b".to_owned()),
                ("sub/up", "../a".to_owned()),
                ("sub/up-and-down", "../sub/deep/../b".to_owned()),
                ("folder", "sub/deep/".to_owned()),
                ("itself", ".".to_owned()),
                ("chain", "inside".to_owned()),
                ("absolute", absolute("sub/b")),
                ("sub/absolute-folder", absolute("sub")),
                ("outside", "../secret".to_owned()),
                ("out-and-in", "../site/a".to_owned()),
                ("outside-folder", "..".to_owned()),
                ("sub/far", "../../../../../../../../etc/passwd".to_owned()),
                ("etc", "/etc".to_owned()),
                ("absolute-outside", absolute("../secret")),
                ("neighbour", absolute("../site-other/secret")),
                ("loop", "loop".to_owned()),
                ("loop-a", "loop-b".to_owned()),
                ("loop-b", "loop-a".to_owned()),
                ("dangling", "nothing".to_owned()),
                ("magic", "/proc/self/root/etc/passwd".to_owned()),
                ("magic-folder", "/proc/self/cwd".to_owned()),
            ] {
                symlink(target, root.join(link)).unwrap();
            }
            Self(folder)
        }

        /// The directory with `openat2`, where the system has it, and without.
        fn directories(&self) -> [Directory; 2] {
            let root = self.0.join("site");
            let mut walking = Directory::open(&root).unwrap();
            walking.has_openat2 = false;
            [Directory::open(&root).unwrap(), walking]
        }
    }

    impl Drop for Site {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn read(directory: &Directory, name: &str, follows_symlinks: bool) -> Result<String, Errno> {
        let mut text = String::new();
        let mut file = directory.open_file(name.as_bytes(), follows_symlinks)?;
        match file.read_to_string(&mut text) {
            Ok(_) => Ok(text),
            Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }

    #[test]
    fn links_that_stay_below_are_followed_and_no_others() {
        let site = Site::new();
        for directory in site.directories() {
            for (name, content) in [
                ("a", "site/a"),
                ("sub/b", "site/sub/b"),
                ("sub//deep/./c", "site/sub/deep/c"),
                ("inside", "site/sub/b"),
                ("chain", "site/sub/b"),
                ("sub/up", "site/a"),
                ("sub/up-and-down", "site/sub/b"),
                ("folder/c", "site/sub/deep/c"),
                ("itself/itself/itself/a", "site/a"),
                ("absolute", "site/sub/b"),
                ("sub/absolute-folder/b", "site/sub/b"),
            ] {
                assert_eq!(read(&directory, name, true).as_deref(), Ok(content), "{name}");
            }
            for name in [
                "outside",
                "out-and-in",
                "outside-folder/secret",
                "outside-folder/site/a",
                "sub/far",
                "etc/passwd",
                "absolute-outside",
                "neighbour",
                "magic",
                "magic-folder/a",
                "../secret",
                "sub/../../secret",
            ] {
                assert_eq!(read(&directory, name, true), Err(Errno::XDEV), "{name}");
            }
            for name in ["loop", "loop-a", "loop-b/a"] {
                assert_eq!(read(&directory, name, true), Err(Errno::LOOP), "{name}");
            }
        }
    }

    #[test]
    fn what_is_not_there_is_an_error_of_the_system() {
        let site = Site::new();
        let long = "a".repeat(256);
        for directory in site.directories() {
            for (name, error) in [
                ("nothing", Errno::NOENT),
                ("dangling", Errno::NOENT),
                ("nothing/a", Errno::NOENT),
                ("a/b", Errno::NOTDIR),
                ("inside/b", Errno::NOTDIR),
                (&long, Errno::NAMETOOLONG),
                ("sub", Errno::ISDIR),
                ("folder", Errno::ISDIR),
                ("itself", Errno::ISDIR),
            ] {
                assert_eq!(read(&directory, name, true), Err(error), "{name}");
            }
            let deep = format!("{}a", "itself/".repeat(10_000));
            assert!(read(&directory, &deep, true).is_err());
        }
    }

    #[test]
    fn without_links_only_true_names_count() {
        let site = Site::new();
        for directory in site.directories() {
            assert_eq!(read(&directory, "sub/b", false).as_deref(), Ok("site/sub/b"));
            for name in ["inside", "folder/c", "absolute", "outside", "loop"] {
                assert_eq!(read(&directory, name, false), Err(Errno::LOOP), "{name}");
            }
        }
    }

    #[test]
    fn a_walk_keeps_few_descriptors() {
        let site = Site::new();
        let [_, directory] = site.directories();
        let deep = "d/".repeat(DEPTH_MAX + 2);
        fs::create_dir_all(site.0.join("site").join(&deep)).unwrap();
        let last = "d/".repeat(DEPTH_MAX + 1);
        assert_eq!(read(&directory, &last, true), Err(Errno::ISDIR));
        assert_eq!(read(&directory, &deep, true), Err(Errno::NAMETOOLONG));
    }
}
