//! What is measured, and of which server.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

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

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::AwsLc, Self::MbedTls, Self::Nginx];

    /// The name on the command line.
    pub(super) fn as_str(self) -> &'static str {
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
