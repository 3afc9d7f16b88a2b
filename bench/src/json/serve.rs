//! The servers. Each has one thread, reads an order into the same types, and writes it back with
//! its sum.

use std::io;
use std::net::TcpListener;

use serde::{Deserialize, Serialize};
use straightline_harness::READY;

use super::kind::Kind;
use crate::serve::{self, ANY_PORT};

/// What a client sends.
#[derive(Deserialize, Serialize)]
pub(super) struct Order {
    pub(super) customer: String,
    pub(super) note: Option<String>,
    pub(super) items: Vec<Item>,
}

/// A line of an order.
#[derive(Deserialize, Serialize)]
pub(super) struct Item {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) cents: u64,
    pub(super) tags: Vec<String>,
}

/// What a server answers.
#[derive(Deserialize, Serialize)]
pub(super) struct Bill {
    pub(super) cents: u64,
    pub(super) order: Order,
}

fn bill(order: Order) -> Bill {
    Bill { cents: order.items.iter().map(|item| item.cents).sum(), order }
}

pub(super) const PATH: &str = "/bills";

/// Is a server until the process is killed, which also happens when the parent ends.
pub(crate) fn run(kind: Kind, cpu: Option<usize>) -> io::Result<()> {
    serve::begin(cpu)?;
    match kind {
        Kind::Straightline => straightline_server(),
        Kind::Axum => axum_server(),
        Kind::Actix => actix_server(),
    }
}

fn straightline_server() -> io::Result<()> {
    use straightline::web::{Json, RequestExt, Router, post};
    use straightline::{Problem, Request, Server};

    fn answer(request: &mut Request) -> Result<Json<Bill>, Problem> {
        Ok(Json(bill(request.json()?)))
    }

    let app = Router::new().route(PATH, post(answer));
    let server = Server::builder().bind(ANY_PORT).workers(1).quiet().build(app)?;
    println!("{READY}{}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}

fn axum_server() -> io::Result<()> {
    use axum::routing::post;
    use axum::{Json, Router};

    async fn answer(Json(order): Json<Order>) -> Json<Bill> {
        Json(bill(order))
    }

    let app = Router::new().route(PATH, post(answer));
    serve::run_axum(app)
}

fn actix_server() -> io::Result<()> {
    use actix_web::web::{Json, post};
    use actix_web::{App, HttpServer};

    async fn answer(Json(order): Json<Order>) -> Json<Bill> {
        Json(bill(order))
    }

    let listener = TcpListener::bind(ANY_PORT)?;
    println!("{READY}{}", listener.local_addr()?);
    actix_web::rt::System::new().block_on(
        HttpServer::new(|| App::new().route(PATH, post().to(answer)))
            .workers(1)
            .listen(listener)?
            .run(),
    )
}
