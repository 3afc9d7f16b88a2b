//! What a server does when a client disconnects, when a handler panics, and when no shard serves
//! any more.

/// What happens to a handler whose client disconnects: the client closes the connection or its own
/// side of it, or the connection breaks. The server does not notice a client that vanishes without
/// closing the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDisconnect {
    /// The handler goes on, and gets an error when it reads or writes. The default: work that was
    /// begun is completed, and clients that close their side after the request still get their
    /// answer.
    Finish,
    /// The handler unwinds at its next yield point; at once if it is waiting.
    Cancel,
}

/// What a server does when a handler panics; see
/// [`ServerBuilder::on_panic`](crate::ServerBuilder::on_panic).
///
/// ```
/// use straightline::{PanicPolicy, Request, Server};
///
/// let server = Server::builder().bind("127.0.0.1:0").on_panic(PanicPolicy::DrainShard);
/// server.build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// The client gets a 500, and the server goes on. The default: a panic unwinds, destructors
    /// run, and no other request notices it.
    Answer,
    /// The client gets a 500, and the shard is renewed: another shard gets its listeners, with a
    /// handler that [`build_with`](crate::ServerBuilder::build_with) makes anew. The shard closes
    /// its idle connections, finishes its requests in flight within the drain timeout, and ends.
    /// For handlers whose state on a shard may be in the middle of a change after a panic.
    ///
    /// The first renewal is at once. The next ones are at least 1, 2, 4 and so on up to 60 seconds
    /// apart, and until then a shard goes on as with [`Answer`](Self::Answer); the same if no
    /// further shard may be started ([`replacements`](crate::ServerBuilder::replacements)) or can
    /// be. A minute without a renewal makes the pause short again.
    ///
    /// A [`LocalServer`](crate::LocalServer) has only one shard: it shuts down.
    DrainShard,
    /// The process prints a line on standard error and is aborted (SIGABRT, which leaves a core
    /// file where core files are enabled), after the panic was printed. The client gets no
    /// response. For programs that must not go on after any panic; `panic = "abort"` is no
    /// alternative, as the server needs unwinding.
    Abort,
}

/// What happens to a server when all of its shards are stuck and no further shard may be started.
///
/// ```
/// use straightline::{AllStuck, Request, Server};
///
/// let server = Server::builder().bind("127.0.0.1:0").all_stuck(AllStuck::AbortProcess);
/// server.build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllStuck {
    /// [`Server::run`](crate::Server::run) returns an error, so that the program can exit with a
    /// status that its supervisor understands. The default. The stuck threads go on until the
    /// process ends.
    EndServer,
    /// The process prints a line on standard error and is aborted (SIGABRT, which leaves a core
    /// file where core files are enabled). For a program that does not exit when `run` returns.
    AbortProcess,
}
