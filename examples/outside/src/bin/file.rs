//! A static file, also ranges of its bytes.

use std::fs::File;
use std::{env, io};

use straightline::web::{Ranged, Router};
use straightline::{Request, Response, Server};

fn serve(request: &mut Request, path: &String) -> io::Result<Response> {
    Ok(Ranged::file(File::open(path)?)?.respond(request))
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let path = env::args().nth(2).expect("the path of a file");
    let app = Router::with_state(path).get("/", serve);
    let server = Server::builder().bind(address).shutdown_on_signals().build(app)?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
