//! In a simulation the seed determines a handshake, with the provider that allows it.

use std::cell::RefCell;
use std::rc::Rc;

use straightline_net::{MemoryStream, Transport};
use straightline_sched::sync::Ready;
use straightline_sched::{self as sched, Interest, sim};
use straightline_tls::{TlsConfig, TlsConnector, TlsProvider, TlsStream};

use crate::common::{Authority, client, meet_in_fiber, server};

/// Remembers what is written.
struct Tap {
    stream: MemoryStream,
    written: Rc<RefCell<Vec<u8>>>,
}

impl Transport for Tap {
    fn try_read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.try_read(buffer)
    }

    fn try_write(&self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.stream.try_write(bytes)?;
        self.written.borrow_mut().extend(&bytes[..count]);
        Ok(count)
    }

    fn arm(&self, interest: Interest) -> std::io::Result<bool> {
        Transport::arm(&self.stream, interest)
    }

    fn ready(&self, interest: Interest) -> Ready<'_> {
        Transport::ready(&self.stream, interest)
    }

    fn shutdown_write(&self) -> std::io::Result<()> {
        Transport::shutdown_write(&self.stream)
    }
}

/// What both sides write in a simulation with that seed.
fn written(config: &TlsConfig, connector: &TlsConnector, seed: u64) -> Vec<u8> {
    let (config, connector) = (config.clone(), connector.clone());
    sim::run(seed, move || {
        let written = Rc::new(RefCell::new(Vec::new()));
        let (one, other) = MemoryStream::pair(64 * 1024);
        let tap = |stream| Tap { stream, written: Rc::clone(&written) };
        let (one, other) = (tap(one), tap(other));
        let server = sched::spawn(move || TlsStream::accept(other, &config).map(drop));
        let client = connector.connect("a.test", one);
        server.join().unwrap().unwrap();
        client.unwrap();
        written.take()
    })
}

#[test]
fn handshakes_succeed_in_simulations() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let config = server(provider, &authority.issue(&["a.test"])).build().unwrap();
        for seed in 0..3 {
            let connector = client(provider, &authority).build().unwrap();
            let config = config.clone();
            let (server, client) =
                sim::run(seed, move || meet_in_fiber(&config, &connector, "a.test"));
            assert!(server.is_ok() && client.is_ok(), "{server:?} {client:?}");
        }
    }
}

/// The dates are those of the simulation, which begins in 2030.
#[test]
fn a_certificate_of_today_has_expired_in_the_virtual_time_of_a_simulation() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let pair = authority.issue_with(&["a.test"], |params| {
            params.not_after = rcgen::date_time_ymd(2029, 1, 1);
        });
        let config = server(provider, &pair).build().unwrap();
        let connector = client(provider, &authority).build().unwrap();
        let (_, client) = sim::run(1, move || meet_in_fiber(&config, &connector, "a.test"));
        assert!(client.unwrap_err().to_string().contains("certificate"));
    }
}

#[cfg(feature = "mbedtls")]
#[test]
fn with_mbed_tls_a_seed_determines_each_byte() {
    let provider = TlsProvider::MbedTls;
    let authority = Authority::new("root");
    let pair = authority.issue(&["a.test"]);
    // The keys of tickets are drawn when a configuration is built, so they are of the system.
    let config = server(provider, &pair).session_tickets(false).build().unwrap();
    let run = |seed| {
        let connector = client(provider, &authority).build().unwrap();
        written(&config, &connector, seed)
    };
    let first = run(1);
    assert!(first.len() > 500, "{}", first.len());
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
}

#[cfg(feature = "aws-lc-rs")]
#[test]
fn with_aws_lc_a_seed_determines_the_hello_except_for_the_keys_of_the_exchange() {
    let provider = TlsProvider::AwsLc;
    let authority = Authority::new("root");
    let config = server(provider, &authority.issue(&["a.test"])).build().unwrap();
    let run = |seed| {
        let connector = client(provider, &authority).build().unwrap();
        written(&config, &connector, seed)
    };
    // The record and message headers, the version, and the client's random bytes (RFC 8446, 4.1.2).
    let random = 5 + 4 + 2..5 + 4 + 2 + 32;
    let (first, second) = (run(1), run(1));
    assert_eq!(first[random.clone()], second[random.clone()]);
    assert_ne!(first, second);
    assert_ne!(first[random.clone()], run(2)[random]);
}
