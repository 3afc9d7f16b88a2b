//! Clients that do not speak TLS at all: one that speaks HTTP can read why it is refused.

use std::io::{self, Write};

use super::site::{Site, failed};
use crate::client::{Client, MARGIN, within};
use crate::server::Server;
use crate::tls::connect_raw;
use crate::trial::Trial;

pub(super) fn run(trial: &mut Trial, site: &Site, server: &Server) -> io::Result<()> {
    let before = site.metrics(server)?;
    site.doing(trial, "HTTP without TLS");
    let answer = Client::connect(server.address())?.get("/hello")?;
    let text = String::from_utf8_lossy(&answer.body);
    let held = answer.status == 400 && text.contains("https://");
    trial.expect("400, and what to do", format!("{} {text:?}", answer.status), held);
    site.doing(trial, "bytes that mean nothing");
    let mut stream = connect_raw(server.address())?;
    stream.write_all(&[0x17; 64])?;
    let mut answer = Vec::new();
    let end = within(MARGIN, || io::Read::read_to_end(&mut stream, &mut answer));
    // A close and a reset are both ends.
    let held = !matches!(&end, Err(error) if error.kind() == io::ErrorKind::TimedOut);
    trial.expect("an end", format!("{end:?}, {} bytes", answer.len()), held);
    let after = site.metrics(server)?;
    trial.expect_growth(&before, &after, &failed("plain_http"), 1);
    trial.expect_growth(&before, &after, &failed("not_tls"), 1);
    Ok(())
}
