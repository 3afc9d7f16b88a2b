//! This project. A bare handler answers the modes that need no router, as hyper's does.

use std::io::{self, Write};

use straightline::tls::{TlsConfig, TlsProvider};
use straightline::web::{Json, RequestExt, Router, StaticFiles};
use straightline::websocket::{WebSocket, upgrade};
use straightline::{IntoResponse, Problem, Request, Response, Server, StatusCode, sched};

use super::answer::{MESSAGE, PIECE, announce};
use super::setup::Setup;
use super::work;
use crate::compare::folder;
use crate::compare::mode::{JSON_PATH, Mode, OFFLOAD_PATH, PIECES, ROUTE, STREAM_PATH};
use crate::serve::{ANY_PORT, BODY, PATH, patterns};

pub(super) fn run(setup: &Setup<'_>) -> io::Result<()> {
    let mut builder = Server::builder().bind(ANY_PORT).workers(setup.threads).quiet();
    if setup.mode == Mode::Tls {
        let (certificate, key) = (folder::certificate(setup.folder), folder::key(setup.folder));
        let config = TlsConfig::builder().provider(TlsProvider::AwsLc);
        builder = builder.tls(config.certificate_files(certificate, key).build()?);
    }
    let server = match setup.mode {
        Mode::Routed => builder.build(router())?,
        Mode::File => {
            builder.build(StaticFiles::new(folder::site(setup.folder)).with_prefix("/static"))?
        }
        Mode::Websocket => builder.build(|request: &mut Request| upgrade(request, echo))?,
        _ => builder.build(answer)?,
    };
    announce(&server.local_addrs()[0]);
    server.run()?;
    Ok(())
}

fn answer(request: &mut Request) -> Response {
    match request.path() {
        PATH => BODY.into_response(),
        JSON_PATH => Json(MESSAGE).into_response(),
        STREAM_PATH => Response::stream(|_, body| {
            for _ in 0..PIECES {
                body.write_all(&PIECE)?;
            }
            Ok(())
        }),
        OFFLOAD_PATH => match sched::offload(work::work) {
            Ok(value) => value.to_string().into_response(),
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        },
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn router() -> Router {
    let router = Router::new()
        .get(ROUTE, |request: &mut Request| -> Result<String, Problem> { request.param("id") });
    let others = patterns().filter(|pattern| pattern != ROUTE);
    others.fold(router, |router, pattern| router.get(&pattern, |_: &mut Request| BODY))
}

fn echo(mut socket: WebSocket) -> io::Result<()> {
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}
