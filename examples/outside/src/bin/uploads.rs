//! Uploads: `PUT /NAME` streams its body to a file, which appears when it is complete.

use std::path::{Path, PathBuf};
use std::{env, io};

use straightline::fs::{self, File};
use straightline::{
    HandlerError, IntoResponse, Limits, Method, Request, Response, Server, StatusCode, sched,
};

/// A file that has not got its name yet.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!(".{:016x}", sched::random_u64()));
        // If a cancellation ended this wait, the file could appear after every destructor has run.
        let file = sched::uncancellable(|| File::create_new(&path))?;
        Ok(Self { path, file })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Unless it has its name. By std, because a fiber that unwinds may not wait for a job.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn upload(request: &mut Request, folder: &Path) -> Result<Response, HandlerError> {
    if request.method() != Method::PUT {
        return Ok(Response::method_not_allowed(&[Method::PUT]));
    }
    // The name and the type stay borrowed from the request's head while its body is read.
    let Some(name) = request.path().strip_prefix('/').filter(|name| is_good(name)) else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let media_type = request.headers().content_type().unwrap_or("bytes");
    let mut part = Part::create(folder)?;
    let count = request.body().copy_to(&mut part.file)?;
    part.file.sync_all()?;
    fs::rename(&part.path, folder.join(name))?;
    let text = format!("{name}: {count} bytes of {media_type}\n");
    Ok((StatusCode::CREATED, text).into_response())
}

fn is_good(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=100).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_good)
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("an address");
    let folder = PathBuf::from(env::args().nth(2).expect("a folder"));
    let limits = Limits::default().with_body_bytes(16 << 20);
    let server = Server::builder().bind(address).shutdown_on_signals().limits(limits);
    let server = server.build(move |request: &mut Request| upload(request, &folder))?;
    println!("listening on {}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}
