//! What a service and systemd tell each other, without the library of systemd and without unsafe
//! code: sockets that are open before the service starts, and notifications about its state.
//!
//! [`ServerBuilder::systemd`](crate::ServerBuilder::systemd) sends all notifications of a server by
//! itself, and [`ServerBuilder::inherited_or_bind`](crate::ServerBuilder::inherited_or_bind) takes
//! its sockets. [`notify`] is for what a program has to say beside that, or without a server.
//!
//! ```no_run
//! use straightline::{Request, Server};
//!
//! let server = Server::builder().inherited_or_bind("127.0.0.1:8080").systemd();
//! let server = server.shutdown_on_signals().build(|_: &mut Request| "hello\n")?;
//! server.run()?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # What a server tells
//!
//! | message | when |
//! |---|---|
//! | `READY=1` | all shards have made their handlers and accept, and after each reload |
//! | `RELOADING=1`, `MONOTONIC_USEC` | SIGHUP has come, and a reload begins |
//! | `STOPPING=1` | a shutdown begins, and at each of its phases |
//! | `STATUS=` | the addresses, or the phase of the shutdown |
//! | `WATCHDOG=1` | at least twice in the time of `WatchdogSec=`, if the unit has that |
//!
//! The shards themselves send the messages of the watchdog, from their fibers. So the messages stop
//! if all threads are stuck, and the manager restarts the process. As long as one shard serves,
//! they go on. During a shutdown, the thread of [`Server::run`](crate::Server::run) sends them too,
//! until it returns, because a shutdown ends in time by itself. So also a shutdown that waits two
//! seconds for the reader of the access log is not taken for a process that hangs. The server does
//! not ask for a longer stop (`EXTEND_TIMEOUT_USEC`): `TimeoutStopSec=` should be longer than
//! [`ready_delay`](crate::ServerBuilder::ready_delay),
//! [`drain_timeout`](crate::ServerBuilder::drain_timeout) and sixteen seconds together.
//!
//! A process that has several servers tells of one of them, and not of one that
//! [uses the shards](crate::Server::also) of another. If the manager's address is malformed,
//! [`build`](crate::ServerBuilder::build) returns an error.
//!
//! The manager gets the messages in their order. If its queue is full, or if it is gone, they wait
//! until it has got them, and a thread tries again. Of each kind in the table, one message waits at
//! most: the last one. A message that the manager does not get within a second is an
//! [`Event::NotifyFailed`](crate::Event::NotifyFailed), and is
//! [counted](crate::Metrics::notify_failures).
//!
//! The protocols are those of `sd_notify(3)`, `sd_listen_fds(3)` and `sd_watchdog_enabled(3)`.
//! Other service managers and container runtimes speak them too.
//!
//! The environment stays as it is, because a program with threads cannot change it safely. So a
//! child process finds the address of the manager too. systemd ignores what a child sends, unless
//! `NotifyAccess=` says otherwise.

mod manager;
mod notify_socket;
mod notify_state;
mod outbox;
mod watchdog;

pub(crate) use manager::Manager;
pub use notify_socket::notify;
pub use notify_state::NotifyState;
pub use straightline_net::inherit::{Inherited, listeners};
pub use watchdog::watchdog_timeout;
