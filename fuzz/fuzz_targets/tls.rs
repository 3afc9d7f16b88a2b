//! Whole TLS connections: a real client and a real server in a simulation, and between them a way
//! that cuts, changes, inserts and loses the client's bytes as the fuzzer says. Whatever arrives,
//! the server neither panics nor hangs, and the simulation finds what it leaves behind.
#![no_main]

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::OnceLock;
use std::time::Duration;

use straightline_net::MemoryStream;
use straightline_sched::{self as sched, deadline, sim};
use straightline_tls::{TlsConfig, TlsConnector, TlsProvider, TlsStream};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [seed, capacity, flags, changes @ ..] = data else { return };
    let way = Way {
        // In fewer bytes two flights that cross wait for each other.
        capacity: 100 + 40 * usize::from(*capacity),
        vanishes: flags & 1 != 0,
        changes: changes.to_vec(),
    };
    sim::run(u64::from(*seed), move || history(way));
});

/// What happens between the client and the server.
struct Way {
    capacity: usize,
    /// After all changes the way is cut. Else it forwards what comes.
    vanishes: bool,
    changes: Vec<u8>,
}

fn history(way: Way) {
    let (client_end, near) = MemoryStream::pair(way.capacity);
    let (far, server_end) = MemoryStream::pair(way.capacity);
    let server = sched::spawn(move || {
        let stream = TlsStream::accept(server_end, config())?;
        stream.set_read_timeout(Some(Duration::from_secs(60)));
        stream.set_write_timeout(Some(Duration::from_secs(60)));
        echo(&stream)
    });
    let client = sched::spawn(move || {
        deadline(Duration::from_secs(120), || ask(client_end)).unwrap_or(Ok(()))
    });
    let forwarding = sched::spawn(move || {
        let (near, far) = (&near, &far);
        sched::scope(|scope| {
            let back = scope.spawn(|| {
                let _ = io::copy(&mut &*far, &mut &*near);
                let _ = near.shutdown(Shutdown::Write);
            });
            let _ = way.forward(near, far);
            let _ = far.shutdown(Shutdown::Write);
            let _ = back.join();
        });
    });
    // The errors are those that the changes make. What counts is that there is an end.
    let served = deadline(Duration::from_secs(600), || server.join().expect("no panic"));
    let _ = served.expect("the server ends in time");
    let _ = client.join().expect("no panic");
    forwarding.join().expect("no panic");
}

fn echo(mut stream: &TlsStream<MemoryStream>) -> io::Result<()> {
    let mut buffer = vec![0; 4_000];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return stream.close();
        }
        stream.write_all(&buffer[..count])?;
    }
}

fn ask(stream: MemoryStream) -> io::Result<()> {
    let mut stream = connector().connect("localhost", stream)?;
    for size in [1, 100, 3_000] {
        stream.write_all(&vec![7; size])?;
        stream.read_exact(&mut vec![0; size])?;
    }
    stream.close()?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}

impl Way {
    fn forward(&self, mut near: &MemoryStream, mut far: &MemoryStream) -> io::Result<()> {
        let mut changes = self.changes.iter().copied();
        while let (Some(change), Some(value)) = (changes.next(), changes.next()) {
            let count = usize::from(value);
            match change % 8 {
                0 | 1 => forward_bytes(near, far, count, |_| {})?,
                2 => forward_bytes(near, far, 10 * count, |_| {})?,
                3 => forward_bytes(near, far, 1, |byte| *byte ^= value)?,
                4 => forward_bytes(near, far, 1, |byte| *byte = value)?,
                5 => far.write_all(&[value])?,
                6 => drop(near.read(&mut [0; 1])?),
                _ => {
                    let inserted: Vec<u8> = changes.by_ref().take(count).collect();
                    far.write_all(&inserted)?;
                }
            }
            if change & 128 != 0 {
                sched::sleep(Duration::from_millis(10));
            }
        }
        if self.vanishes { Ok(()) } else { io::copy(&mut near, &mut far).map(drop) }
    }
}

fn forward_bytes(
    mut near: &MemoryStream,
    mut far: &MemoryStream,
    count: usize,
    change: impl FnOnce(&mut u8),
) -> io::Result<()> {
    let mut bytes = vec![0; count];
    let count = near.read(&mut bytes)?;
    if let Some(first) = bytes[..count].first_mut() {
        change(first);
    }
    far.write_all(&bytes[..count])
}

fn config() -> &'static TlsConfig {
    static CONFIG: OnceLock<TlsConfig> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let builder = TlsConfig::builder().certificate_pem(CHAIN, KEY);
        builder.provider(TlsProvider::AwsLc).build().expect("a good configuration")
    })
}

fn connector() -> &'static TlsConnector {
    static CONNECTOR: OnceLock<TlsConnector> = OnceLock::new();
    CONNECTOR.get_or_init(|| {
        let builder = TlsConnector::builder().roots_pem(CHAIN);
        builder.provider(TlsProvider::AwsLc).build().expect("a good configuration")
    })
}

const CHAIN: &[u8] = include_bytes!("../../tls/tests/data/prime256v1.pem");
const KEY: &[u8] = include_bytes!("../../tls/tests/data/prime256v1.sec1.key");
