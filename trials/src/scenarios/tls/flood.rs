//! More handshakes at once than may wait: the surplus is refused and counted, the others are
//! answered, and so is every client afterwards.
//!
//! The server is stopped (SIGSTOP) while the hellos are sent, so that all of them are there when it
//! goes on, however fast it is.

use std::io::{self, Read, Write};

use rustix::process::Signal;
use straightline::net::TcpStream;

use super::site::{Site, failed};
use crate::client::{MARGIN, within};
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::tls::{TlsClient, connect_raw, hello};
use crate::trial::{Trial, each, tally_of};

pub(super) fn run(trial: &mut Trial, site: &Site) -> io::Result<()> {
    let clients = trial.options.connections(200, 1_000);
    let waiting = clients / 20;
    let flags = format!("--workers 1 --handshakes-running 1 --handshakes-waiting {waiting}");
    let mut server = site.start(trial, &flags, clients)?;
    let connector = site.connector()?;
    let hello = hello(&connector)?;
    let mut old = TlsClient::connect(server.address(), &connector)?;
    let outcome = old.outcome_of("/hello");
    site.warm_up(&server)?;
    let descriptors = server.process().descriptors()?;
    let before = site.metrics(&server)?;
    site.doing(trial, &format!("{clients} hellos at once, of which {waiting} may wait"));
    let answers = all_at_once(&server, clients, &hello)?;
    let count = |is: fn(&Answer) -> bool| answers.iter().filter(|answer| is(answer)).count();
    let answered = count(|answer| matches!(answer, Answer::Handshake));
    let refused = count(|answer| matches!(answer, Answer::Refused));
    let seen = format!("{answered} answered, {refused} refused");
    let held = answered + refused == clients && answered > waiting && refused > 0;
    trial.expect(format!("more than {waiting} answered, the others refused"), seen, held);
    let mut after = site.metrics(&server)?;
    trial.expect_growth(&before, &after, &failed("overloaded"), refused);

    site.doing(trial, "afterwards");
    let again = old.outcome_of("/hello");
    let held = [&outcome, &again].into_iter().all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect("a connection from before: 200", again.to_string(), held);
    old.reset()?;
    let tally: Tally = tally_of(0..waiting, |_| {
        TlsClient::connect(server.address(), &connector)
            .map_or_else(Outcome::from, |mut client| client.outcome_of("/hello"))
    });
    let held = tally.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect("new clients: each 200", tally.to_string(), held);
    site.expect_all_closed(trial, &server, descriptors)?;
    after = site.metrics(&server)?;
    trial.expect_exists(&after, &failed("overloaded"));
    trial.expect("the process has not ended", server.is_running().to_string(), {
        server.is_running()
    });
    site.expect_an_end(trial, &mut server)
}

/// What a hello got.
enum Answer {
    /// A record of the handshake.
    Handshake,
    /// An alert, or an end.
    Refused,
    Nothing,
}

fn all_at_once(server: &Server, clients: usize, hello: &[u8]) -> io::Result<Vec<Answer>> {
    let streams = each(0..clients, |_| connect_raw(server.address()));
    let mut streams = streams.into_iter().collect::<io::Result<Vec<TcpStream>>>()?;
    server.signal(Signal::STOP)?;
    let sent = streams.iter_mut().try_for_each(|stream| stream.write_all(hello));
    server.signal(Signal::CONT)?;
    sent?;
    Ok(each(streams, |mut stream| {
        let mut first = [0];
        let answer = match within(MARGIN * 3, || stream.read(&mut first)) {
            Ok(1) if first[0] == HANDSHAKE => Answer::Handshake,
            Ok(_) => Answer::Refused,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Answer::Refused,
            Err(_) => Answer::Nothing,
        };
        // If it fails, the connection is closed already.
        let _ = stream.set_zero_linger();
        answer
    }))
}

/// The type of a record with a part of the handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;
