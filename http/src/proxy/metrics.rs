//! The numbers of a proxy.

use std::sync::atomic::Ordering;

use super::upstreams::Upstreams;
use crate::telemetry::Exposition;

/// The numbers of a proxy at one moment.
///
/// ```
/// use straightline::proxy::Proxy;
///
/// let proxy = Proxy::builder().upstream("127.0.0.1:9000").build()?;
/// let metrics = proxy.metrics();
/// assert_eq!(metrics.upstreams[0].requests, 0);
/// let line = "straightline_proxy_requests_total{upstream=\"127.0.0.1:9000\"} 0\n";
/// assert!(metrics.to_prometheus().contains(line));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProxyMetrics {
    /// Those of each upstream.
    pub upstreams: Vec<UpstreamNumbers>,
    /// Requests that wait for a place with an upstream.
    pub waiting: usize,
    /// Requests that have waited, whether they got a place or not.
    pub waited: u64,
    /// Requests that found no upstream, and were answered with a 503.
    pub unavailable: u64,
}

/// The numbers of one upstream, of all shards together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpstreamNumbers {
    /// Its address.
    pub address: String,
    /// Requests that were sent to it, or were to be; a request that is sent again counts again.
    pub requests: u64,
    /// Those of them that failed by its fault.
    pub failures: u64,
    /// Requests that were sent again, because an idle connection was closed.
    pub retries: u64,
    /// Responses that were passed on, although their end could be read differently: see
    /// [`ProxyEvent::Misframed`](super::ProxyEvent::Misframed).
    pub misframed: u64,
    /// How often it was ejected.
    pub ejections: u64,
    /// Connections that were opened.
    pub connected: u64,
    /// Requests in flight, and upgraded connections.
    pub in_flight: usize,
    /// Idle connections.
    pub idle: usize,
    /// It is ejected at the moment.
    pub is_ejected: bool,
    /// It has failed its health checks.
    pub is_ill: bool,
}

impl ProxyMetrics {
    pub(super) fn of(upstreams: &Upstreams) -> Self {
        let all = upstreams.all().iter().enumerate();
        let numbers = all.map(|(index, upstream)| {
            let counted = &upstream.counted;
            UpstreamNumbers {
                address: upstream.address().to_owned(),
                requests: counted.requests.load(Ordering::Relaxed),
                failures: counted.failures.load(Ordering::Relaxed),
                retries: counted.retries.load(Ordering::Relaxed),
                misframed: counted.misframed.load(Ordering::Relaxed),
                ejections: counted.ejections.load(Ordering::Relaxed),
                connected: counted.connected.load(Ordering::Relaxed),
                in_flight: upstream.in_flight(),
                idle: counted.idle.load(Ordering::Relaxed),
                is_ejected: upstreams.is_ejected(index),
                is_ill: upstream.is_ill(),
            }
        });
        Self {
            upstreams: numbers.collect(),
            waiting: upstreams.queue().waiting(),
            waited: upstreams.queue().waited(),
            unavailable: upstreams.unavailable(),
        }
    }

    /// The numbers in Prometheus' text format, version 0.0.4. Not a yield point.
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        type Number = fn(&UpstreamNumbers) -> u64;
        let counters: [(&str, &str, Number); 6] = [
            ("requests_total", "Requests that were sent to the upstream.", |all| all.requests),
            ("failures_total", "Requests that failed by its fault.", |all| all.failures),
            ("retries_total", "Requests that were sent again.", |all| all.retries),
            ("misframed_total", "Responses with more than belongs to them.", |all| all.misframed),
            ("ejections_total", "How often it was ejected.", |all| all.ejections),
            ("connected_total", "Connections that were opened.", |all| all.connected),
        ];
        let gauges: [(&str, &str, Number); 4] = [
            ("in_flight", "Requests in flight.", |all| all.in_flight as u64),
            ("idle_connections", "Idle connections.", |all| all.idle as u64),
            ("ejected", "Whether it is ejected.", |all| u64::from(all.is_ejected)),
            ("ill", "Whether it fails its health checks.", |all| u64::from(all.is_ill)),
        ];
        let mut text = Exposition::default();
        for (name, help, number) in counters {
            let values = self.upstreams.iter().map(|all| (&all.address, number(all)));
            text.counters(&format!("straightline_proxy_{name}"), help, "upstream", values);
        }
        for (name, help, number) in gauges {
            let values = self.upstreams.iter().map(|all| (&all.address, number(all)));
            text.gauges(&format!("straightline_proxy_{name}"), help, "upstream", values);
        }
        let help = "Requests that wait for a place with an upstream.";
        text.gauge("straightline_proxy_waiting", help, self.waiting);
        let help = "Requests that have waited for one.";
        text.counter("straightline_proxy_waited_total", help, self.waited);
        let help = "Requests that found no upstream.";
        text.counter("straightline_proxy_unavailable_total", help, self.unavailable);
        text.finish()
    }
}
