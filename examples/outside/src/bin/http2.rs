//! HTTP/2 with prior knowledge: the crate `h2` over our sockets.

use std::error::Error;
use std::time::Duration;
use std::{env, io};

use h2::server::{SendResponse, handshake};
use straightline::compat::AsyncStream;
use straightline::net::{TcpListener, TcpStream};
use straightline::{Bytes, ShutdownSignal, sched};
use tokio::sync::watch;

/// One request; it may wait as every fiber may.
fn answer(
    request: &http::Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let text = format!("{} {}\n", request.method(), request.uri().path());
    let mut body = respond.send_response(http::Response::new(()), false)?;
    body.send_data(text.into(), true)
}

/// One connection, until its end or until its last request after the stop.
fn connection(stream: TcpStream, mut stop: watch::Receiver<()>) -> Result<(), Box<dyn Error>> {
    sched::block_on(async {
        let mut connection = handshake(AsyncStream::new(stream)).await?;
        let mut is_stopping = false;
        loop {
            tokio::select! {
                accepted = connection.accept() => {
                    let Some(accepted) = accepted else { return Ok(()) };
                    let (request, respond) = accepted?;
                    sched::spawn(move || answer(&request, respond));
                }
                _ = stop.changed(), if !is_stopping => {
                    connection.graceful_shutdown();
                    is_stopping = true;
                }
            }
        }
    })?
}

fn serve(listener: &TcpListener, stop: &ShutdownSignal) -> io::Result<()> {
    let (stopping, stopped) = watch::channel(());
    sched::scope(|clients| {
        let acceptor = clients.spawn(|| {
            loop {
                let Ok((stream, _)) = listener.accept() else {
                    sched::sleep(Duration::from_millis(100)); // for example, out of descriptors
                    continue;
                };
                let stopped = stopped.clone();
                clients.spawn(move || connection(stream, stopped).is_ok());
            }
        });
        stop.wait()?;
        acceptor.cancel();
        drop(stopping);
        let _ = sched::deadline(Duration::from_secs(25), || clients.join_all());
        clients.cancel();
        Ok(())
    })
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(&*env::args().nth(1).expect("an address"))?;
    let stop = ShutdownSignal::install()?;
    println!("listening on {}", listener.local_addr()?);
    sched::run(move || serve(&listener, &stop))
}
