//! Health checks: requests of the proxy's own, to learn which upstreams are well.

use std::io::{self, ErrorKind};

use straightline_sched as sched;

use super::connection::UpstreamConnection;
use super::settings::HealthCheck;
use super::shared::Shared;
use crate::proto::{HeadBounds, ResponseParser};

/// Checks one upstream again and again, until the caller is cancelled.
///
/// A yield point.
pub(super) fn watch(shared: &Shared, check: &HealthCheck, index: usize) {
    let (mut bad, mut good) = (0, 0);
    loop {
        match ask(shared, check, index) {
            Ok(()) => {
                (bad, good) = (0, good + 1);
                if good >= check.well_after {
                    good = check.well_after;
                    shared.upstreams.set_ill(index, None);
                }
            }
            Err(error) => {
                (bad, good) = (bad + 1, 0);
                if bad >= check.ill_after {
                    bad = check.ill_after;
                    shared.upstreams.set_ill(index, Some(&error));
                }
            }
        }
        sched::sleep(check.interval);
    }
}

/// One check, on a connection of its own: that the upstream accepts connections is a part of it.
fn ask(shared: &Shared, check: &HealthCheck, index: usize) -> io::Result<()> {
    let address = shared.upstreams.all()[index].address();
    let ask = || {
        let stream = (shared.connector)(address)?;
        let mut connection = UpstreamConnection::new(stream, Vec::new());
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {}\r\nConnection: close\r\n\r\n",
            check.path, shared.heads.via
        );
        let until = sched::now() + check.timeout;
        connection.send(request.as_bytes(), until)?;
        let limits = &shared.limits;
        let bounds = HeadBounds { head_bytes: limits.head_bytes, fields: limits.fields };
        let mut parser = ResponseParser::default();
        loop {
            let UpstreamConnection { stream, input } = &mut connection;
            let invalid = |fault: String| io::Error::new(ErrorKind::InvalidData, fault);
            let head = parser.parse(input.unread(), false, bounds);
            match head.map_err(|fault| invalid(format!("the response has {fault}")))? {
                Some(head) if head.status.is_informational() => input.consume(head.end),
                Some(head) if head.status.is_success() || head.status.is_redirection() => {
                    return Ok(());
                }
                Some(head) => return Err(invalid(format!("the status {}", head.status))),
                None if input.fill(&**stream, until)? == 0 => {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                None => {}
            }
        }
    };
    sched::deadline(check.timeout, ask).unwrap_or_else(|_| {
        let message = format!("no answer within {:?}", check.timeout);
        Err(io::Error::new(ErrorKind::TimedOut, message))
    })
}
