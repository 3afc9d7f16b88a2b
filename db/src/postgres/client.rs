//! A connection to PostgreSQL, with blocking calls.
//!
//! `tokio-postgres` splits a connection: its `Client` sends requests to a future that does the
//! input and output. Here a fiber polls that future, and each call waits for its answer.
//!
//! A transaction has the same calls, and ends with its value.
//!
//! The calls keep a count of what is in flight. A fiber that unwinds in the middle of a call leaves
//! the count above zero, so the pool knows that an answer is under way which is not wanted any
//! more.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::ops::Deref;

use bytes::Bytes;
use straightline_sched::{JoinHandle, block_on};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, SimpleQueryMessage, Statement};

use super::copy::{CopyIn, CopyOut};
use super::endpoint::Endpoint;
use super::flight::Flight;
use super::rows::Rows;
use super::statements::Statements;
use crate::error::Error;

/// A connection to PostgreSQL: the calls of [`tokio_postgres::Client`], which wait as blocking code
/// does.
///
/// It comes out of a [`Pool`](crate::Pool) of [`Postgres`](super::Postgres). Several fibers may use
/// it at the same time by reference: their requests are sent without waiting for each other's
/// answers, and answered in order.
///
/// # Statements
///
/// A call that takes SQL as text prepares it once for each connection, and keeps the statement: up
/// to [`PostgresBuilder::statements_max`](super::PostgresBuilder::statements_max). A second use
/// takes one round trip. Pass values as parameters (`$1`) and never inside of the text: that is
/// safe from injection, and each text is prepared only once.
///
/// # Cancellation
///
/// A fiber that is cancelled or past its deadline while it waits for an answer unwinds. The
/// connection is then not used again: the pool sends PostgreSQL a cancel request, from another
/// fiber, and closes the connection. What the statement changed is rolled back, unless it was
/// committed before the request came: after an unwind it is not known whether a statement outside
/// of a transaction, or a commit, was done.
///
/// A fiber that unwinds between two calls gives the connection back, and the pool sends `ROLLBACK`
/// before the next fiber gets it. So a transaction that is left open is never visible to another
/// user.
///
/// ```no_run
/// use straightline_db::postgres::Postgres;
/// use straightline_db::{Error, Pool, PoolConfig};
///
/// # straightline_sched::run(|| {
/// let pool = Pool::new(Postgres::new("postgres://ann@localhost/shop")?, &PoolConfig::default());
/// let client = pool.get()?;
/// for row in client.query("SELECT name, price FROM goods WHERE price < $1", &[&20_i32])? {
///     let (name, price): (&str, i32) = (row.get("name"), row.get("price"));
///     println!("{name}: {price}");
/// }
/// # Ok::<(), Error>(())
/// # });
/// ```
pub struct Client {
    pub(super) inner: tokio_postgres::Client,
    pub(super) endpoint: Endpoint,
    /// The fiber that does the input and output.
    driver: JoinHandle<()>,
    statements: RefCell<Statements>,
    /// Calls whose answers have not come. Those of fibers that unwound stay here.
    in_flight: Cell<usize>,
    pub(super) transaction: Cell<TransactionState>,
    /// Something was sent since the connection was handed out.
    is_used: Cell<bool>,
}

/// What the client knows about a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransactionState {
    None,
    /// A `Transaction` lives.
    Open,
    /// It was dropped without an end: `ROLLBACK` comes first.
    Left,
}

impl Client {
    pub(super) fn new(
        inner: tokio_postgres::Client,
        endpoint: Endpoint,
        driver: JoinHandle<()>,
        statements_max: usize,
    ) -> Self {
        Self {
            inner,
            endpoint,
            driver,
            statements: RefCell::new(Statements::new(statements_max)),
            in_flight: Cell::new(0),
            transaction: Cell::new(TransactionState::None),
            is_used: Cell::new(false),
        }
    }

