//! The pool with connections that a test makes up, in simulation.
