//! What a server does when a client goes away, and when no shard serves any more.

/// What happens to a handler whose client goes away, that is, closes the connection or its side of
/// it, or breaks it. The server does not notice a client that vanishes without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisconnect {
    /// The handler goes on, and finds out when it reads or writes. The default: what was begun is
    /// done, and clients that close their side after the request are answered.
    Finish,
    /// The handler unwinds at its next yield point, and at once if it waits.
    Cancel,
}

/// What happens to a server when all of its shards are stuck, and there may be no further one.
///
/// ```
/// use straightline::{AllStuck, Request, Server};
///
/// let server = Server::builder().bind("127.0.0.1:0").all_stuck(AllStuck::AbortProcess);
/// server.build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllStuck {
    /// [`Server::run`](crate::Server::run) returns an error, so that the program can end with a
    /// status that its supervisor understands. The default. The stuck threads go on until the
    /// process ends.
    EndServer,
    /// The process is aborted (SIGABRT, which leaves a core file where those are enabled), after a
    /// line on standard error. For a program that does not end when `run` does.
    AbortProcess,
}