    /// Runs a statement, and returns its rows.
    ///
    /// All rows are in memory at once; [`query_raw`](Self::query_raw) has them one by one.
    ///
    /// # Blocking
    ///
    /// A yield point, until the last row has come.
    ///
    /// # Cancellation
    ///
    /// See [`Client`].
    ///
    /// # Errors
    ///
    /// [`Error::Postgres`], with the server's answer or that of the connection.
    pub fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let statement = self.prepare(sql)?;
        self.watch(sql, self.wait(self.inner.query(&statement, params)))
    }

    /// As [`query`](Self::query), for exactly one row.
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
    /// As [`query`](Self::query); also if there is no row, or a second one.
    pub fn query_one(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row, Error> {
        let statement = self.prepare(sql)?;
        self.watch(sql, self.wait(self.inner.query_one(&statement, params)))
    }

    /// As [`query`](Self::query), for one row or none.
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
    /// As [`query`](Self::query); also if there is a second row.
    pub fn query_opt(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error> {
        let statement = self.prepare(sql)?;
        self.watch(sql, self.wait(self.inner.query_opt(&statement, params)))
    }

    /// Runs a statement, and returns how many rows it changed.
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
    /// As [`query`](Self::query).
    pub fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let statement = self.prepare(sql)?;
        self.watch(sql, self.wait(self.inner.execute(&statement, params)))
    }

    /// Runs several statements without parameters, with semicolons between them: a migration.
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
    /// As [`query`](Self::query), of the first statement that fails; the others are not run.
    pub fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        self.settle()?;
        self.wait(self.inner.batch_execute(sql))
    }

    /// As [`batch_execute`](Self::batch_execute), with the rows as text.
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
    pub fn simple_query(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        self.settle()?;
        self.wait(self.inner.simple_query(sql))
    }

    /// The prepared statement of that text: the one that this connection knows, or a new one. It is
    /// for [`run`](Self::run), and tells the types of the parameters and columns.
    ///
    /// # Blocking
    ///
    /// A yield point, unless the connection knows the statement.
    ///
    /// # Cancellation
    ///
    /// See [`Client`].
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        self.settle()?;
        let known = self.statements.borrow_mut().find(sql);
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.wait(self.inner.prepare(sql))?;
        let removed = self.statements.borrow_mut().keep(sql, statement.clone());
        drop(removed);
        Ok(statement)
    }

    /// Runs code that is written for [`tokio_postgres::Client`], and waits for it: whatever this
    /// type has no call for.
    ///
    /// Code that sends `BEGIN` itself ends the transaction itself, or the pool is made with
    /// [`PostgresBuilder::reset`](super::PostgresBuilder::reset). Only a fiber that unwinds leaves
    /// nothing open in any case.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// See [`Client`]; the future is dropped.
    ///
    /// # Errors
    ///
    /// The future's.
    ///
    /// ```no_run
    /// # use straightline_db::{Error, postgres::Client};
    /// # fn example(client: &Client) -> Result<(), Error> {
    /// // Two statements under way at the same time.
    /// let (one, two) = client.run(async |client| {
    ///     let (one, two) = (client.query_one("SELECT 1", &[]), client.query_one("SELECT 2", &[]));
    ///     futures_util::future::try_join(one, two).await
    /// })?;
    /// assert_eq!(one.get::<_, i32>(0) + two.get::<_, i32>(0), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run<T>(
        &self,
        body: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Error> {
        self.settle()?;
        self.wait(body(&self.inner))
    }

    /// As [`query`](Self::query), with the rows one by one.
    ///
    /// # Blocking
    ///
    /// A yield point, and so is each row.
    ///
    /// # Cancellation
    ///
    /// See [`Client`].
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query); those of a later row come with it.
    ///
    /// [`Rows`] has an example.
    pub fn query_raw(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Rows<'_>, Error> {
        let statement = self.prepare(sql)?;
        let params = params.iter().copied();
        let stream = self.watch(sql, self.wait(self.inner.query_raw(&statement, params)))?;
        Ok(Rows::new(stream, self.begin()))
    }

    /// Begins a `COPY ... FROM STDIN`.
    ///
    /// # Blocking
    ///
    /// A yield point, and so is each write.
    ///
    /// # Cancellation
    ///
    /// See [`Client`].
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    ///
    /// [`CopyIn`] has an example.
    pub fn copy_in(&self, sql: &str) -> Result<CopyIn<'_>, Error> {
        self.settle()?;
        let sink = self.wait(self.inner.copy_in::<_, Bytes>(sql))?;
        Ok(CopyIn::new(sink, self.begin()))
    }

    /// Begins a `COPY ... TO STDOUT`.
    ///
    /// # Blocking
    ///
    /// A yield point, and so is each read.
    ///
    /// # Cancellation
    ///
    /// See [`Client`].
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    ///
    /// [`CopyOut`] has an example.
    pub fn copy_out(&self, sql: &str) -> Result<CopyOut<'_>, Error> {
        self.settle()?;
        let stream = self.wait(self.inner.copy_out(sql))?;
        Ok(CopyOut::new(stream, self.begin()))
    }

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

    /// Whether the connection has ended. Not a yield point.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// How many statements the connection has prepared and kept. Not a yield point.
    pub fn statements(&self) -> usize {
        self.statements.borrow().len()
    }

    /// Waits for the answer to a request.
    pub(super) fn wait<T>(
        &self,
        request: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        let flight = self.begin();
        let answer = block_on(request)?;
        flight.land();
        Ok(answer?)
    }

    fn begin(&self) -> Flight<'_> {
        self.is_used.set(true);
        Flight::begin(&self.in_flight)
    }

    /// Ends a transaction that was dropped without an end.
    fn settle(&self) -> Result<(), Error> {
        if self.transaction.get() == TransactionState::Left {
            self.wait(self.inner.batch_execute("ROLLBACK"))?;
            self.transaction.set(TransactionState::None);
        }
        Ok(())
    }

    /// Forgets a statement that the server does not run any more: it was discarded, or its table
    /// has changed. The next use prepares it again.
    fn watch<T>(&self, sql: &str, answer: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &answer {
            let stale = [&SqlState::FEATURE_NOT_SUPPORTED, &SqlState::INVALID_SQL_STATEMENT_NAME];
            if error.sql_state().is_some_and(|state| stale.contains(&state)) {
                let forgotten = self.statements.borrow_mut().forget(sql);
                drop(forgotten);
            }
        }
        answer
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.get() > 0
    }

    /// Whether something was sent since the last call of this function.
    pub(super) fn take_used(&self) -> bool {
        self.is_used.take()
    }
}

impl Drop for Client {
    /// A connection that is idle says goodbye and ends by itself. One that is not would end when
    /// the server has answered, which may be never.
    fn drop(&mut self) {
        if self.is_in_flight() {
            self.driver.cancel();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &format_args!("{}", self.endpoint))
            .field("is_closed", &self.is_closed())
            .field("in_flight", &self.in_flight.get())
            .field("transaction", &self.transaction.get())
            .finish_non_exhaustive()
    }
}

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
