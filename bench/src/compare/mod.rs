//! This project beside its peers, in many modes: the tables and the plots of `docs/benchmarks.md`.
//!
//! `mode` is what is asked, `peer` who is asked, and `plan` how often. `serve` is the servers and
//! `server` runs them as processes, with the files of `folder`. `load` is the clients. `rounds`,
//! `latency` and `idle` are the three kinds of measurement, and `run` makes one after the other.
//! `environment` is what the figures depend on, `cli` the flags, and `report` writes all of it as
//! Markdown, JSON and plots.

mod cli;
mod environment;
mod folder;
mod idle;
mod latency;
mod load;
mod mode;
mod peer;
mod plan;
mod report;
mod rounds;
mod run;
mod serve;
mod server;

pub(crate) use self::cli::{CompareArgs, ServeArgs};
