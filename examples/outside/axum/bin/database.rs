//! A handler that asks PostgreSQL through `tokio-postgres` and a pool, `deadpool-postgres`.

use std::{env, io};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use deadpool_postgres::{Manager, Pool};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::{Config, NoTls};

async fn visit(State(pool): State<Pool>) -> Result<String, StatusCode> {
    let client = pool.get().await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let insert = "INSERT INTO visits DEFAULT VALUES RETURNING id";
    let row = client.query_one(insert, &[]).await;
    let row = row.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(format!("visitor {}\n", row.get::<_, i32>(0)))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(env::args().nth(1).expect("an address")).await?;
    let database = env::args().nth(2).expect("the address of a database");
    let (host, port) = database.rsplit_once(':').expect("a host and a port");
    let mut config = Config::new();
    config.host(host).port(port.parse().expect("a port")).user("visitors").dbname("postgres");
    let manager = Manager::new(config, NoTls);
    let pool = Pool::builder(manager).max_size(8).build().map_err(io::Error::other)?;
    let client = pool.get().await.map_err(io::Error::other)?;
    let table = "CREATE TABLE IF NOT EXISTS visits (id serial)";
    client.batch_execute(table).await.map_err(io::Error::other)?;
    drop(client);
    let mut stop = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    let app = Router::new().fallback(visit).with_state(pool);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            stop.recv().await;
        })
        .await
}
