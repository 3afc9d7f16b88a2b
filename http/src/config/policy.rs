//! What a server does when a client disconnects, and when no shard serves any more.

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
