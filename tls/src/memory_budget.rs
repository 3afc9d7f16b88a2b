//! A bound on the memory of many connections together.

/// A bound on the memory that many TLS connections hold together while they wait for their peers.
///
/// A stream that [has one](crate::TlsStream::with_memory_budget) counts its buffers in it whenever
/// it waits: bytes of a record or of a message that has not arrived as a whole, and bytes that the
/// peer has made no room for. A connection at rest counts nothing.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use straightline_tls::MemoryBudget;
///
/// struct Budget {
///     held: AtomicUsize,
///     max: usize,
/// }
///
/// impl MemoryBudget for Budget {
///     fn try_add(&self, bytes: usize) -> bool {
///         let fits = |held: usize| held.checked_add(bytes).filter(|&sum| sum <= self.max);
///         self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
///     }
///
///     fn remove(&self, bytes: usize) {
///         self.held.fetch_sub(bytes, Ordering::Relaxed);
///     }
/// }
/// ```
pub trait MemoryBudget: Send + Sync + 'static {
    /// Counts `bytes` more, if there is room for them; false if there is not. Not a yield point.
    fn try_add(&self, bytes: usize) -> bool;

    /// Counts `bytes` less. Not a yield point.
    fn remove(&self, bytes: usize);
}
