//! TLS: `tokio-rustls` below axum.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::{env, io};

use axum::Router;
use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

type Client = (TlsStream<TcpStream>, SocketAddr);

struct TlsListener {
    clients: mpsc::Receiver<Client>,
    address: SocketAddr,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Client {
        match self.clients.recv().await {
            Some(client) => client,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Accepts clients. Each handshake is a task, so that a slow one does not delay the others.
async fn accept(mut listener: TcpListener, acceptor: TlsAcceptor, clients: mpsc::Sender<Client>) {
    loop {
        let (stream, peer) = Listener::accept(&mut listener).await;
        let (acceptor, clients) = (acceptor.clone(), clients.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = clients.send((stream, peer)).await;
            }
        });
    }
}

fn config() -> Result<ServerConfig, Box<dyn Error>> {
    let file = |number| env::args().nth(number).expect("a PEM file");
    let certificates = CertificateDer::pem_file_iter(file(2))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(file(3))?;
    let provider = Arc::new(rustls_graviola::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_no_client_auth().with_single_cert(certificates, key)?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let acceptor = TlsAcceptor::from(Arc::new(config()?));
    let listener = TcpListener::bind(env::args().nth(1).expect("an address")).await?;
    let mut stop = signal(SignalKind::terminate())?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    let (sender, clients) = mpsc::channel(16);
    let accepting = tokio::spawn(accept(listener, acceptor, sender));
    let app = Router::new().fallback(|| async { "hello\n" });
    axum::serve(TlsListener { clients, address }, app)
        .with_graceful_shutdown(async move {
            stop.recv().await;
            accepting.abort();
        })
        .await?;
    Ok(())
}
