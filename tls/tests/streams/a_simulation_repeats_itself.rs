//! TLS on the simulated network: the same seed gives the same run, and faults give errors and no
//! wrong data.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use straightline_net::sim::{Fault, Link, network, on_host};
use straightline_net::{TcpListener, TcpStream};
use straightline_sched::sim::{self, Sim};
use straightline_sched::{self as sched};
use straightline_tls::TlsProvider;

use crate::common::echo::{config, serve};
use crate::common::pair::connector;

const SERVER: &str = "10.0.0.1:443";

/// A client that asks a few times and closes, on any network. Returns what it has read.
fn history(provider: TlsProvider, has_faults: bool) -> std::io::Result<Vec<u8>> {
    network().set_link(Link::draw(&mut sim::fork_random()));
    let listener = TcpListener::bind(SERVER)?;
    let config = config(provider);
    let accepting = sched::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let config = config.clone();
            sched::spawn(move || {
                let _ = sched::deadline(Duration::from_secs(300), || serve(stream, &config));
            });
        }
    });
    if has_faults {
        network().schedule(Fault::draw(&mut sim::fork_random(), Duration::from_secs(2)));
    }
    let ask = || {
        let stream = on_host([10, 0, 0, 2].into(), || TcpStream::connect(SERVER))?;
        let mut client = connector(provider).connect("localhost", stream)?;
        client.set_read_timeout(Some(Duration::from_secs(30)));
        client.set_write_timeout(Some(Duration::from_secs(30)));
        let mut read = Vec::new();
        for size in [1, 1_000, 40_000] {
            client.write_all(&vec![7; size])?;
            let mut echoed = vec![0; size];
            client.read_exact(&mut echoed)?;
            read.extend(echoed);
        }
        client.close()?;
        client.read_to_end(&mut read)?;
        Ok(read)
    };
    let told = sched::deadline(Duration::from_secs(600), ask).expect("an end in time");
    accepting.cancel();
    let _ = accepting.join();
    told
}

#[test]
fn a_client_and_a_server_agree_on_any_network() {
    for &provider in TlsProvider::offered() {
        for seed in 0..20 {
            let read = sim::run(seed, move || history(provider, false));
            let read = read.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert!(read.len() == 41_001 && read.iter().all(|byte| *byte == 7));
        }
    }
}

/// With faults a connection may fail. It ends in time, nothing is left, and nothing wrong is read.
#[test]
fn faults_make_errors_and_no_wrong_data() {
    for &provider in TlsProvider::offered() {
        for seed in 0..40 {
            if let Ok(read) = sim::run(seed, move || history(provider, true)) {
                assert!(read.len() == 41_001 && read.iter().all(|byte| *byte == 7));
            }
        }
    }
}

fn traced(provider: TlsProvider, seed: u64) -> Vec<String> {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&lines);
    let sim = Sim::new(seed).trace(move |line| sink.borrow_mut().push(line.to_owned()));
    let _ = sim.run(move || history(provider, true)).expect("no leak");
    lines.take()
}

/// With Mbed TLS all randomness is the simulation's.
#[cfg(feature = "mbedtls")]
#[test]
fn with_mbed_tls_the_same_seed_gives_the_same_trace() {
    for seed in 0..10 {
        let first = traced(TlsProvider::MbedTls, seed);
        let second = traced(TlsProvider::MbedTls, seed);
        if let Some(index) = (0..first.len()).find(|index| first.get(*index) != second.get(*index))
        {
            panic!("seed {seed}, line {index}: {:?}, {:?}", first[index], second.get(index));
        }
        assert_eq!(first.len(), second.len());
    }
}
