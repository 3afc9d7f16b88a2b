//! actix-web. The files are those of `actix-files`, and the WebSockets those of `actix-ws`.

use std::convert::Infallible;
use std::io;

use actix_web::web::{self, Bytes, Json, Path, Payload, ServiceConfig, get};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use actix_ws::Message;
use futures_util::stream;

use super::answer::{MESSAGE, PIECE, listen};
use super::setup::Setup;
use super::{tls, work};
use crate::compare::folder;
use crate::compare::mode::{
    JSON_PATH, Mode, OFFLOAD_PATH, PIECES, ROUTE, STREAM_PATH, WEBSOCKET_PATH,
};
use crate::serve::{BODY, PATH, patterns};

pub(super) fn run(setup: &Setup<'_>) -> io::Result<()> {
    let (mode, site) = (setup.mode, folder::site(setup.folder));
    let app = move || {
        let files = actix_files::Files::new("/static", site.clone());
        App::new().configure(move |routes| add_routes(routes, mode)).service(files)
    };
    // The accepts of a second are bounded by default, and so are the connections.
    let server = HttpServer::new(app)
        .workers(setup.threads)
        .max_connections(100_000)
        .max_connection_rate(100_000);
    let listener = listen()?;
    let server = match mode {
        Mode::Tls => server.listen_rustls_0_23(listener, tls::config(setup.folder)?)?,
        _ => server.listen(listener)?,
    };
    actix_web::rt::System::new().block_on(server.run())
}

fn add_routes(routes: &mut ServiceConfig, mode: Mode) {
    routes
        .route(PATH, get().to(async || BODY))
        .route(JSON_PATH, get().to(async || Json(MESSAGE)))
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
    match web::block(work::work).await {
        Ok(value) => HttpResponse::Ok().body(value.to_string()),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

async fn upgraded(request: HttpRequest, body: Payload) -> actix_web::Result<HttpResponse> {
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(async move {
        while let Some(Ok(message)) = messages.recv().await {
            let sent = match message {
                Message::Text(text) => session.text(text).await,
                Message::Binary(bytes) => session.binary(bytes).await,
                Message::Ping(bytes) => session.pong(&bytes).await,
                Message::Close(reason) => {
                    let _ = session.close(reason).await;
                    return;
                }
                _ => Ok(()),
            };
            if sent.is_err() {
                return;
            }
        }
    });
    Ok(response)
}
