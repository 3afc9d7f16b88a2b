//! All that was measured.

use crate::compare::environment::Environment;
use crate::compare::idle::Idle;
use crate::compare::latency::Open;
use crate::compare::rounds::Closed;

/// All results of a run.
pub(in crate::compare) struct Results {
    pub(in crate::compare) environment: Environment,
    pub(in crate::compare) closed: Vec<Closed>,
    pub(in crate::compare) open: Vec<Open>,
    pub(in crate::compare) idle: Vec<Idle>,
}

impl Results {
    pub(in crate::compare) fn new(environment: Environment) -> Self {
        Self { environment, closed: Vec::new(), open: Vec::new(), idle: Vec::new() }
    }

    /// Whether each server gave the expected responses and no other ones in the closed loops, where
    /// a client that waits for ever is an error, too. In the open ones a server that is too slow
    /// for a rate is a result and no failure.
    pub(in crate::compare) fn is_good(&self) -> bool {
        let mut rounds = self.closed.iter().flat_map(|closed| &closed.rounds);
        rounds.all(|round| round.outcome.errors == 0)
    }
}
