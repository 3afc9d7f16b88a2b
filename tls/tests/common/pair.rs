//! Both ends of a TLS connection in memory.

use std::time::Duration;

use straightline_net::{MemoryStream, Transport};
use straightline_sched as sched;
use straightline_tls::{TlsConnector, TlsProvider, TlsStream};

use super::certificate::Certificates;
use super::echo::config;

pub(crate) type Stream = TlsStream<MemoryStream>;

/// A connector that trusts the shared root.
pub(crate) fn connector(provider: TlsProvider) -> TlsConnector {
    TlsConnector::builder()
        .roots_pem(&Certificates::shared().root_pem)
        .provider(provider)
        .build()
        .expect("a good configuration")
}

/// A client and a server that have agreed, over that many bytes of room in each direction.
pub(crate) fn pair(provider: TlsProvider, capacity: usize) -> (Stream, Stream) {
    let (near, far) = MemoryStream::pair(capacity);
    pair_over(provider, near, far)
}

/// As [`pair`], over other streams.
pub(crate) fn pair_over<A: Transport, B: Transport>(
    provider: TlsProvider,
    near: A,
    far: B,
) -> (TlsStream<A>, TlsStream<B>) {
    let config = config(provider);
    let server = sched::spawn(move || TlsStream::accept(far, &config).expect("a good client"));
    let client = connector(provider).connect("localhost", near).expect("a good server");
    let server = server.join().expect("no panic");
    // A test that hangs should say where.
    client.set_read_timeout(Some(PATIENCE));
    server.set_read_timeout(Some(PATIENCE));
    (client, server)
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
