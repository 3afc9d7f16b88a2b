//! The log on stderr, whose level can be changed, and the file of the access log, which another
//! program may rotate.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use slog::{Drain, Logger, o};
use slog_term::{FullFormat, PlainSyncDecorator};
use straightline::{LogLevel, sched};

/// A log on stderr, whose level can be changed. The lines go through a queue to a thread of its
/// own, so that a slow reader of stderr does not delay the server.
pub(crate) fn logger(level: &LogLevel) -> Logger {
    let log = FullFormat::new(PlainSyncDecorator::new(sched::stderr())).build();
    Logger::root(level.filter(log).ignore_res(), o!())
}

/// A file that can be opened again under the same name, after another program has moved it.
#[derive(Clone)]
pub(crate) struct RotatedFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl RotatedFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = Arc::new(Mutex::new(open(path)?));
        Ok(Self { path: path.to_owned(), file })
    }

    pub(crate) fn reopen(&self) -> io::Result<()> {
        let file = open(&self.path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }
}

impl Write for RotatedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
