//! Each request has a span of `tracing`, also while it waits and others run.

use std::time::Duration;
use std::{env, io};

use straightline::{Next, Request, Response, Server, sched};
use tracing::{info, info_span};
use tracing_subscriber::prelude::*;

fn in_a_span(request: &mut Request, next: Next<'_>) -> Response {
    info_span!("request", path = request.path()).in_scope(|| {
        let response = next.run(request);
        info!(status = response.status().as_u16(), "answered");
        response
    })
}

fn answer(request: &mut Request) -> String {
    sched::sleep(Duration::from_millis(200));
    info!("awake");
    format!("{}\n", request.path())
}

fn main() -> io::Result<()> {
    tracing_subscriber::registry()
        .with(sched::tracing::FiberLayer::new())
        .with(tracing_subscriber::fmt::layer().with_ansi(false).with_writer(sched::stderr))
        .init();
    let address = env::args().nth(1).expect("an address");
    let server = Server::builder().bind(address).shutdown_on_signals().workers(1);
    let server = server.wrap(in_a_span).build(answer)?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
