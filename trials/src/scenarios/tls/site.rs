//! The server of the scenario, its certificates, and what is expected of it whatever happens.

use std::io;

use straightline::tls::TlsConnector;

use crate::client::MARGIN;
use crate::healthy::Healthy;
use crate::metrics::Metrics;
use crate::server::Server;
use crate::tls::{Files, Pair, TlsClient, connector};
use crate::trial::{Trial, eventually};

/// A provider, and the certificates of its server.
pub(super) struct Site {
    pub(super) provider: &'static str,
    pub(super) files: Files,
    /// The certificate at the start, and the one that replaces it.
    pub(super) pairs: [Pair; 2],
}

impl Site {
    pub(super) fn new(provider: &'static str) -> io::Result<Self> {
        let pairs = [Pair::new()?, Pair::new()?];
        Ok(Self { provider, files: Files::new(&pairs[0])?, pairs })
    }

    /// Starts the server for `clients` clients.
    pub(super) fn start(&self, trial: &Trial, flags: &str, clients: usize) -> io::Result<Server> {
        let flags = format!("--tls-provider {} {flags}", self.provider);
        trial.start_https(&self.files, &flags, clients)
    }

    pub(super) fn is_slow(&self) -> bool {
        self.provider == "mbedtls"
    }

    pub(super) fn doing(&self, trial: &mut Trial, what: &str) {
        trial.doing(format!("{}: {what}", self.provider));
    }

    /// A client without a session to resume.
    pub(super) fn connector(&self) -> io::Result<TlsConnector> {
        connector(&self.pairs)
    }

    /// Some clients one after the other: what the server opens once, it has opened now.
    pub(super) fn warm_up(&self, server: &Server) -> io::Result<()> {
        let connector = self.connector()?;
        for _ in 0..WARM_UP_CLIENTS {
            let mut client = TlsClient::connect(server.address(), &connector)?;
            client.get("/hello")?;
            client.close()?;
        }
        Ok(())
    }

    /// A client that asks many times a second, on one connection.
    pub(super) fn healthy(&self, server: &Server) -> io::Result<Healthy> {
        let mut client = TlsClient::connect(server.address(), &self.connector()?)?;
        client.get("/hello")?;
        Ok(Healthy::asking(move || match client.get_within(MARGIN, "/hello")?.status {
            200 => Ok(()),
            status => Err(io::Error::other(format!("status {status}"))),
        }))
    }

    /// Requests the server's counters.
    pub(super) fn metrics(&self, server: &Server) -> io::Result<Metrics> {
        let mut client = TlsClient::connect(server.address(), &self.connector()?)?;
        let metrics = Metrics::from_answer(&client.get("/metrics")?)?;
        client.reset()?;
        Ok(metrics)
    }

    /// Expects the server to have closed what its clients left, by its count of connections and by
    /// its descriptors.
    pub(super) fn expect_all_closed(
        &self,
        trial: &mut Trial,
        server: &Server,
        descriptors: usize,
    ) -> io::Result<()> {
        let most = descriptors + DESCRIPTORS_SLACK;
        let closed = eventually(MARGIN, || Ok(server.process().descriptors()? <= most))?;
        let seen = format!("{} descriptors open", server.process().descriptors()?);
        trial.expect(format!("at most {most}, as before"), seen, closed);
        let mut active = f64::NAN;
        let is_left = eventually(MARGIN, || {
            let key = "straightline_connections_active";
            active = self.metrics(server)?.value(key).unwrap_or(f64::NAN);
            Ok(active <= ACTIVE_MAX)
        })?;
        trial.expect("no connection is left but the one that asks", active.to_string(), is_left);
        Ok(())
    }

    /// Stops the server, which must end in order.
    pub(super) fn expect_an_end(&self, trial: &mut Trial, server: &mut Server) -> io::Result<()> {
        self.doing(trial, "SIGTERM");
        server.terminate()?;
        let status = server.wait(MARGIN)?;
        let seen = status.map_or("none".to_owned(), |status| status.to_string());
        let held = status.is_some_and(|status| status.success());
        trial.expect("exit status 0", seen, held);
        Ok(())
    }
}

/// The counter of failed handshakes with this reason.
pub(super) fn failed(reason: &str) -> String {
    format!("straightline_tls_handshakes_failed_total{{reason=\"{reason}\"}}")
}

/// Enough that each of two shards has had some.
const WARM_UP_CLIENTS: usize = 40;

/// A file, a notifier, a connection that was just closed.
const DESCRIPTORS_SLACK: usize = 4;

/// The connection that requests the metrics, and the one before it.
const ACTIVE_MAX: f64 = 2.0;
