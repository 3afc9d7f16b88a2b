//! The servers. Each has one thread, reads a form to its end, and answers with the number of bytes
//! of its parts.

use std::fmt;
use std::io;

use clap::ValueEnum;
use straightline_harness::READY;

use crate::serve::{self, ANY_PORT};

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This project: `request.multipart_within()`
    Straightline,
    /// axum on tokio's single-threaded runtime: `Multipart`, which is the crate `multer`
    Axum,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Straightline => "straightline",
            Self::Axum => "axum",
        })
    }
}

pub(super) const PATH: &str = "/form";

/// Is a server until the process is killed, which also happens when the parent ends.
pub(crate) fn run(kind: Kind, cpu: Option<usize>) -> io::Result<()> {
    serve::begin(cpu)?;
    match kind {
        Kind::Straightline => straightline_server(),
        Kind::Axum => axum_server(),
    }
}

fn straightline_server() -> io::Result<()> {
    use straightline::web::{MultipartLimits, RequestExt, Router, post};
    use straightline::{HandlerError, Limits, Request, Server};

    fn answer(request: &mut Request) -> Result<String, HandlerError> {
        let limits = MultipartLimits::default().with_body_bytes(u64::MAX);
        let mut form = request.multipart_within(limits)?;
        let mut bytes = 0;
        while let Some(mut part) = form.next_part()? {
            bytes += part.copy_to(&mut io::sink())?;
        }
        Ok(bytes.to_string())
    }

    let app = Router::new().route(PATH, post(answer));
    let limits = Limits::default().with_body_bytes(u64::MAX);
    let server = Server::builder().bind(ANY_PORT).workers(1).limits(limits).quiet().build(app)?;
    println!("{READY}{}", server.local_addrs()[0]);
    server.run()?;
    Ok(())
}

fn axum_server() -> io::Result<()> {
    use axum::Router;
    use axum::extract::DefaultBodyLimit;
    use axum::extract::multipart::{Multipart, MultipartError};
    use axum::routing::post;

    async fn answer(mut form: Multipart) -> Result<String, MultipartError> {
        let mut bytes = 0;
        while let Some(mut field) = form.next_field().await? {
            while let Some(chunk) = field.chunk().await? {
                bytes += chunk.len() as u64;
            }
        }
        Ok(bytes.to_string())
    }

    let app = Router::new().route(PATH, post(answer)).layer(DefaultBodyLimit::disable());
    serve::run_axum(app)
}
