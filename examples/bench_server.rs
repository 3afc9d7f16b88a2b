//! A server to measure: `/plaintext`, `/json`, `/big` (1 MiB) and `POST /echo`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use straightline::{
    Address, Bytes, IntoResponse, Method, Request, Response, Server, StatusCode, sched,
};

/// Serves fixed responses, to be measured.
#[derive(Parser)]
struct Args {
    /// Address to listen on; port 0 takes a free one, unix:PATH a Unix socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: Address,
    /// Threads to serve on [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<std::num::NonZeroUsize>,
}

#[derive(serde::Serialize)]
struct Message {
    message: &'static str,
}

fn answer(request: &mut Request, big: &Bytes) -> Result<Response, StatusCode> {
    Ok(match (request.path(), request.method()) {
        ("/plaintext", &Method::GET | &Method::HEAD) => "Hello, World!".into_response(),
        ("/json", &Method::GET | &Method::HEAD) => {
            let json = serde_json::to_vec(&Message { message: "Hello, World!" })
                .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
            json.into_response().content_type("application/json")
        }
        ("/big", &Method::GET | &Method::HEAD) => big.clone().into_response(),
        ("/echo", &Method::POST) => request.body().read_to_vec(2 << 20).into_response(),
        ("/echo", _) => Response::method_not_allowed(&[Method::POST]),
        ("/plaintext" | "/json" | "/big", _) => {
            Response::method_not_allowed(&[Method::GET, Method::HEAD])
        }
        _ => return Err(StatusCode::NOT_FOUND),
    })
}

fn serve(args: Args) -> std::io::Result<()> {
    let mut server = Server::builder()
        .bind(args.listen)
        .shutdown_on_signals()
        .inspect_on_signals()
        .print_panics();
    if let Some(workers) = args.workers {
        server = server.workers(workers.get());
    }
    let big = Bytes::from(vec![b'x'; 1 << 20]);
    let server = server.build(move |request: &mut Request| answer(request, &big))?;
    println!("listening on http://{}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}

fn main() -> ExitCode {
    match serve(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            sched::stderr().put_through(format!("bench_server: {error}\n"), Duration::from_secs(1));
            ExitCode::FAILURE
        }
    }
}
