//! The values of fiber-locals, as a fiber's record keeps them; `core` has the rules.

use std::any::Any;
use std::rc::Rc;

/// One fiber's value of one fiber-local.
pub(crate) struct Local {
    /// Where the key is, which is what tells it from others.
    pub(crate) key: usize,
    pub(crate) value: Rc<dyn Any>,
    /// Makes the value that a new child begins with; `None` if it begins afresh.
    pub(crate) inherit: Option<Inherit>,
}

/// Few fibers have any.
pub(crate) type Locals = Vec<Local>;

/// Makes a child's value of its parent's.
pub(crate) type Inherit = fn(&dyn Any) -> Rc<dyn Any>;
