//! A handler that asks PostgreSQL through `tokio-postgres`.

use std::sync::Arc;
use std::{env, io};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::{Client, Config, Error, NoTls};

async fn visit(State(client): State<Arc<Client>>) -> Result<String, StatusCode> {
    let insert = "INSERT INTO visits DEFAULT VALUES RETURNING id";
    let row = client.query_one(insert, &[]).await;
    let row = row.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(format!("visitor {}\n", row.get::<_, i32>(0)))
}

async fn connect(stream: TcpStream) -> Result<Client, Error> {
    let mut config = Config::new();
    let config = config.user("visitors").dbname("postgres");
    let (client, connection) = config.connect_raw(stream, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("CREATE TABLE IF NOT EXISTS visits (id serial)").await?;
    Ok(client)
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(env::args().nth(1).expect("an address")).await?;
    let stream = TcpStream::connect(env::args().nth(2).expect("the address of a database")).await?;
    let client = connect(stream).await.map_err(io::Error::other)?;
    let mut stop = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    let app = Router::new().fallback(visit).with_state(Arc::new(client));
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            stop.recv().await;
        })
        .await
}
