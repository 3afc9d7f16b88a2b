//! A service behind nginx: it listens on a Unix socket, and knows its client from the proxy.
//! `/watch` answers at once, and says goodbye when the service stops.

use std::env;
use std::io::{self, Write};

use straightline::{Request, Response, Server, StatusCode};

fn answer(request: &mut Request) -> Response {
    let client = request.headers().get("x-real-ip").unwrap_or("unknown");
    let (host, path) = (request.host().unwrap_or("unknown"), request.path());
    let line = format!("{client} asks {host} for {path}\n");
    if path != "/watch" {
        return Response::new(StatusCode::OK).with_body(line);
    }
    Response::stream(move |request, body| {
        body.write_all(line.as_bytes())?;
        body.flush()?;
        request.draining().wait()?;
        body.write_all(b"goodbye\n")
    })
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let server = Server::builder().bind(address).shutdown_on_signals().build(answer)?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
