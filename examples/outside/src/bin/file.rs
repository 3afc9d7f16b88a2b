//! A static file, also a range of its bytes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::{env, str};

use straightline::{HandlerError, IntoResponse, Method, Request, Response, Server, StatusCode};

/// The first byte and the last one of `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`.
fn range(field: &str, length: u64) -> Option<(u64, u64)> {
    let (first, last) = field.strip_prefix("bytes=")?.split_once('-')?;
    Some(match (first, last) {
        ("", count) => (length.saturating_sub(count.parse().ok()?), length.checked_sub(1)?),
        (first, "") => (first.parse().ok()?, length.checked_sub(1)?),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.min(length - 1)),
    })
}

fn serve(request: &mut Request, path: &str) -> Result<Response, HandlerError> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(Response::method_not_allowed(&[Method::GET, Method::HEAD]));
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let Some(field) = request.headers().get("range") else {
        return Ok(Response::file(file)?.header("accept-ranges", "bytes"));
    };
    let Some((first, last)) = range(field, length).filter(|(first, last)| first <= last) else {
        let whole = format!("bytes */{length}");
        let status = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
        return Ok(status.header("content-range", whole));
    };
    file.seek(SeekFrom::Start(first))?;
    let count = last - first + 1;
    Ok(Response::reader(file.take(count))
        .with_status(StatusCode::PARTIAL_CONTENT)
        .content_length(count)
        .header("content-range", format!("bytes {first}-{last}/{length}")))
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let path = env::args().nth(2).expect("the path of a file");
    let server = Server::builder().bind(address).shutdown_on_signals();
    let server = server.build(move |request: &mut Request| serve(request, &path))?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
