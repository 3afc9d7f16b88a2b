//! The servers. Each has one thread, reads an order into the same types, and writes it back with
//! its sum.

use std::io;
use std::net::TcpListener;

use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use straightline_harness::READY;

use super::kind::Kind;
use crate::cpu;
use crate::serve::ANY_PORT;

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
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if let Some(cpu) = cpu {
        cpu::pin(cpu)?;
    }
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
    use axum::serve::ListenerExt;
    use axum::{Json, Router};

    async fn answer(Json(order): Json<Order>) -> Json<Bill> {
        Json(bill(order))
    }

    let app = Router::new().route(PATH, post(answer));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(ANY_PORT).await?;
        println!("{READY}{}", listener.local_addr()?);
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await
    })
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
