//! One `with_` method for each field of the structs of settings: the macro of the scheduler, under
//! a name that the protocol core may use.

pub(crate) use straightline_sched::with_fields;
