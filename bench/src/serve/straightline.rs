//! This project.

use std::io;

use straightline::{Request, Server, StatusCode};

use super::{ANY_PORT, BODY, PATH, announce};

pub(super) fn run() -> io::Result<()> {
    let server = Server::builder().bind(ANY_PORT).workers(1).build(answer)?;
    announce(&server.local_addrs()[0]);
    server.run()?;
    Ok(())
}

fn answer(request: &mut Request) -> Result<&'static str, StatusCode> {
    if request.path() == PATH { Ok(BODY) } else { Err(StatusCode::NOT_FOUND) }
}
