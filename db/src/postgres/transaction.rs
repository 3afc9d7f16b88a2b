//! Transactions that end with their value.

use std::fmt;
use std::ops::Deref;

use super::client::{Client, TransactionState};
use crate::error::Error;

/// A transaction. It is rolled back if it is dropped before [`commit`](Self::commit), also by an
/// unwind; the drop itself sends and waits for nothing. `ROLLBACK` comes before the next statement
/// of the connection, or is sent by the pool before the next fiber gets the connection.
///
/// It has the calls of a [`Client`]. The isolation level is its first statement:
/// `SET TRANSACTION ISOLATION LEVEL SERIALIZABLE`.
///
/// ```no_run
/// use straightline_db::{Error, postgres::Client};
///
/// fn pay(client: &mut Client, from: i64, to: i64, amount: i64) -> Result<bool, Error> {
///     let transaction = client.transaction()?;
///     let take = "UPDATE accounts SET balance = balance - $2 WHERE id = $1 AND balance >= $2";
///     if transaction.execute(take, &[&from, &amount])? == 0 {
///         return Ok(false); // nothing was changed
///     }
///     let give = "UPDATE accounts SET balance = balance + $2 WHERE id = $1";
///     transaction.execute(give, &[&to, &amount])?;
///     transaction.commit()?;
///     Ok(true)
/// }
/// ```
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction<'c> {
    client: &'c Client,
}

impl Client {
    /// Begins a transaction.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// See [`Client`].
    ///
    /// # Errors
    ///
    /// As [`batch_execute`](Self::batch_execute).
    ///
    /// [`Transaction`] has an example.
    pub fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        self.settle()?;
        // Before the answer: if this unwinds, it is not known whether the server has begun.
        self.transaction.set(TransactionState::Left);
        self.wait(self.inner.batch_execute("BEGIN"))?;
        self.transaction.set(TransactionState::Open);
        Ok(Transaction { client: self })
    }
}

impl Transaction<'_> {
    /// Makes the changes visible to others, and lasting.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// If the fiber unwinds in here, it is not known whether the changes were made. Where that
    /// matters, put the call into [`uncancellable`](straightline_sched::uncancellable()), with a
    /// deadline of its own.
    ///
    /// # Errors
    ///
    /// As [`Client::batch_execute`]: a constraint that is checked at the end, or another
    /// transaction in the way (SQLSTATE 40001). Nothing was changed then, unless the connection
    /// broke ([`Error::is_disconnect`]). If a statement of the transaction has failed before, the
    /// server answers with a rollback, which is the error SQLSTATE 25P02 here.
    pub fn commit(self) -> Result<(), Error> {
        // In a failed transaction `COMMIT` succeeds, and rolls back. A statement before it fails.
        self.end("SELECT 1; COMMIT")
    }

    /// Takes the changes back, and waits for it. A drop does the same without waiting.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// As a drop: nothing was changed.
    ///
    /// # Errors
    ///
    /// As [`Client::batch_execute`]. Nothing was changed in any case.
    pub fn rollback(self) -> Result<(), Error> {
        self.end("ROLLBACK")
    }

    fn end(self, sql: &str) -> Result<(), Error> {
        self.client.wait(self.client.inner.batch_execute(sql))?;
        self.client.transaction.set(TransactionState::None);
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.client.transaction.get() == TransactionState::Open {
            self.client.transaction.set(TransactionState::Left);
        }
    }
}

impl Deref for Transaction<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transaction").field(self.client).finish()
    }
}
