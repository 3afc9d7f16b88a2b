//! As much of a PostgreSQL server as a simulation needs: it logs clients in, runs statements that
//! take their time, and obeys cancel requests.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use straightline_net::{TcpListener, TcpStream};
use straightline_sched::sync::{Flag, after, select};
use straightline_sched::{self as sched, JoinHandle};

#[derive(Default)]
pub(crate) struct Counts {
    /// Statements that were run to their end, and those that a cancel request ended.
    pub(crate) done: Cell<u32>,
    pub(crate) cancelled: Cell<u32>,
    pub(crate) logins: Cell<u32>,
}

/// Listens until the handle is cancelled. A statement is the number of milliseconds that it takes.
pub(crate) fn serve(address: &str, counts: &Rc<Counts>) -> JoinHandle<()> {
    let listener = TcpListener::bind(address).expect("an address of the simulation");
    let counts = Rc::clone(counts);
    sched::spawn(move || {
        let running: Rc<RefCell<BTreeMap<u32, Arc<Flag>>>> = Rc::default();
        sched::scope(|scope| {
            loop {
                let Ok((stream, _)) = listener.accept() else {
                    sched::sleep(Duration::from_millis(50)); // no descriptor is free
                    continue;
                };
                let (running, counts) = (Rc::clone(&running), Rc::clone(&counts));
                scope.spawn(move || {
                    // The client goes away, or the network fails.
                    let _ = converse(stream, &running, &counts);
                });
            }
        });
    })
}

fn u32_of(stream: &mut TcpStream) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a short message");
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

fn converse(
    mut stream: TcpStream,
    running: &RefCell<BTreeMap<u32, Arc<Flag>>>,
    counts: &Counts,
) -> io::Result<()> {
    let length = u32_of(&mut stream)? as usize;
    if u32_of(&mut stream)? == CANCEL_REQUEST {
        let process = u32_of(&mut stream)?;
        u32_of(&mut stream)?; // the key
        if let Some(cancel) = running.borrow().get(&process) {
            cancel.set();
        }
        return Ok(());
    }
    stream.read_exact(&mut vec![0; length - 8])?;
    counts.logins.set(counts.logins.get() + 1);
    let process = counts.logins.get();
    let key = [process.to_be_bytes(), [0; 4]].concat();
    let welcome = [message(b'R', &[0; 4]), message(b'K', &key), message(b'Z', b"I")];
    stream.write_all(&welcome.concat())?;
    let cancel = Arc::new(Flag::new());
    running.borrow_mut().insert(process, Arc::clone(&cancel));
    loop {
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        let mut body = vec![0; u32_of(&mut stream)? as usize - 4];
        stream.read_exact(&mut body)?;
        if kind == *b"X" {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&body);
        let answer = run(text.trim_end_matches('\0'), &cancel, counts);
        stream.write_all(&[answer, message(b'Z', b"I")].concat())?;
    }
}

/// Runs a statement; returns the answer.
fn run(text: &str, cancel: &Flag, counts: &Counts) -> Vec<u8> {
    if text.is_empty() {
        return message(b'I', &[]);
    }
    let time = Duration::from_millis(text.parse().unwrap_or_default());
    cancel.clear();
    if select(&[cancel, &after(time)]) == Ok(0) {
        counts.cancelled.set(counts.cancelled.get() + 1);
        return message(b'E', b"SERROR\0C57014\0Mcanceling statement\0\0");
    }
    counts.done.set(counts.done.get() + 1);
    message(b'C', b"SELECT 1\0")
}

/// The code of a cancel request, where the version of the protocol stands otherwise.
const CANCEL_REQUEST: u32 = 80_877_102;
