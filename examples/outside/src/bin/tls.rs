//! A TLS terminator: `rustls` in front of a straightline server.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use std::{env, io, thread};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ServerConfig, ServerConnection};
use straightline::net::{TcpListener, TcpStream};
use straightline::{Request, Server, ShutdownSignal, sched, sched::sync};

struct Client {
    socket: TcpStream,
    tls: RefCell<ServerConnection>,
    /// Held while records are sent, so that they stay in order.
    sending: sync::Mutex<()>,
}

impl Client {
    fn send(&self) -> io::Result<()> {
        let _sending = self.sending.lock()?;
        let mut records = Vec::new();
        while self.tls.borrow().wants_write() {
            self.tls.borrow_mut().write_tls(&mut records)?;
        }
        (&self.socket).write_all(&records)
    }

    fn upload(&self, mut server: &TcpStream) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let count = (&self.socket).read(&mut buffer)?;
            let mut records = &buffer[..count];
            while !records.is_empty() {
                self.tls.borrow_mut().read_tls(&mut records)?;
                let state = self.tls.borrow_mut().process_new_packets();
                self.send()?; // a handshake's answer, or the alert that says what is wrong
                let state = state.map_err(io::Error::other)?;
                let mut plain = vec![0; state.plaintext_bytes_to_read()];
                self.tls.borrow_mut().reader().read_exact(&mut plain)?;
                server.write_all(&plain)?;
                if state.peer_has_closed() {
                    return server.shutdown(Shutdown::Write);
                }
            }
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn download(&self, mut server: &TcpStream) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let count = server.read(&mut buffer)?;
            match count {
                0 => self.tls.borrow_mut().send_close_notify(),
                _ => self.tls.borrow_mut().writer().write_all(&buffer[..count])?,
            }
            self.send()?;
            if count == 0 {
                return self.socket.shutdown(Shutdown::Write);
            }
        }
    }
}

fn terminate(socket: TcpStream, config: Arc<ServerConfig>, server: SocketAddr) -> io::Result<()> {
    let tls = RefCell::new(ServerConnection::new(config).map_err(io::Error::other)?);
    let client = Client { socket, tls, sending: sync::Mutex::new(()) };
    let server = TcpStream::connect(server)?;
    sched::try_scope(|both| {
        both.spawn(|| client.upload(&server)); // an error ends the other direction
        client.download(&server)?; // until the server has closed, which ends both
        both.cancel();
        Ok(())
    })
}

fn config() -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let file = |number| env::args().nth(number).expect("a PEM file");
    let certificates = CertificateDer::pem_file_iter(file(2))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(file(3))?;
    let provider = Arc::new(rustls_graviola::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_no_client_auth().with_single_cert(certificates, key)?)
}

fn serve(listener: &TcpListener, config: &Arc<ServerConfig>, server: Server) -> io::Result<()> {
    let (stop, handle) = (ShutdownSignal::install()?, server.handle());
    let address = server.local_addrs()[0].as_tcp().expect("it listens on TCP");
    let server = thread::spawn(|| server.run());
    sched::scope(|clients| {
        let acceptor = clients.spawn(|| {
            loop {
                let Ok((socket, _)) = listener.accept() else {
                    sched::sleep(Duration::from_millis(100)); // for example, out of descriptors
                    continue;
                };
                clients.spawn(move || terminate(socket, Arc::clone(config), address));
            }
        });
        stop.wait()?;
        acceptor.cancel();
        handle.shutdown(); // closes its connections after their responses, which ends ours
        clients.join_all();
        io::Result::Ok(())
    })?;
    server.join().expect("no panic").map(drop)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Arc::new(config()?);
    let listener = TcpListener::bind(&*env::args().nth(1).expect("an address"))?;
    let server = Server::builder().bind("127.0.0.1:0").workers(1);
    let server = server.build(|_: &mut Request| "hello\n")?;
    println!("listening on {}", listener.local_addr()?);
    // A handshake of this provider needs more stack than a fiber has by default.
    let settings = sched::Config::default().with_stack_bytes(1 << 20);
    Ok(sched::run_with(settings, move || serve(&listener, &config, server))??)
}
