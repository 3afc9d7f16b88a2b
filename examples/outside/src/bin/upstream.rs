//! A handler that asks another server, for two seconds at most.

use std::time::Duration;
use std::{env, io};

use straightline::client::{Client, ureq};
use straightline::{IntoResponse, Request, Response, Server, StatusCode, sched};

const LIMIT: Duration = Duration::from_secs(2);

fn ask(client: &Client, url: &str) -> Result<String, ureq::Error> {
    let mut response = client.get(url).call()?;
    if !response.status().is_success() {
        return Err(ureq::Error::StatusCode(response.status().as_u16()));
    }
    response.body_mut().read_to_string()
}

fn relay(request: &mut Request, client: &Client, upstream: &str) -> Response {
    let url = format!("{upstream}{}", request.target());
    match sched::deadline(LIMIT, || ask(client, &url)) {
        Ok(Ok(text)) => text.to_uppercase().into_response(),
        Ok(Err(_)) => StatusCode::BAD_GATEWAY.into_response(),
        Err(_) => StatusCode::GATEWAY_TIMEOUT.into_response(),
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let upstream = env::args().nth(2).expect("the URL of an upstream");
    let client = Client::new();
    let server = Server::builder().bind(address).shutdown_on_signals();
    let server = server.build(move |request: &mut Request| relay(request, &client, &upstream))?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
