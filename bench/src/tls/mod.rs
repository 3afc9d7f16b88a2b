//! TLS: this project with each provider of cryptography, beside nginx with OpenSSL.
//!
//! `serve` is the servers, all with the same certificate, and `server` runs them as processes;
//! `client` is one client on a blocking socket. `work` measures what a handshake, a request and a
//! MiB cost, in interleaved rounds. `idle` measures the memory of a connection at rest, and `crowd`
//! the time of plain requests while others shake hands with the same shard.

mod client;
mod crowd;
mod folder;
mod idle;
mod serve;
mod server;
mod table;
mod work;

use std::fmt;
use std::io;
use std::time::Duration;

use clap::ValueEnum;

pub(crate) use self::serve::run as serve;
use self::work::Work;
use crate::cpu::Pinning;

/// What is measured, and how.
pub(crate) struct Plan {
    pub(crate) parts: Vec<Part>,
    pub(crate) rounds: u32,
    /// How long a server is loaded in each round.
    pub(crate) round_time: Duration,
    /// How many connections rest.
    pub(crate) idle: usize,
    pub(crate) pinning: Pinning,
}

/// Which part of the benchmark.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// New connections, whole handshakes, X25519
    Full,
    /// New connections, whole handshakes, with what rustls's clients offer first: X25519MLKEM768
    Hybrid,
    /// New connections that resume a session
    Resumed,
    /// Small requests on connections that stay open
    Requests,
    /// A file of 64 MiB, AES-128-GCM
    FileAes128,
    /// A file of 64 MiB, AES-256-GCM
    FileAes256,
    /// 64 MiB that the server has in memory, AES-128-GCM; nginx sends its file
    Memory,
    /// The memory of a connection at rest
    Idle,
    /// Plain requests while others shake hands with the same thread
    Crowd,
}

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This project with AWS-LC
    AwsLc,
    /// This project with Mbed TLS
    #[value(name = "mbedtls")]
    MbedTls,
    /// nginx with OpenSSL, which has to be installed
    Nginx,
}

/// Measures all parts and prints a table for each; false if a server failed in it.
pub(crate) fn run(plan: &Plan) -> io::Result<bool> {
    let folder = folder::Folder::new()?;
    if let Some(cpu) = plan.pinning.load() {
        crate::cpu::pin(cpu)?;
    }
    server::allow_descriptors()?;
    let mut is_good = true;
    for &part in &plan.parts {
        is_good &= match part {
            Part::Full => work::run(plan, &folder, Work::Full)?,
            Part::Hybrid => work::run(plan, &folder, Work::Hybrid)?,
            Part::Resumed => work::run(plan, &folder, Work::Resumed)?,
            Part::Requests => work::run(plan, &folder, Work::Requests)?,
            Part::FileAes128 => work::run(plan, &folder, Work::FileAes128)?,
            Part::FileAes256 => work::run(plan, &folder, Work::FileAes256)?,
            Part::Memory => work::run(plan, &folder, Work::Memory)?,
            Part::Idle => idle::run(plan, &folder)?,
            Part::Crowd => crowd::run(plan, &folder)?,
        };
    }
    Ok(is_good)
}

impl Kind {
    const ALL: [Self; 3] = [Self::AwsLc, Self::MbedTls, Self::Nginx];

    /// The name on the command line.
    fn as_str(self) -> &'static str {
        match self {
            Self::AwsLc => "aws-lc",
            Self::MbedTls => "mbedtls",
            Self::Nginx => "nginx",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
