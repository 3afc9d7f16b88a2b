//! The log on stderr, whose level can be changed, and the file of the access log, which another
//! program may rotate.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use slog::{Drain, Level, Logger, o};
use slog_term::{FullFormat, PlainSyncDecorator};
use straightline::sched;

/// The level of the log.
#[derive(Clone)]
pub(crate) struct LogLevel(Arc<AtomicUsize>);

impl LogLevel {
    pub(crate) fn new(level: Level) -> Self {
        Self(Arc::new(AtomicUsize::new(level.as_usize())))
    }

    pub(crate) fn set(&self, level: Level) {
        self.0.store(level.as_usize(), Ordering::Relaxed);
    }

    /// A log on stderr. The lines go through a queue to a thread of its own, so that a slow reader
    /// of stderr does not delay the server.
    pub(crate) fn logger(&self) -> Logger {
        let Self(level) = self.clone();
        let log = FullFormat::new(PlainSyncDecorator::new(sched::stderr())).build();
        let is_wanted = move |record: &slog::Record<'_>| {
            record.level().as_usize() <= level.load(Ordering::Relaxed)
        };
        Logger::root(log.filter(is_wanted).ignore_res(), o!())
    }
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
