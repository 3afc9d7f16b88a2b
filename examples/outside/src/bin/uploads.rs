//! Uploads: `PUT /NAME` streams its body to a file, which appears when it is complete.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use straightline::{
    HandlerError, IntoResponse, Limits, Method, Request, Response, Server, StatusCode, sched,
};

/// A file that another thread writes, because a disk may be slow.
struct Part {
    path: PathBuf,
    file: Arc<File>,
}

impl Part {
    fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!(".{:016x}", sched::random_u64()));
        Ok(Self { file: Arc::new(File::create_new(&path)?), path })
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (file, bytes) = (Arc::clone(&self.file), bytes.to_vec());
        sched::offload(move || (&*file).write(&bytes))?
    }

    fn flush(&mut self) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        sched::offload(move || file.sync_all())?
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // unless it has its name
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
    let count = request.body().copy_to(&mut part)?;
    part.flush()?;
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
