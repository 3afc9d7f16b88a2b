//! All numbers of a server, at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use straightline_sched::{OffloadPool, OffloadStats, StatKind, Stats, fs, sim};

use super::shared::Shared;
use crate::config::{Phase, Timeout};
#[cfg(feature = "_tls")]
use crate::telemetry::TlsMetrics;
use crate::telemetry::{Counters, Exposition, Latencies, PartNumbers, RouteNumbers};

/// The numbers of a server at one moment, from [`ServerHandle::metrics`].
///
/// [`ServerHandle::metrics`]: crate::ServerHandle::metrics
///
/// ```
/// use straightline::{IntoResponse, Request, Response};
///
/// fn metrics(request: &mut Request) -> Response {
///     let text = request.server().metrics().to_prometheus();
///     text.into_response().content_type("text/plain; version=0.0.4")
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// The numbers of connections and requests.
    pub counters: Counters,
    /// How long requests took.
    pub latencies: Latencies,
    /// The finished requests by their [route](crate::Request::set_route), if they have one.
    pub routes: BTreeMap<&'static str, RouteNumbers>,
    /// The numbers of each scheduler that runs, with the number of its shard.
    pub shards: Vec<(usize, Stats)>,
    /// The numbers of the pool of [`sched::offload`](straightline_sched::offload), which the whole
    /// process shares.
    pub offload: OffloadStats,
    /// The numbers of the pool of [`fs`](straightline_sched::fs), which the whole process shares.
    pub files: OffloadStats,
    /// Shards whose listeners are lent to other shards: their threads are
    /// [busy](crate::ServerBuilder::busy_limit), or were until a moment ago.
    pub busy: usize,
    /// Shards that are [stuck](crate::ServerBuilder::stuck_limit).
    pub stuck: usize,
    /// How often the listeners of a shard were lent to another shard.
    pub listeners_lent: u64,
    /// How many stuck shards were replaced.
    pub replacements: u64,
    /// How many shards were renewed after a panic, see
    /// [`PanicPolicy::DrainShard`](crate::PanicPolicy::DrainShard).
    pub renewals: u64,
    /// Lines that the access log left out because they could not be written fast enough.
    pub access_log_dropped: u64,
    /// Messages that the [service manager](crate::ServerBuilder::systemd) did not get within a
    /// second.
    pub notify_failures: u64,
    /// Bytes of memory that the server uses for its clients, see
    /// [`Capacity::memory_bytes`](crate::Capacity::memory_bytes).
    pub memory_held: u64,
    /// The numbers of TLS, if the server has it, or was given streams with TLS.
    #[cfg(feature = "_tls")]
    pub tls: Option<TlsMetrics>,
    /// The phase of the server's shutdown.
    pub phase: Phase,
    /// What parts above the server count. These numbers go on changing.
    parts: Vec<Arc<dyn PartNumbers>>,
}

impl Metrics {
    pub(crate) fn of(shared: &Shared) -> Self {
        Self {
            counters: shared.shards.counters(),
            latencies: shared.shards.latencies(),
            routes: shared.shards.routes(),
            shards: shared.shards.stats(),
            offload: pool_stats(OffloadPool::global),
            files: pool_stats(fs::pool),
            busy: shared.shards.busy(),
            stuck: shared.shards.stuck(),
            listeners_lent: shared.loans.count(),
            replacements: shared.replacements(),
            renewals: shared.renewals.count(),
            access_log_dropped: shared.access_log.as_ref().map_or(0, |log| log.dropped()),
            notify_failures: shared.config.manager.as_ref().map_or(0, |manager| manager.failures()),
            memory_held: shared.memory.held(),
            #[cfg(feature = "_tls")]
            tls: shared.tls_numbers.metrics(shared.config.tls.as_ref()),
            phase: shared.phase(),
            parts: shared.parts.all(),
        }
    }

    /// The text that Prometheus reads (`text/plain; version=0.0.4`).
    pub fn to_prometheus(&self) -> String {
        let mut text = Exposition::default();
        self.put_connections(&mut text);
        self.put_requests(&mut text);
        self.put_routes(&mut text);
        self.put_faults(&mut text);
        #[cfg(feature = "_tls")]
        self.tls.iter().for_each(|tls| tls.put(&mut text));
        self.parts.iter().for_each(|part| part.put(&mut text));
        self.put_schedulers(&mut text);
        text.finish()
    }

