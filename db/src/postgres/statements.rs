//! The prepared statements of a connection, by their text.

use std::collections::HashMap;

use tokio_postgres::Statement;

/// At most `max` statements; the one whose last use is longest ago makes room.
pub(super) struct Statements<S = Statement> {
    max: usize,
    /// Each with the number of its last use.
    known: HashMap<Box<str>, (S, u64)>,
    uses: u64,
}

impl<S: Clone> Statements<S> {
    pub(super) fn new(max: usize) -> Self {
        Self { max, known: HashMap::new(), uses: 0 }
    }

    pub(super) fn find(&mut self, sql: &str) -> Option<S> {
        let (statement, last_use) = self.known.get_mut(sql)?;
        self.uses += 1;
        *last_use = self.uses;
        Some(statement.clone())
    }

    /// Returns a statement that has to make room, if there is one: its destructor tells the
    /// server.
    pub(super) fn keep(&mut self, sql: &str, statement: S) -> Option<S> {
        if self.max == 0 {
            return Some(statement);
        }
        let mut removed = None;
        if self.known.len() >= self.max && !self.known.contains_key(sql) {
            let oldest = self.known.iter().min_by_key(|(_, (_, last_use))| *last_use);
            let oldest = oldest.map(|(sql, _)| sql.clone());
            removed =
                oldest.and_then(|sql| self.known.remove(&sql)).map(|(statement, _)| statement);
        }
        self.uses += 1;
        self.known.insert(sql.into(), (statement, self.uses));
        removed
    }

    pub(super) fn forget(&mut self, sql: &str) -> Option<S> {
        self.known.remove(sql).map(|(statement, _)| statement)
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_that_was_not_used_for_longest_makes_room() {
        let mut statements = Statements::new(2);
        assert_eq!(statements.keep("a", 1), None);
        assert_eq!(statements.len(), 1);
        assert_eq!(statements.keep("b", 2), None);
        assert_eq!(statements.find("a"), Some(1));
        assert_eq!(statements.keep("c", 3), Some(2), "`a` was used later");
        assert_eq!(statements.len(), 2);
        assert_eq!(statements.keep("c", 4), None, "it is replaced");
        assert_eq!(
            [statements.find("a"), statements.find("b"), statements.find("c")],
            [Some(1), None, Some(4)]
        );
        assert_eq!(statements.forget("a"), Some(1));
        assert_eq!(statements.find("a"), None);
    }

    #[test]
    fn a_limit_of_zero_keeps_none() {
        let mut statements = Statements::new(0);
        assert_eq!(statements.keep("a", 1), Some(1));
        assert_eq!(statements.len(), 0);
    }
}
