//! For tests of handlers: a client that calls a handler, a router or a server.
//!
//! In process, without sockets, which suits most tests. The client sees what a client of a server
//! sees: its length, HEAD without a body, a 500 for a panic, a 413 for a body that is too long.
//!
//! ```
//! use straightline::testing::Client;
//! use straightline::{Request, StatusCode};
//!
//! fn greet(request: &mut Request) -> Result<String, StatusCode> {
//!     match request.path() {
//!         "/hello" => Ok("Hello, World!\n".to_owned()),
//!         _ => Err(StatusCode::NOT_FOUND),
//!     }
//! }
//!
//! let client = Client::new(greet);
//! client.get("/hello").send().assert_status(200).assert_text("Hello, World!\n");
//! client.head("/hello").send().assert_header("content-length", "14").assert_text("");
//! client.get("/elsewhere").send().assert_status(404);
//! ```
//!
//! A whole server, over the network of this machine:
//!
//! ```
//! use straightline::testing::Client;
//! use straightline::{Request, Server};
//!
//! let server = Server::builder().bind("127.0.0.1:0").workers(1);
//! let server = server.build(|_: &mut Request| "hi\n")?;
//! let (handle, address) = (server.handle(), server.local_addrs()[0].to_string());
//! let running = std::thread::spawn(|| server.run());
//!
//! let client = Client::connect(address);
//! client.get("/").send().assert_text("hi\n");
//! client.get("/").send().assert_text("hi\n"); // on the same connection
//!
//! handle.shutdown();
//! running.join().unwrap()?;
//! # std::io::Result::Ok(())
//! ```
//!
//! A whole server in a [simulation](crate::guide::simulation): time is virtual, and so is the
//! network.
//!
//! ```
//! use std::time::Duration;
//! use straightline::sched::{self, sim};
//! use straightline::testing::Client;
//! use straightline::{Request, Server, Timeouts};
//!
//! fn slow(_: &mut Request) -> &'static str {
//!     sched::sleep(Duration::from_secs(3600));
//!     "too late\n"
//! }
//!
//! sim::run(7, || {
//!     let timeouts = Timeouts::default().with_handler(Duration::from_secs(5));
//!     let server = Server::builder().bind("127.0.0.1:0").workers(1).timeouts(timeouts);
//!     let server = server.build(slow)?;
//!     let (handle, address) = (server.handle(), server.local_addrs()[0].to_string());
//!     let running = sched::spawn(|| server.run());
//!
//!     Client::connect(address).get("/").send().assert_status(504);
//!     assert!(sim::elapsed() < Duration::from_secs(6));
//!
//!     handle.shutdown();
//!     running.join().unwrap()?;
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```

mod client;
mod connection;
mod cookie_store;
mod in_process;
mod outgoing;
mod response_reader;
mod target;
mod test_request;
mod test_response;

pub use client::Client;
pub use test_request::TestRequest;
pub use test_response::TestResponse;