    fn put_connections(&self, text: &mut Exposition) {
        let Counters { accepted, closed, rejected, accept_errors, .. } = self.counters;
        let Counters { aborted, evicted, force_closed, proxy_headers_refused, .. } = self.counters;
        let name = |rest: &str| format!("straightline_connections_{rest}");
        text.counter(&name("accepted_total"), "Connections accepted.", accepted);
        text.counter(&name("closed_total"), "Connections closed.", closed);
        let active = accepted.saturating_sub(closed);
        text.gauge(&name("active"), "Connections that are open.", active);
        let help = "Connections rejected because there were too many.";
        text.counter(&name("rejected_total"), help, rejected);
        let help = "Connections that broke, or whose client left in mid-request.";
        text.counter(&name("aborted_total"), help, aborted);
        let help = "Idle connections closed to make room for new ones.";
        text.counter(&name("evicted_total"), help, evicted);
        text.counter(
            &name("force_closed_total"),
            "Connections force-closed by a drain.",
            force_closed,
        );
        let help = "Connections of proxies without a valid PROXY header.";
        text.counter("straightline_proxy_headers_refused_total", help, proxy_headers_refused);
        let help = "Accepts that failed.";
        text.counter("straightline_accept_errors_total", help, accept_errors);
        let ready = u8::from(self.phase == Phase::Serving);
        text.gauge("straightline_ready", "1 until a shutdown begins.", ready);
    }

    fn put_requests(&self, text: &mut Exposition) {
        let Counters { requests, answered, unanswered, in_flight, overloaded, .. } = self.counters;
        let Counters { awaiting_client, responses, bytes_read, bytes_written, .. } = self.counters;
        text.counter("straightline_requests_total", "Requests taken.", requests);
        let help = "Requests with a whole response.";
        text.counter("straightline_requests_answered_total", help, answered);
        let help = "Requests without a whole response.";
        text.counter("straightline_requests_unanswered_total", help, unanswered);
        let help = "Requests that are being answered.";
        text.gauge("straightline_requests_in_flight", help, in_flight);
        let help = "Requests in flight that wait for their client.";
        text.gauge("straightline_requests_awaiting_client", help, awaiting_client);
        let help = "Requests that got a 503 because too many were in flight.";
        text.counter("straightline_requests_overloaded_total", help, overloaded);
        let help = "Requests that got a 503, or whose body was not read, as memory was short.";
        let name = "straightline_requests_short_of_memory_total";
        text.counter(name, help, self.counters.short_of_memory);
        let help = "Bytes of memory that the server uses for its clients.";
        text.gauge("straightline_memory_held_bytes", help, self.memory_held);
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(responses);
        let help = "Responses by the class of their status, also to refused requests.";
        text.counters("straightline_responses_total", help, "class", classes);
        let help = "Bytes received from clients.";
        text.counter("straightline_read_bytes_total", help, bytes_read);
        let help = "Bytes written to clients.";
        text.counter("straightline_written_bytes_total", help, bytes_written);
        let Counters { background_spawned, background_ended, background_panicked, .. } =
            self.counters;
        let help = "Background fibers that were spawned.";
        text.counter("straightline_background_spawned_total", help, background_spawned);
        let help = "Background fibers that panicked.";
        text.counter("straightline_background_panicked_total", help, background_panicked);
        let running = background_spawned.saturating_sub(background_ended);
        let help = "Background fibers that run.";
        text.gauge("straightline_background_running", help, running);
        let help = "How long requests took, from the end of the head to the write.";
        text.histogram("straightline_request_duration_seconds", help, &self.latencies);
    }

