//! An event stream: a number each tenth of a second, until the client leaves or the server stops.

use std::io::Write;
use std::time::Duration;
use std::{env, io};

use straightline::sched::sync::{after, select};
use straightline::{Request, Response, Server};

fn events(_: &mut Request) -> Response {
    Response::stream(|request, body| {
        let draining = request.draining();
        for number in 0.. {
            write!(body, "data: {number}\n\n")?;
            body.flush()?;
            if select(&[&draining, &after(Duration::from_millis(100))])? == 0 {
                break;
            }
        }
        Ok(())
    })
    .content_type("text/event-stream")
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let server = Server::builder().bind(address).shutdown_on_signals().build(events)?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
