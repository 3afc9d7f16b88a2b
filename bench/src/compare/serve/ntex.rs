//! ntex on tokio.

use std::convert::Infallible;
use std::io;

use futures_util::stream;
use ntex::service::{fn_factory_with_config, fn_service};
use ntex::util::Bytes;
use ntex::web::types::Path;
use ntex::web::ws::{self, Frame, Message, WsSink};
use ntex::web::{self, App, HttpRequest, HttpResponse, HttpServer, ServiceConfig, get};

use super::answer::{MESSAGE, PIECE, listen};
use super::setup::Setup;
use super::work;
use crate::compare::mode::{
    JSON_PATH, Mode, OFFLOAD_PATH, PIECES, ROUTE, STREAM_PATH, WEBSOCKET_PATH,
};
use crate::serve::{BODY, PATH, patterns};

pub(super) fn run(setup: &Setup<'_>) -> io::Result<()> {
    let (mode, threads) = (setup.mode, setup.threads);
    let listener = listen()?;
    ntex::rt::System::build().build(ntex::rt::DefaultRuntime).block_on(async move {
        let app = async move || App::new().configure(move |routes| add_routes(routes, mode));
        // The accepts of a second are bounded by default, and so are the connections.
        let server = HttpServer::new(app).workers(threads).maxconn(100_000).maxconnrate(100_000);
        server.disable_signals().listen(listener)?.run().await
    })
}

fn add_routes(routes: &mut ServiceConfig, mode: Mode) {
    routes
        .route(PATH, get().to(async || BODY))
        .route(JSON_PATH, get().to(async || HttpResponse::Ok().json(&MESSAGE)))
        .route(STREAM_PATH, get().to(streamed))
        .route(OFFLOAD_PATH, get().to(offloaded))
        .route(WEBSOCKET_PATH, get().to(upgraded));
    if mode != Mode::Routed {
        return;
    }
    routes.route(ROUTE, get().to(async |id: Path<String>| id.into_inner()));
    for pattern in patterns().filter(|pattern| pattern != ROUTE) {
        routes.route(&pattern, get().to(async || BODY));
    }
}

async fn streamed() -> HttpResponse {
    let piece = |_| Ok::<_, Infallible>(Bytes::from_static(&PIECE));
    HttpResponse::Ok().streaming(stream::iter((0..PIECES).map(piece)))
}

async fn offloaded() -> HttpResponse {
    match web::block(|| Ok::<_, Infallible>(work::work())).await {
        Ok(value) => HttpResponse::Ok().body(value.to_string()),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

async fn upgraded(request: HttpRequest) -> Result<HttpResponse, web::Error> {
    let echoes = fn_factory_with_config(async |_: WsSink| Ok::<_, web::Error>(fn_service(echo)));
    ws::start::<_, _, &str, web::Error>(request, None, echoes).await
}

async fn echo(frame: Frame) -> io::Result<Option<Message>> {
    Ok(match frame {
        Frame::Text(text) => {
            let text = str::from_utf8(&text).map_err(io::Error::other)?;
            Some(Message::Text(text.to_owned().into()))
        }
        Frame::Binary(bytes) => Some(Message::Binary(bytes)),
        Frame::Ping(bytes) => Some(Message::Pong(bytes)),
        Frame::Close(reason) => Some(Message::Close(reason)),
        _ => None,
    })
}