    fn put_routes(&self, text: &mut Exposition) {
        let statuses = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let by_status = self.routes.iter().flat_map(|(route, numbers)| {
            let counts = statuses.into_iter().zip(numbers.responses);
            let counts = counts.chain([("none", numbers.unanswered)]);
            counts.map(move |(status, count)| ([("route", *route), ("status", status)], count))
        });
        let help = "Finished requests by their route and the class of their status.";
        text.labelled_counters("straightline_route_requests_total", help, by_status);
        let seconds = self
            .routes
            .iter()
            .map(|(route, numbers)| ([("route", *route)], numbers.duration.as_secs_f64()));
        let help = "The sum of the durations of the finished requests of a route.";
        text.labelled_counters("straightline_route_seconds_total", help, seconds);
    }

    fn put_faults(&self, text: &mut Exposition) {
        let Counters { refused, panicked, cancelled, failed_responses, timeouts, .. } =
            self.counters;
        let help = "Requests refused as malformed, or beyond a limit.";
        text.counter("straightline_requests_refused_total", help, refused);
        let help = "Handlers that panicked.";
        text.counter("straightline_handlers_panicked_total", help, panicked);
        let help = "Handlers cancelled by a timeout or because their client was gone.";
        text.counter("straightline_handlers_cancelled_total", help, cancelled);
        let help = "Responses that a handler could not complete.";
        text.counter("straightline_responses_failed_total", help, failed_responses);
        let kinds = Timeout::ALL.map(Timeout::name).into_iter().zip(timeouts);
        text.counters("straightline_timeouts_total", "Timeouts that expired.", "kind", kinds);
        let help = "Shards whose listeners are lent to other shards.";
        text.gauge("straightline_shards_busy", help, self.busy);
        let help = "Shards whose thread a handler keeps for good.";
        text.gauge("straightline_shards_stuck", help, self.stuck);
        let help = "How often the listeners of a shard were lent.";
        text.counter("straightline_listeners_lent_total", help, self.listeners_lent);
        let help = "Stuck shards that were replaced.";
        text.counter("straightline_replacements_total", help, self.replacements);
        let help = "Shards that were renewed after a panic.";
        text.counter("straightline_renewals_total", help, self.renewals);
        let help = "Lines left out of the access log.";
        text.counter("straightline_access_log_dropped_total", help, self.access_log_dropped);
        let help = "Messages that the service manager did not get within a second.";
        text.counter("straightline_notify_failures_total", help, self.notify_failures);
    }

    fn put_schedulers(&self, text: &mut Exposition) {
        let help = "A number of the scheduler, see Stats.";
        for (index, (name, kind, _)) in Stats::default().iter().enumerate() {
            let of_shard = |(shard, stats): &(usize, Stats)| {
                (*shard, stats.iter().nth(index).map_or(0, |(_, _, value)| value))
            };
            let values = self.shards.iter().map(of_shard);
            let full_name = |rest: &str| format!("straightline_sched_{rest}");
            if let Some(name) = name.strip_suffix("_nanos") {
                let seconds = |(shard, nanos)| (shard, Duration::from_nanos(nanos).as_secs_f64());
                let name = full_name(&format!("{name}_seconds"));
                text.gauges(&name, help, "shard", values.map(seconds));
            } else if kind == StatKind::Gauge {
                text.gauges(&full_name(name), help, "shard", values);
            } else {
                text.counters(&full_name(&format!("{name}_total")), help, "shard", values);
            }
        }
        put_pool(text, "offload", &self.offload);
        put_pool(text, "files", &self.files);
    }
}

/// The numbers of one of the process's pools. A simulation does not use these.
fn pool_stats(pool: impl FnOnce() -> &'static OffloadPool) -> OffloadStats {
    if sim::is_simulated() { OffloadStats::default() } else { pool().stats() }
}

fn put_pool(text: &mut Exposition, pool: &str, stats: &OffloadStats) {
    let OffloadStats { threads, queued, lost, abandoned, refused, .. } = stats;
    let name = |rest: &str| format!("straightline_{pool}_{rest}");
    text.gauge(&name("threads"), &format!("Threads of the pool of `{pool}`."), threads);
    text.gauge(&name("queued"), "Jobs that wait for a thread.", queued);
    text.gauge(&name("lost"), "Threads whose job goes on without its caller.", lost);
    text.counter(&name("abandoned_total"), "Jobs whose caller had left.", abandoned);
    text.counter(&name("rejected_total"), "Jobs that were refused.", refused);
}
