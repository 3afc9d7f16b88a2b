//! A bound of the handler's own on the body of its request.

use std::cell::Cell;
use std::io;

use crate::body_error::BodyError;

/// How many bytes the handler allows, and how many of them are left.
pub(super) struct BodyLimit {
    bytes_max: u64,
    left: Cell<u64>,
}

impl BodyLimit {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, left: Cell::new(bytes_max) }
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Reads by `read`, unless the client has announced more than is allowed, or sends more.
    pub(super) fn read(
        &self,
        remaining: Option<u64>,
        buffer: &mut [u8],
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let left = self.left.get();
        let too_long = || Err(BodyError::TooLong(self.bytes_max).into());
        if remaining.is_some_and(|remaining| remaining > left) {
            return too_long();
        }
        // One byte more, to notice a body that is too long.
        let most = usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX).min(buffer.len());
        let count = read(&mut buffer[..most])?;
        self.left.set(left.saturating_sub(count as u64));
        if count as u64 > left { too_long() } else { Ok(count) }
    }
}
