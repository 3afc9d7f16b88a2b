//! Scopes: what their fibers may borrow, and what a scope waits for.

#[path = "../common/mod.rs"]
mod common;

mod a_panic_of_a_child_reaches_the_scope;
mod a_scope_cancels_its_fibers_when_its_body_unwinds;
mod a_scope_joins_its_fibers;
mod a_scope_never_waits_in_a_drop;
mod a_scope_waits_for_every_borrower;
mod nothing_ends_a_scope_before_its_fibers;
mod scopes_agree_with_a_model;
mod the_first_error_of_a_try_scope_is_its_result;
