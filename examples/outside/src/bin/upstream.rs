//! A handler that asks another server through `ureq`, for two seconds at most.

use std::time::Duration;
use std::{env, io};

use straightline::{HandlerError, IntoResponse, Request, Response, Server, StatusCode, sched};

const LIMIT: Duration = Duration::from_secs(2);

/// Has a limit of its own too, because no deadline can end the thread that it blocks.
fn ask(url: String) -> Result<String, ureq::Error> {
    let request = ureq::get(url).config().timeout_global(Some(2 * LIMIT)).build();
    request.call()?.body_mut().read_to_string()
}

fn relay(request: &mut Request, upstream: &str) -> Result<Response, HandlerError> {
    let url = format!("{upstream}{}", request.target());
    let answer = sched::deadline(LIMIT, || sched::offload(move || ask(url)));
    Ok(match answer {
        Ok(asked) => match asked? {
            Ok(text) => text.to_uppercase().into_response(),
            Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        },
        Err(_) => StatusCode::GATEWAY_TIMEOUT.into_response(),
    })
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let upstream = env::args().nth(2).expect("the URL of an upstream");
    let server = Server::builder().bind(address).shutdown_on_signals();
    let server = server.build(move |request: &mut Request| relay(request, &upstream))?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
