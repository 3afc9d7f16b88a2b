//! The values of fiber-locals in a fiber's record; `core` has the rules.

use std::any::Any;
use std::rc::Rc;

/// One fiber's value of one fiber-local.
pub(crate) struct Local {
    /// The address of the key, which identifies it.
    pub(crate) key: usize,
    pub(crate) value: Rc<dyn Any>,
    /// Makes the value that a new child begins with; `None` if it begins without one.
    pub(crate) inherit: Option<Inherit>,
}

/// Few fibers have any value.
pub(crate) type Locals = Vec<Local>;

/// Makes a child's value from its parent's.
pub(crate) type Inherit = fn(&dyn Any) -> Rc<dyn Any>;
