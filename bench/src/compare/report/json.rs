//! The JSON: the raw rounds, or the summaries of the tables.

use serde_json::{Value, json};

use super::results::Results;
use super::summary::{self, QUANTILES};
use crate::compare::idle::Idle;
use crate::compare::plan::Plan;

/// All rounds.
pub(super) fn rounds(plan: &Plan, results: &Results) -> Value {
    let closed = results.closed.iter().flat_map(|closed| {
        closed.rounds.iter().map(move |round| {
            json!({
                "mode": closed.mode.to_string(),
                "cores": closed.cores.count(),
                "server": round.peer.to_string(),
                "round": round.number,
                "requests": round.outcome.requests,
                "errors": round.outcome.errors,
                "seconds": round.outcome.elapsed.as_secs_f64(),
                "cpu_seconds": round.outcome.cpu.as_secs_f64(),
                "resident_kib": round.resident_kib,
                "latency_us": quantiles(&round.outcome.latencies),
            })
        })
    });
    let open = results.open.iter().flat_map(|open| {
        open.rounds.iter().map(move |round| {
            json!({
                "cores": open.cores.count(),
                "server": round.peer.to_string(),
                "rate": round.rate,
                "round": round.number,
                "requests": round.outcome.requests,
                "errors": round.outcome.errors,
                "cpu_seconds": round.outcome.cpu.as_secs_f64(),
                "latency_us": quantiles(&round.outcome.latencies),
                "generator_lateness_us": quantiles(&round.outcome.lateness),
            })
        })
    });
    json!({
        "environment": results.environment.json(),
        "plan": plan_json(plan),
        "closed_loop": closed.collect::<Vec<_>>(),
        "open_loop": open.collect::<Vec<_>>(),
        "idle": results.idle.iter().map(idle).collect::<Vec<_>>(),
    })
}

/// What the tables say.
pub(super) fn summaries(plan: &Plan, results: &Results) -> Value {
    let closed = results.closed.iter().flat_map(|closed| {
        summary::rows(closed).into_iter().map(move |row| {
            json!({
                "mode": closed.mode.to_string(),
                "cores": closed.cores.count(),
                "server": row.peer.to_string(),
                "requests_per_second": row.rate,
                "cpu_us_per_request": row.cpu_us,
                "cpu_ratio": row.ratio.median,
                "cpu_ratio_least": row.ratio.least,
                "cpu_ratio_most": row.ratio.most,
                "busy": row.busy,
                "resident_mib": row.resident_mib,
                "errors": row.errors,
            })
        })
    });
    let open = results.open.iter().flat_map(|open| {
        summary::times(open).into_iter().map(move |times| {
            let latency = QUANTILES.iter().zip(times.latency_us);
            json!({
                "cores": open.cores.count(),
                "server": times.peer.to_string(),
                "rate": times.rate,
                "latency_us": object(latency.map(|((_, name), us)| (*name, us))),
                "generator_lateness_p99_us": times.lateness_us,
                "cpu_us_per_request": times.cpu_us,
                "errors": times.errors,
            })
        })
    });
    json!({
        "environment": results.environment.json(),
        "plan": plan_json(plan),
        "closed_loop": closed.collect::<Vec<_>>(),
        "open_loop": open.collect::<Vec<_>>(),
        "idle": results.idle.iter().map(idle).collect::<Vec<_>>(),
    })
}

fn plan_json(plan: &Plan) -> Value {
    json!({
        "rounds": plan.rounds,
        "round_seconds": plan.round_time.as_secs_f64(),
        "clients": plan.clients,
        "cpus": plan.pinning.to_string(),
    })
}

fn idle(row: &Idle) -> Value {
    json!({
        "server": row.peer.to_string(),
        "connections": row.connections,
        "resident_kib_more": row.kib,
        "cpu_seconds_per_second_of_rest": row.cpu.as_secs_f64(),
    })
}

fn quantiles(times: &straightline_harness::Histogram) -> Value {
    let us = |quantile| times.quantile(quantile).as_secs_f64() * 1e6;
    object(QUANTILES.iter().map(|&(quantile, name)| (name, us(quantile))))
}

fn object<'n>(pairs: impl Iterator<Item = (&'n str, f64)>) -> Value {
    Value::Object(pairs.map(|(name, value)| (name.to_owned(), json!(value))).collect())
}
