//! This project.

use std::io;

use straightline::sched::DriverKind;
use straightline::{Request, Server, StatusCode};

use super::answer::{ANY_PORT, BODY, PATH, announce};

pub(super) fn run(driver: Option<DriverKind>) -> io::Result<()> {
    let builder = Server::builder().bind(ANY_PORT).workers(1).quiet();
    let builder = match driver {
        Some(kind) => builder.driver(kind),
        None => builder,
    };
    let server = builder.build(answer)?;
    announce(&server.local_addrs()[0]);
    server.run()?;
    Ok(())
}

fn answer(request: &mut Request) -> Result<&'static str, StatusCode> {
    if request.path() == PATH { Ok(BODY) } else { Err(StatusCode::NOT_FOUND) }
}
