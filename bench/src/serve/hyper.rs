//! The peer: hyper on tokio's single-threaded runtime, set up as its documentation does.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::runtime;
use tokio::task::LocalSet;

use super::answer::{BODY, PATH};

pub(super) fn run(listener: TcpListener) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, accept(listener))
}

async fn accept(listener: TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        // An accept that fails concerns one connection. The load counts it.
        let Ok((stream, _peer)) = listener.accept().await else {
            continue;
        };
        tokio::task::spawn_local(async {
            // Without `pipeline_flush` each response to pipelined requests takes a write of its
            // own.
            let mut connection = http1::Builder::new();
            connection.pipeline_flush(true);
            // The load counts a connection that breaks.
            let _ = connection.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

// hyper wants a future; there is nothing to wait for.
#[allow(clippy::unused_async)]
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::from(BODY));
    if request.uri().path() != PATH {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    Ok(response)
}

const TEXT: &str = "text/plain; charset=utf-8";
