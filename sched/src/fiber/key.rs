//! A fiber's number in its shard, by which other fibers and messages name it.

use slotmap::new_key_type;

new_key_type! {
    /// A fiber's place in its shard's table; never reused for another fiber.
    pub(crate) struct FiberKey;
}
