//! Large bodies, up and down at the same time, arrive as they were sent.

use std::io;

use super::site::Site;
use crate::body::Body;
use crate::outcome::Outcome;
use crate::server::Server;
use crate::tls::TlsClient;
use crate::trial::{Trial, tally_of};

pub(super) fn run(trial: &mut Trial, site: &Site, server: &Server) -> io::Result<()> {
    let rounds = trial.options.pick(4, 32);
    site.doing(
        trial,
        &format!("{CLIENTS} clients, {rounds} echoes of {BODY_BYTES} bytes, also chunked"),
    );
    let connector = site.connector()?;
    let tally = tally_of(0..CLIENTS, |index| {
        let body = Body { bytes: BODY_BYTES - index, chunked: index % 2 == 1 };
        let talk = || -> io::Result<Outcome> {
            let mut client = TlsClient::connect(server.address(), &connector)?;
            for _ in 0..rounds {
                let answer = client.exchange("/echo", &body)?;
                if answer.status != 200 {
                    return Ok(Outcome::Answered(answer.status));
                }
                if answer.body_bytes != body.bytes || answer.body_hash != body.hash() {
                    return Ok(Outcome::Failed("another body".to_owned()));
                }
            }
            client.close()?;
            Ok(Outcome::Answered(200))
        };
        talk().unwrap_or_else(Outcome::from)
    });
    let held = tally.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect("each 200, with the body that was sent", tally.to_string(), held);
    Ok(())
}

const CLIENTS: u64 = 4;

/// The server's limit on bodies.
const BODY_BYTES: u64 = 2 << 20;
