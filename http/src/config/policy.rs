//! What a server does when a client goes away, and when no shard serves any more.

/// What becomes of a handler whose client goes away: closes the connection, or its side of it, or
/// breaks it. A client that vanishes without a word is not noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisconnect {
    /// It works on, and finds out when it reads or writes. The default: what was begun is done, and
    /// clients that close their side after the request are answered.
    Finish,
    /// It unwinds at its next yield point. It is noticed at once if the handler waits then.
    Cancel,
}

/// What becomes of a server when all of its shards are stuck, and there may be no further one.
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
    /// The process is aborted (SIGABRT, which leaves a core where those are wanted), after a line
    /// on standard error. For a program that does not end when `run` does.
    AbortProcess,
}
