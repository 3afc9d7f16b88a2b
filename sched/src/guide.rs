//! Pages about the whole library, beside the documentation of its items.
//!
//! The texts are those of the folder `docs/` in the repository, and their examples run as tests.
//! `straightline::guide` has the same pages, and those about the server.

// The pages are prose with many names that are no code.
#![allow(clippy::doc_markdown)]

/// What not to do on a fiber, what happens there, and what to use instead. Read it before you run
/// existing code on fibers.
///
/// [soundness]: crate::guide::soundness
#[doc = include_str!("../docs/hazards.md")]
pub mod hazards {}

/// What safe code can rely on, and why.
///
/// [thread-bound]: crate::guide::hazards#state-that-is-tied-to-the-thread-by-a-closure
#[doc = include_str!("../docs/soundness.md")]
pub mod soundness {}

/// The two drivers, what each costs, and when to take which.
#[doc = include_str!("../docs/drivers.md")]
pub mod drivers {}
