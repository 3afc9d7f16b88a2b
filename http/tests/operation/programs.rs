//! A program that a handler waits for ends with the handler.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::common::{Running, serve_with};
use straightline::process::Command;
use straightline::{OnDisconnect, Request, ServerBuilder, StatusCode, Timeouts};

/// A server whose handler waits for a shell with a child of its own. The test gets a stream that
/// ends when both of them have ended.
fn server(
    configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (Running, Receiver<UnixStream>) {
    let (sender, streams) = mpsc::channel();
    let server = serve_with(configure, move |_: &mut Request| {
        let (near, far) = UnixStream::pair().expect("two descriptors");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo begun; wait"]).kill_group(true);
        command.stdout(OwnedFd::from(far));
        sender.send(near).expect("the test waits");
        command.status().map_or(StatusCode::BAD_GATEWAY, |_| StatusCode::OK)
    });
    (server, streams)
}

/// Waits until the shell runs.
fn begun(streams: &Receiver<UnixStream>) -> UnixStream {
    let mut stream = streams.recv_timeout(LIMIT).expect("the handler runs");
    stream.set_read_timeout(Some(LIMIT)).expect("not zero");
    let mut line = [0; 6];
    stream.read_exact(&mut line).expect("the shell runs");
    assert_eq!(&line, b"begun\n");
    stream
}

fn expect_end(mut stream: UnixStream) {
    assert_eq!(stream.read(&mut [0]).expect("the programs end"), 0);
}

#[test]
fn a_handler_whose_time_is_over_ends_its_program() {
    let timeouts = Timeouts::default().with_handler(Duration::from_millis(300));
    let (server, streams) = server(|builder| builder.timeouts(timeouts));
    assert_eq!(server.client().get("/").status, 504);
    let mut stream = streams.recv_timeout(LIMIT).expect("the handler ran");
    stream.set_read_timeout(Some(LIMIT)).expect("not zero");
    stream.read_to_end(&mut Vec::new()).expect("the programs end");
}

#[test]
fn a_client_that_leaves_ends_the_program_of_its_handler() {
    let (server, streams) = server(|builder| builder.on_disconnect(OnDisconnect::Cancel));
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let stream = begun(&streams);
    drop(client);
    expect_end(stream);
}

#[test]
fn a_drain_whose_time_is_over_ends_the_programs() {
    let (server, streams) = server(|builder| builder.drain_timeout(Duration::from_millis(50)));
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let stream = begun(&streams);
    server.handle.shutdown();
    let _report = server.join_report();
    expect_end(stream);
}

/// A longer wait is a failure.
const LIMIT: Duration = Duration::from_secs(30);
