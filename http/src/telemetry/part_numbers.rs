//! What parts of the crate above the server count, such as the WebSockets.
//!
//! The server does not know these parts. A part that counts something for a server registers its
//! numbers there by their type, and the server's metrics include them.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::prometheus::Exposition;

/// The numbers of a part, for one server. Its shards change them together.
pub(crate) trait PartNumbers: Any + fmt::Debug + Send + Sync {
    /// Adds them to a text for Prometheus.
    fn put(&self, text: &mut Exposition);
}

/// The numbers of all parts that count for a server. A part that is not used has none.
#[derive(Debug, Default)]
pub(crate) struct PartRegistry {
    parts: Mutex<Vec<Arc<dyn PartNumbers>>>,
}

impl PartRegistry {
    /// The numbers of that type, which are registered at the first call.
    #[cfg(feature = "websocket")]
    pub(crate) fn of<P: PartNumbers + Default>(&self) -> Arc<P> {
        let mut parts = self.parts.lock();
        let found = parts.iter().find_map(|part| {
            let part: Arc<dyn Any + Send + Sync> = Arc::<dyn PartNumbers>::clone(part);
            part.downcast().ok()
        });
        found.unwrap_or_else(|| {
            let part = Arc::new(P::default());
            parts.push(Arc::<P>::clone(&part));
            part
        })
    }

    pub(crate) fn all(&self) -> Vec<Arc<dyn PartNumbers>> {
        self.parts.lock().clone()
    }
}
