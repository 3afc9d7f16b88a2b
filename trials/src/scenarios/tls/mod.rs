//! TLS, with each provider of cryptography: handshakes that succeed, that take long, that are too
//! many and that are broken off; large bodies, connections at rest, new certificates. Nothing is
//! left of any of them.

mod aborts;
mod bulk;
mod churn;
mod flood;
mod foreign;
mod idle;
mod reload;
mod site;
mod slow;

use std::io;

use self::site::Site;
use crate::trial::Trial;

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    for provider in ["aws-lc", "mbedtls"] {
        let site = Site::new(provider)?;
        let clients = trial.options.connections(200, 2_000);
        let mut server = site.start(trial, "", clients)?;
        churn::run(trial, &site, &server)?;
        bulk::run(trial, &site, &server)?;
        idle::run(trial, &site, &server, clients)?;
        foreign::run(trial, &site, &server)?;
        aborts::run(trial, &site, &server)?;
        reload::run(trial, &site, &server)?;
        site.expect_an_end(trial, &mut server)?;
        slow::run(trial, &site)?;
        flood::run(trial, &site)?;
    }
    Ok(())
}
