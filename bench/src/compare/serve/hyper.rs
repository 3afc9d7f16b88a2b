//! hyper on tokio. With TLS it stands behind `tokio-rustls`, as its documentation shows.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::answer::{MESSAGE, PIECE, listen, runtime};
use super::setup::Setup;
use super::{tls, work};
use crate::compare::mode::{JSON_PATH, Mode, OFFLOAD_PATH, PIECES, STREAM_PATH};
use crate::serve::{BODY, PATH};

pub(super) fn run(setup: &Setup<'_>) -> io::Result<()> {
    let acceptor = match setup.mode {
        Mode::Tls => Some(TlsAcceptor::from(Arc::new(tls::config(setup.folder)?))),
        _ => None,
    };
    let listener = listen()?;
    runtime(setup.threads)?.block_on(async {
        // With several threads a task of the pool accepts, which needs no other thread to wake.
        tokio::spawn(accept(listener, acceptor)).await.map_err(io::Error::other)?
    })
}

async fn accept(listener: std::net::TcpListener, tls: Option<TlsAcceptor>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        // An accept that fails concerns one connection. The load counts it.
        let Ok((stream, _peer)) = listener.accept().await else {
            continue;
        };
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                None => serve(stream).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) {
    // Without `pipeline_flush` each response to pipelined requests takes a write of its own.
    let mut connection = http1::Builder::new();
    connection.pipeline_flush(true);
    // The load counts a connection that breaks.
    let _ = connection.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Boxed>, Infallible> {
    Ok(match request.uri().path() {
        PATH => with_type("text/plain; charset=utf-8", Full::from(BODY)),
        JSON_PATH => match serde_json::to_vec(&MESSAGE) {
            Ok(json) => with_type("application/json", Full::from(json)),
            Err(_) => failed(StatusCode::INTERNAL_SERVER_ERROR),
        },
        STREAM_PATH => {
            let piece = || Ok::<_, Infallible>(Frame::data(Bytes::from_static(&PIECE)));
            let body = StreamBody::new(stream::iter((0..PIECES).map(move |_| piece())));
            with_type("application/octet-stream", body)
        }
        OFFLOAD_PATH => match tokio::task::spawn_blocking(work::work).await {
            Ok(value) => with_type("text/plain; charset=utf-8", Full::from(value.to_string())),
            Err(_) => failed(StatusCode::INTERNAL_SERVER_ERROR),
        },
        _ => failed(StatusCode::NOT_FOUND),
    })
}

/// The body of a response, of whatever kind.
type Boxed = UnsyncBoxBody<Bytes, Infallible>;

fn with_type(
    content_type: &'static str,
    body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static,
) -> Response<Boxed> {
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn failed(status: StatusCode) -> Response<Boxed> {
    let mut response = Response::new(Full::from("").boxed_unsync());
    *response.status_mut() = status;
    response
}
