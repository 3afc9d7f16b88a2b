//! TCP echo: `cargo run --release --example echo`, then `nc localhost 8080`.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use straightline::net::TcpListener;
use straightline::{ShutdownSignal, sched};
use straightline_examples::run;

#[derive(Parser)]
struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

fn serve(listen: SocketAddr) -> io::Result<()> {
    let (listener, stop) = (TcpListener::bind(listen)?, ShutdownSignal::install()?);
    println!("listening on tcp://{}", listener.local_addr()?);
    sched::scope(|clients| {
        let acceptor = clients.spawn(|| {
            loop {
                match listener.accept() {
                    Ok((client, _)) => {
                        clients.spawn(move || io::copy(&mut &client, &mut &client));
                    }
                    Err(error) => {
                        // For example, out of descriptors: wait until some have been closed.
                        sched::stderr().put(format!("echo: {error}\n"));
                        sched::sleep(Duration::from_millis(100));
                    }
                }
            }
        });
        stop.wait()?;
        acceptor.cancel();
        // The connected clients get a second to finish.
        let _ = sched::deadline(Duration::from_secs(1), || clients.join_all());
        clients.cancel();
        Ok(())
    })
}

fn main() -> ExitCode {
    run("Sends back the bytes that a client sends.", |args: Args| {
        sched::run_with(sched::Config::default(), move || serve(args.listen))?
    })
}
