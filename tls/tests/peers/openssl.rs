//! A server under test in a thread of its own, and OpenSSL's client as a process.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use straightline_net::TcpListener;
use straightline_sched as sched;
use straightline_tls::{TlsConfig, TlsInfo, TlsStream};

use crate::common::echo::{Served, echo, failure};

/// What the client has printed, and how it has ended.
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) is_success: bool,
}

/// What the server knows of a connection, once its handshake is over.
pub(crate) type Agreed = (Option<TlsInfo>, Served);

/// Serves as many connections as there are sets of arguments, each by a client of OpenSSL with
/// those arguments that sends `hello`.
pub(crate) fn talk(config: &TlsConfig, clients: &[&[&str]]) -> Vec<(Told, Agreed)> {
    let (sender, receiver) = mpsc::channel();
    let (config, count) = (config.clone(), clients.len());
    let server = std::thread::spawn(move || {
        sched::run(move || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            sender.send(listener.local_addr().expect("an address")).expect("a receiver");
            let serve = |_| {
                let (stream, _) = listener.accept().expect("a client");
                let stream = match TlsStream::accept(stream, &config) {
                    Ok(stream) => stream,
                    Err(error) => return (None, Served::Refused(failure(&error))),
                };
                let served = match echo(&stream) {
                    Ok(()) => Served::Closed,
                    Err(error) => Served::Failed(error.kind()),
                };
                (stream.info().cloned(), served)
            };
            (0..count).map(serve).collect::<Vec<_>>()
        })
    });
    let address = receiver.recv().expect("the server runs");
    let told: Vec<_> = clients.iter().map(|arguments| client(address, arguments)).collect();
    told.into_iter().zip(server.join().expect("the server does not panic")).collect()
}

/// As [`talk`], with one client.
pub(crate) fn talk_once(config: &TlsConfig, arguments: &[&str]) -> (Told, Agreed) {
    talk(config, &[arguments]).remove(0)
}

/// The client sends `hello`, and closes when it has come back.
fn client(address: SocketAddr, arguments: &[&str]) -> Told {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string()]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program `openssl`, which scripts/test installs");
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = child.stdout.take().expect("a pipe");
    // A client that was refused takes no input.
    let _ = input.write_all(b"hello\n");
    let mut text = Vec::new();
    let mut buffer = [0; 1_000];
    while !text.windows(6).any(|bytes| bytes == b"hello\n") {
        match output.read(&mut buffer).expect("a pipe") {
            0 => break,
            count => text.extend_from_slice(&buffer[..count]),
        }
    }
    drop(input);
    output.read_to_end(&mut text).expect("a pipe");
    let ended = child.wait_with_output().expect("the program ends");
    text.extend(ended.stderr);
    Told { text: String::from_utf8_lossy(&text).into_owned(), is_success: ended.status.success() }
}

/// A file for the client, removed at the end.
pub(crate) struct TempFile(PathBuf);

impl TempFile {
    pub(crate) fn new(content: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("straightline-peer-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).expect("a folder for files");
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        Path::to_str(&self.0).expect("a path of text")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
