//! The outcomes of clients, counted in a tally.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use straightline_harness::{End, Reply};

use crate::answer::Answer;

/// How one request of a client, or its connection, ended.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// A whole response with this status.
    Answered(u16),
    /// The connection ended without a response.
    Ended(End),
    /// The connection ended within a response.
    Half(End),
    /// Nothing arrived within the bound.
    Hung,
    Failed(String),
}

/// The outcomes of many clients, and when they came.
#[derive(Default)]
pub(crate) struct Tally {
    outcomes: BTreeMap<Outcome, usize>,
    first: Option<Duration>,
    last: Duration,
}

impl Outcome {
    /// Whether the server refused the client, with this status or by ending the connection.
    pub(crate) fn is_refusal(&self, status: u16) -> bool {
        matches!(self, Self::Ended(_)) || *self == Self::Answered(status)
    }
}

impl From<io::Result<Reply<Answer>>> for Outcome {
    fn from(reply: io::Result<Reply<Answer>>) -> Self {
        match reply {
            Ok(Reply::Whole(answer)) => Self::Answered(answer.status),
            Ok(Reply::Nothing(end)) => Self::Ended(end),
            Ok(Reply::Half(end)) => Self::Half(end),
            Err(error) => error.into(),
        }
    }
}

impl From<io::Error> for Outcome {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::TimedOut => Self::Hung,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Ended(End::Reset),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl Tally {
    pub(crate) fn add(&mut self, outcome: Outcome, time: Duration) {
        *self.outcomes.entry(outcome).or_default() += 1;
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = self.last.max(time);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += count;
        }
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
    }

    /// The number of outcomes for which `is` holds.
    pub(crate) fn count(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|(outcome, _)| is(outcome)).map(|(_, count)| count).sum()
    }

    pub(crate) fn answered(&self, status: u16) -> usize {
        self.count(|outcome| *outcome == Outcome::Answered(status))
    }

    pub(crate) fn total(&self) -> usize {
        self.outcomes.values().sum()
    }

    /// Whether there are outcomes, and `is` holds for all.
    pub(crate) fn all(&self, is: impl Fn(&Outcome) -> bool) -> bool {
        self.total() > 0 && self.count(is) == self.total()
    }

    /// When the first outcome came.
    pub(crate) fn first(&self) -> Duration {
        self.first.unwrap_or_default()
    }

    pub(crate) fn last(&self) -> Duration {
        self.last
    }
}

impl FromIterator<(Outcome, Duration)> for Tally {
    fn from_iter<I: IntoIterator<Item = (Outcome, Duration)>>(outcomes: I) -> Self {
        let mut tally = Self::default();
        outcomes.into_iter().for_each(|(outcome, time)| tally.add(outcome, time));
        tally
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "{status}"),
            Self::Ended(end) => end.fmt(f),
            Self::Half(end) => write!(f, "{end} within a response"),
            Self::Hung => f.write_str("hung"),
            Self::Failed(error) => write!(f, "failed ({error})"),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.outcomes.is_empty() {
            return f.write_str("none");
        }
        for (index, (outcome, count)) in self.outcomes.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} × {outcome}")?;
        }
        let (first, last) = (self.first().as_secs_f64(), self.last.as_secs_f64());
        write!(f, "; after {first:.2} to {last:.2} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_counts_and_tells() {
        let second = Duration::from_secs(1);
        let outcomes =
            [Outcome::Answered(408), Outcome::Ended(End::Closed), Outcome::Answered(408)];
        let tally: Tally = outcomes
            .into_iter()
            .zip(1..)
            .map(|(outcome, times)| (outcome, second * times))
            .collect();
        assert_eq!(tally.to_string(), "2 × 408, 1 × closed; after 1.00 to 3.00 s");
        assert_eq!((tally.total(), tally.answered(408)), (3, 2));
        assert!(tally.all(|outcome| outcome.is_refusal(408)) && !tally.all(|f| f.is_refusal(503)));
        assert!(!Tally::default().all(|_| true));
    }
}
