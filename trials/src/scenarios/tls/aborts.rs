//! Clients that go away at every flight of the handshake, and after it, with a reset and with a
//! mere end: nothing is left of them.

use std::io::{self, Read, Write};

use straightline::tls::TlsConnector;

use super::site::{Site, failed};
use crate::client::{MARGIN, within};
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::tls::{TlsClient, connect_raw, hello};
use crate::trial::{Trial, tally_of};

pub(super) fn run(trial: &mut Trial, site: &Site, server: &Server) -> io::Result<()> {
    let each = trial.options.pick(5, 50);
    let connector = site.connector()?;
    let hello = hello(&connector)?;
    let descriptors = server.process().descriptors()?;
    let before = site.metrics(server)?;
    let healthy = site.healthy(server)?;
    let stages = Stage::ALL.map(Stage::name).join(", ");
    site.doing(
        trial,
        &format!("{each} clients each leave {stages}: with a reset, and with an end"),
    );
    let mut tally = Tally::default();
    for (stage, is_reset) in
        Stage::ALL.into_iter().flat_map(|stage| [(stage, true), (stage, false)])
    {
        tally.merge(&tally_of(0..each, |_| {
            stage
                .leave(server, &connector, &hello, is_reset)
                .map_or_else(Outcome::from, |()| Outcome::Answered(200))
        }));
    }
    let held = tally.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect("each gets that far", tally.total().to_string(), held);
    site.doing(trial, "after all of them");
    healthy.finish(trial)?;
    site.expect_all_closed(trial, server, descriptors)?;
    let after = site.metrics(server)?;
    trial.expect_growth(&before, &after, &failed("closed"), 2 * each);
    Ok(())
}

/// How far a client gets.
#[derive(Clone, Copy)]
enum Stage {
    Connected,
    HalfHello,
    Hello,
    Answered,
    Agreed,
    HalfRequest,
    HalfBody,
}

impl Stage {
    const ALL: [Self; 7] = [
        Self::Connected,
        Self::HalfHello,
        Self::Hello,
        Self::Answered,
        Self::Agreed,
        Self::HalfRequest,
        Self::HalfBody,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Connected => "after the connect",
            Self::HalfHello => "within their hello",
            Self::Hello => "after their hello",
            Self::Answered => "within the server's answer",
            Self::Agreed => "after the handshake",
            Self::HalfRequest => "within a head",
            Self::HalfBody => "within a body",
        }
    }

    fn leave(
        self,
        server: &Server,
        connector: &TlsConnector,
        hello: &[u8],
        is_reset: bool,
    ) -> io::Result<()> {
        let sent = match self {
            Self::Connected => &[],
            Self::HalfHello => &hello[..hello.len() / 2],
            Self::Hello | Self::Answered => hello,
            Self::Agreed => return leave_later(server, connector, is_reset, b""),
            Self::HalfRequest => {
                return leave_later(server, connector, is_reset, b"GET /hello HTTP/1.1\r\nHo");
            }
            Self::HalfBody => {
                let half =
                    b"POST /echo HTTP/1.1\r\nHost: trials\r\nContent-Length: 10\r\n\r\n12345";
                return leave_later(server, connector, is_reset, half);
            }
        };
        let mut stream = connect_raw(server.address())?;
        stream.write_all(sent)?;
        if matches!(self, Self::Answered) {
            within(MARGIN, || stream.read_exact(&mut [0]))?;
        }
        if is_reset { stream.set_zero_linger() } else { Ok(()) }
    }
}

/// Leaves after the handshake, and after these bytes.
fn leave_later(
    server: &Server,
    connector: &TlsConnector,
    is_reset: bool,
    sent: &[u8],
) -> io::Result<()> {
    let mut client = TlsClient::connect(server.address(), connector)?;
    client.send(sent)?;
    if is_reset { client.reset() } else { Ok(()) }
}
