//! What a server counts about TLS.
//!
//! A handshake costs a thousand times as much as a lock, so all shards count in one place.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use straightline_tls::{HandshakeFailure, TlsConfig, TlsInfo};

use super::histogram::Latencies;
use super::prometheus::Exposition;

/// The numbers of a server's TLS, from [`Metrics::tls`](crate::Metrics::tls).
///
/// ```
/// use straightline::Metrics;
///
/// fn summary(metrics: &Metrics) -> String {
///     let Some(tls) = &metrics.tls else { return "no TLS".to_owned() };
///     let handshakes: u64 = tls.handshakes.values().sum();
///     format!("{handshakes} handshakes, {} of them resumed a session", tls.resumed)
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsMetrics {
    /// Handshakes that succeeded, by the version and the cipher suite that they agreed on.
    pub handshakes: BTreeMap<(&'static str, &'static str), u64>,
    /// How many of them resumed a former session.
    pub resumed: u64,
    /// Handshakes that failed, in the order of [`HandshakeFailure::ALL`].
    pub failed: [u64; HandshakeFailure::ALL.len()],
    /// How long the handshakes took that succeeded.
    pub durations: Latencies,
    /// Handshakes whose client asked for a name that no certificate has, and got the default one.
    pub sni_misses: u64,
    /// When the first of the certificates expires, by the system's clock; `None` if their dates
    /// cannot be read.
    pub not_after: Option<SystemTime>,
    /// How often the files were read again.
    pub reloads: u64,
    /// How often that failed, and the old ones were kept.
    pub reloads_failed: u64,
}

/// Where they are counted.
#[derive(Debug, Default)]
pub(crate) struct TlsNumbers(Mutex<TlsMetrics>);

impl TlsMetrics {
    /// How many handshakes failed for that reason. Not a yield point.
    ///
    /// ```
    /// use straightline::tls::HandshakeFailure;
    /// use straightline::TlsMetrics;
    ///
    /// assert_eq!(TlsMetrics::default().failed(HandshakeFailure::TimedOut), 0);
    /// ```
    pub fn failed(&self, failure: HandshakeFailure) -> u64 {
        index_of(failure).map_or(0, |index| self.failed[index])
    }

    pub(crate) fn put(&self, text: &mut Exposition) {
        let name = |rest: &str| format!("straightline_tls_{rest}");
        let handshakes = self.handshakes.iter().map(|((version, cipher), count)| {
            ([("version", *version), ("cipher", *cipher)], *count)
        });
        let help = "TLS handshakes that succeeded.";
        text.labelled_counters(&name("handshakes_total"), help, handshakes);
        let help = "TLS handshakes that resumed a session.";
        text.counter(&name("handshakes_resumed_total"), help, self.resumed);
        let reasons = HandshakeFailure::ALL.map(HandshakeFailure::as_str).into_iter();
        let failed = reasons.zip(self.failed);
        let help = "TLS handshakes that failed.";
        text.counters(&name("handshakes_failed_total"), help, "reason", failed);
        let help = "How long the TLS handshakes took that succeeded.";
        text.histogram(&name("handshake_duration_seconds"), help, &self.durations);
        let help = "TLS clients that asked for a name that no certificate has.";
        text.counter(&name("sni_misses_total"), help, self.sni_misses);
        let since_1970 = self.not_after.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        if let Some(at) = since_1970 {
            let help = "When the first of the TLS certificates expires, in seconds since 1970.";
            text.gauge(&name("certificate_not_after_seconds"), help, at.as_secs());
        }
        let help = "How often the TLS files were read again.";
        text.counter(&name("reloads_total"), help, self.reloads);
        let help = "How often the TLS files could not be read again.";
        text.counter(&name("reloads_failed_total"), help, self.reloads_failed);
    }
}

impl TlsNumbers {
    /// A handshake has succeeded.
    pub(crate) fn record(&self, info: &TlsInfo) {
        let mut numbers = self.0.lock();
        *numbers.handshakes.entry((info.version(), info.cipher_suite())).or_default() += 1;
        numbers.resumed += u64::from(info.is_resumed());
        numbers.durations.record(info.duration());
    }

    /// A handshake has failed.
    pub(crate) fn record_failed(&self, failure: HandshakeFailure) {
        if let Some(index) = index_of(failure) {
            self.0.lock().failed[index] += 1;
        }
    }

    /// The files were read again, or could not be.
    pub(crate) fn record_reload(&self, is_ok: bool) {
        let mut numbers = self.0.lock();
        *(if is_ok { &mut numbers.reloads } else { &mut numbers.reloads_failed }) += 1;
    }

    /// The numbers now; `None` for a server without TLS.
    pub(crate) fn metrics(&self, config: Option<&TlsConfig>) -> Option<TlsMetrics> {
        let counted = self.0.lock().clone();
        match config {
            Some(config) => {
                let (sni_misses, not_after) = (config.sni_misses(), config.not_after());
                Some(TlsMetrics { sni_misses, not_after, ..counted })
            }
            // It may have been given streams with TLS.
            None => (counted != TlsMetrics::default()).then_some(counted),
        }
    }
}

/// The kind's place in the list of all kinds, which has each.
fn index_of(failure: HandshakeFailure) -> Option<usize> {
    HandshakeFailure::ALL.iter().position(|other| *other == failure)
}
